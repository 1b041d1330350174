"""LangGraph's how-to "How to add breakpoints", over gRPC: `python -m examples.how_to`."""

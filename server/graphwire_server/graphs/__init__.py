"""Graphs: langgraph.json, loading, and the adapter to the langgraph library."""

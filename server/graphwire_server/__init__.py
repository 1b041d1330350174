"""Serves LangGraph projects over gRPC."""

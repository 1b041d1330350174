"""Graphs for the tests: an ordinary LangGraph project, which knows nothing of the server."""

"""A small LangGraph agent that looks up the weather."""

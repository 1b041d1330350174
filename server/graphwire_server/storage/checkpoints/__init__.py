"""Graphwire's own LangGraph checkpointer, on the tables of its own database.

`records` and `tables` are the storage's side: plain rows, and the statements that read and
write them. `saver` is LangGraph's side. `sink` is how what a run writes reaches the commit
that it belongs to. Only `saver`, `sync` and `serde` import LangGraph.
"""

"""Graphs for the crash campaign: every node writes what it does into the ledger."""

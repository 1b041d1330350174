"""The status machines of threads, runs and pauses, through a real server.

`model.py` says what the contract promises; `real.py` makes the same calls and compares; the
test plays random calls on both. `make properties` plays many more.
"""

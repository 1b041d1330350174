"""The crash campaign: real servers are killed at every place, and what they did is checked.

Scenarios (`scenarios/`) play a client's part against the graphs of `project/`, whose nodes
keep a ledger outside the server. `host.py` kills and restarts the server under them,
`checks/` compares ledger, event log and state with what must hold, and `campaign.py` says
where to strike next. `python -m tests.crash --help` runs it; the tests here run it in short.
"""

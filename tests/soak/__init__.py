"""A soak: mixed load on real servers for a while, with everything checked and nothing growing.

`python -m tests.soak --minutes 10`; docs/testing.md says what it does.
"""

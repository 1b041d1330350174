"""Fuzzing of every RPC; the short form is tests/e2e/test_fuzz.py."""

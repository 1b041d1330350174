"""Limits, overload and fairness, on servers with small limits."""

"""Graphs that only the benchmark needs."""

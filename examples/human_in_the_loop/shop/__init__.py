"""A shop's graphs, for the page docs/human-in-the-loop.md."""

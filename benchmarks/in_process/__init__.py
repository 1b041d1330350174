"""The other side: a worker that runs the graphs itself."""

"""Random graphs and random breakpoints, against a plain reading of what breakpoints mean.

`shapes` says what the graphs are and builds them, `reading` is the plain reading.
"""

"""How fast Graphwire is, side by side with the same graphs in process: `make bench`."""

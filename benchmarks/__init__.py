"""What Graphwire costs: the same graph over gRPC and in process, side by side."""

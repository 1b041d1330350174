"""What networks and readers do wrong: cuts, half-closed and silent connections, slow readers."""

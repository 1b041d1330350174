"""A database with very many paused threads."""

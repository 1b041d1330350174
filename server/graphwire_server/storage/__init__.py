"""What is kept: the Storage interface and its SQLite implementation."""

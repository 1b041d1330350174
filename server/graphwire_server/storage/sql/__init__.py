"""The one body of SQL: what SQLite and Postgres share, over a small neutral session."""

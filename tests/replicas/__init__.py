"""Several servers on one Postgres, and what happens when one of them is lost."""

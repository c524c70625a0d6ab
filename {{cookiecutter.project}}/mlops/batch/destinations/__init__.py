"""Where predictions go: SQLite, PostgreSQL, Redis, Parquet."""

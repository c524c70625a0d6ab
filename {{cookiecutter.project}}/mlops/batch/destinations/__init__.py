"""The destinations of predictions: SQLite, PostgreSQL, Redis and Parquet."""

"""Reads CSV and Parquet files in pieces, and reads and writes the splits of the prepared table."""

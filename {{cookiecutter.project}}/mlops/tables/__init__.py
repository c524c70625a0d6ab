"""Reading and writing tables: CSV and Parquet, in pieces, and the splits of the prepared one."""

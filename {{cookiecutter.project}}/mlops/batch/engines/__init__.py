"""What scores the pieces of a batch: threads here, or a Dask cluster."""

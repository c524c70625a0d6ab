"""The engines that score the pieces of a batch: threads of this process, or the workers of a Dask cluster."""

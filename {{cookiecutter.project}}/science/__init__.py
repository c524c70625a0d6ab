"""Your Python: the columns that are derived from those of your table, and the models that can be trained."""

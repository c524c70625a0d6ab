"""The owner's Python: what is derived from the table's columns, and which models can be trained."""

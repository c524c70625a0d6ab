"""Model to one answer. Imports no other room and none of their libraries."""

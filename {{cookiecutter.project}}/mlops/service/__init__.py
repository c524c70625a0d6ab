"""Serves a model over HTTP. This room imports no other room but predict and contract."""

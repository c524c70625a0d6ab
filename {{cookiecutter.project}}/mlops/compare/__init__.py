"""Two states side by side: what their models answer for the same rows."""

"""Where work is done: working trees, scratch folders, processes and virtual environments."""

"""Places to work in: working trees, locks, processes, environments."""

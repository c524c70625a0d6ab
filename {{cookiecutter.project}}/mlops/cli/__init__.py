"""The commands of `mlops`, a module for each group of them; no other room imports this one."""

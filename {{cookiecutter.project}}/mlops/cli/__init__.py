"""The door: `mlops`, its commands and exit codes."""

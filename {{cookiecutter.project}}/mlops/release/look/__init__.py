"""Shows the state of the project: status, tracker, cards and comparisons."""

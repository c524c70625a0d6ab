"""What people look at: status, tracker, cards and comparisons."""

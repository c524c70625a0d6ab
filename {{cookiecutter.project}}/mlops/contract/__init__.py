"""What judges a row and a bundle: the contract of its columns, what they were like, what it costs."""

"""What is asked for when something changes, and who watches it."""

"""Replacing control by a newly started one, perhaps of another version, while the workers serve."""

"""Watching changes, and undoing those that make routes fail."""

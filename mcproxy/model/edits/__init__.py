"""Runtime edits against the file."""

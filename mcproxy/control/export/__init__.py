"""Runtime edits written into the user's TOML."""

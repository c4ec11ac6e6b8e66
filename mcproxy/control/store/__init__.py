"""What survives control: runtime edits, audit, history (SQLite)."""

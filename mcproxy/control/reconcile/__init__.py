"""Files and edits made live."""

"""Single values in canonical form."""

"""What the guard watches, in the database."""

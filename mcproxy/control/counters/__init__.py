"""What the workers have counted."""

"""What is kept about certificates that are ordered."""

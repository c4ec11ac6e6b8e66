"""What the data plane would do with a connection or request, and which line of which file decided it."""

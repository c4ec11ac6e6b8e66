"""What a fleet keeps in its store: the values under its keys, and changes of several of them at once."""

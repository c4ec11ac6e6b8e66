"""What should run, and how two states differ."""

"""What a configuration is read from beside its main file."""

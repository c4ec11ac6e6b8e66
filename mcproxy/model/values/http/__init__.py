"""Values that only HTTP routing has."""

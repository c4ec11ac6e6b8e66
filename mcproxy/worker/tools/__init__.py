"""What all connections share."""

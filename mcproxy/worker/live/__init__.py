"""The live snapshot, prepared for the data path."""

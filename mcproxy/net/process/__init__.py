"""The process itself: signals that are held back, and rights that it gives up."""

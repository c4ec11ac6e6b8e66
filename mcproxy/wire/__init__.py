"""Wire formats without I/O: bytes in, events out. "Need more", "event" and "error" are three different results."""

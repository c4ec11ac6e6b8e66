"""`mcproxy`."""

"""`mcproxyctl`."""

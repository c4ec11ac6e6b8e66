"""Log, lock, service manager."""

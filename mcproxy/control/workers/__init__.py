"""The worker processes, and the sockets they serve."""

"""The native data path of a worker: what the core is told of the snapshot, and what it leaves to Python."""

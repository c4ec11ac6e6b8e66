"""Generations that were live: the state of each, and which of them a resource is as it is from."""

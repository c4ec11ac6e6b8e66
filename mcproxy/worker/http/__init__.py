"""Clients' HTTP connections."""

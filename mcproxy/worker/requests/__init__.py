"""Requests of clients: which way each goes, and what is counted and told of it."""

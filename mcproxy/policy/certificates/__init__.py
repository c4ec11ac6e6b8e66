"""Certificates of clients: who they are by these, and whether that is one of those who are let in."""

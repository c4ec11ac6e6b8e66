"""Certificates that are ordered from a CA."""

"""Metrics, health, status page."""

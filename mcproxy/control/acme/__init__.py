"""Certificates from a CA by ACME (RFC 8555): accounts, orders, challenges, files, renewal.

The protocol is spoken in threads, a thread per order; the manager belongs to the event loop and decides what is due. What an
order needs to go on after a crash is written down before it is needed: the key before the order, the order's URL
before its challenges.
"""

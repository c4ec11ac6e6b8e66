"""What the configuration says of certificates that are ordered from a CA by ACME (RFC 8555)."""

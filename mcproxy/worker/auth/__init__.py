"""Guards that have to ask before a request may pass: for a password's hash, or another server."""

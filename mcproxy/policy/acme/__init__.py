"""When certificates are ordered: renewal, waiting after failures, and how many orders an hour. All times are seconds since 1970."""

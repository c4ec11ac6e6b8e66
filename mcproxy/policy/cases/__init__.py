"""Which case of a route a request falls into, and the ways in which its path can be read."""

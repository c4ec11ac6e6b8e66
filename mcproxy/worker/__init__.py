"""The data plane: one process that accepts, routes and relays connections. Knows control only as a channel."""

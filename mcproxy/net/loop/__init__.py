"""The data path's own loop: socket events, time limits, relays."""

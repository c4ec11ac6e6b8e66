"""The admin API's methods about the fleet that this machine is a node of."""

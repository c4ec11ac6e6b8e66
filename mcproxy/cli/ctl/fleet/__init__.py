"""The commands of `mcproxyctl` about the fleet that the server is a node of."""

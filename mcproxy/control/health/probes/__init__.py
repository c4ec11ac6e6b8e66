"""One check of one endpoint."""

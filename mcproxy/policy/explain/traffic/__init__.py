"""Which requests of the past two configurations answer differently, by the lines of an access log."""

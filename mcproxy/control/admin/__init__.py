"""The gRPC admin API."""

"""The fleet's store: a thin client of etcd."""

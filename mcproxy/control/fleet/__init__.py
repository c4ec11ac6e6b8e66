"""Many nodes with one configuration, which etcd keeps."""

"""The command lines `mcproxy` and `mcproxyctl`."""

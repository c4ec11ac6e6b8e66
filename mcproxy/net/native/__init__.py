"""The native data path: the C library in `mcproxy/native`, how it is built, found and called."""

"""Thin shells over the operating system: epoll, sockets, shared memory, descriptor passing, the relay."""

"""What should run: the file's shape, the resolved state, and the difference of two states. Pure: no I/O, no clock."""

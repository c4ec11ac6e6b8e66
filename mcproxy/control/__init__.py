"""The control plane: reads the file, binds the sockets, supervises the workers. Moves no client bytes."""

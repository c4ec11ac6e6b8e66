/* What is done to single sockets, as net/sockets does it. */
#ifndef MCPROXY_SOCKETS_H
#define MCPROXY_SOCKETS_H

#include <stdbool.h>

/* Make the coming close send RST instead of FIN. */
void socket_reset_on_close(int fd);

/* Have the kernel look, at its own intervals, whether a silent peer is still there. */
void socket_keep_alive(int fd);

/* Have a socket count as readable when `size` bytes are there (SO_RCVLOWAT), or at the end of the stream. */
void socket_wake_at(int fd, int size);

/* Send what is written at once (TCP_NODELAY). */
void socket_send_at_once(int fd);

/* Returns and clears the pending error, 0 for none. */
int socket_error(int fd);

/* Returns whether the peer has reset a connection, or the kernel has given it up; `local`: it is a Unix socket. */
bool socket_is_broken(int fd, bool local);

#endif

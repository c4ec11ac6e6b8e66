/* The core's epoll set, and whom its events reach.
 *
 * Connections' sockets are registered once, edge-triggered, and never modified: whoever handles an event keeps flags of its
 * own. Listening sockets stay level-triggered, because an edge is lost after EMFILE.
 *
 * What comes with an event is a connection's id, bit 0 of it saying which side; or the place of a listening socket, which
 * is smaller than any id. An id is never used again, so an event of what was closed in the same batch reaches nobody.
 */
#ifndef MCPROXY_POLL_H
#define MCPROXY_POLL_H

#include <stdint.h>
#include <sys/epoll.h>

struct mcp_core;
struct conn;

enum { HANGUP = EPOLLRDHUP | EPOLLHUP | EPOLLERR, READABLE = EPOLLIN | HANGUP };

int poll_watch_listening(struct mcp_core *core, int fd, uint32_t place);

/* Register the socket of a side. */
int poll_watch(struct mcp_core *core, const struct conn *conn, int side);

/* Unregister a socket that stays open. */
void poll_forget(struct mcp_core *core, int fd);

/* Handle events, BATCH at most. */
void poll_events(struct mcp_core *core);

#endif

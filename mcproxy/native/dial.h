/* Dialing one address. */
#ifndef MCPROXY_DIAL_H
#define MCPROXY_DIAL_H

#include <stddef.h>
#include <stdint.h>

struct mcp_core;
struct conn;

/* Connect to an address (a sockaddr). The connection may be over when this returns: then it was handed to Python. */
void dial_begin(struct mcp_core *core, struct conn *conn, const void *address, size_t length);

/* Handle an event of the backend's socket. */
void dial_event(struct mcp_core *core, struct conn *conn, uint32_t mask);

/* See to it that the client has not gone meanwhile; an event of its socket has been noted. */
void dial_client_event(struct mcp_core *core, struct conn *conn);

/* Hand the connection to Python: its backend was not reached, for `error`, or its client has gone (0). */
void dial_fail(struct mcp_core *core, struct conn *conn, int error);

/* Returns when the dial takes too long (monotonic seconds). */
double dial_until(const struct mcp_core *core, const struct conn *conn);

#endif

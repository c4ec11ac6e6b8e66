/* The time limits of connections, and what becomes of those that exceed them. */
#ifndef MCPROXY_LIMITS_H
#define MCPROXY_LIMITS_H

#include "core.h"

struct conn;

/* Close or hand over a connection whose time is over; else have it looked at again in time. */
void limits_check(struct mcp_core *core, struct conn *conn);

/* Returns the seconds that a dial for a route may take. */
double limits_connect(const struct mcp_core *core, const struct mcp_route *route);

/* Have a new relay looked at in time; the limit set for its dial is kept if that is early enough. */
void limits_relay(struct mcp_core *core, struct conn *conn);

#endif

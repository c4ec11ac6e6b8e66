/* The course of a connection from accept to its relay. */
#ifndef MCPROXY_COURSE_H
#define MCPROXY_COURSE_H

#include <stdint.h>

struct mcp_core;
struct mcp_listener;
struct conn;
struct peer;

/* Begin with a connection that is admitted. It may be over when this returns: then it was handed to Python. */
void course_begin(struct mcp_core *core, struct conn *conn, struct mcp_listener *listener, int fd,
                  const struct peer *peer);

/* Handle an event before the relay. */
void course_event(struct mcp_core *core, struct conn *conn, int side, uint32_t mask);

/* Hand a connection without a route to Python, for `reason` or because it is odd. */
void course_decline(struct mcp_core *core, struct conn *conn, uint8_t reason);

#endif

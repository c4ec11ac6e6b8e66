/* The relay: bytes between two connected sockets. */
#ifndef MCPROXY_RELAY_H
#define MCPROXY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct mcp_core;
struct conn;

/* Join client and backend; `mask` is what epoll has told of the backend's socket. */
void relay_begin(struct mcp_core *core, struct conn *conn, uint32_t mask);

/* Handle an event of a side's socket. */
void relay_event(struct mcp_core *core, struct conn *conn, int side, uint32_t mask);

/* Go on with a share of those that stopped before their sockets were drained; returns whether some are left. */
bool relay_again(struct mcp_core *core);

#endif

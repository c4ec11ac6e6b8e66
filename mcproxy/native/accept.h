/* Accepting connections. */
#ifndef MCPROXY_ACCEPT_H
#define MCPROXY_ACCEPT_H

#include <stdbool.h>

#include "listeners.h"

/* Accept one connection, and begin with it; returns whether there may be more. */
bool accept_one(struct mcp_core *core, struct listening_socket *socket);

#endif

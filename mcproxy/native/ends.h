/* How connections leave the core. */
#ifndef MCPROXY_ENDS_H
#define MCPROXY_ENDS_H

#include <stdbool.h>

#include "core.h"

struct conn;

/* End a connection: nothing happens to it any more, and its sockets are closed when the batch in hand is over. */
void conn_end(struct mcp_core *core, struct conn *conn);

/* Close the sockets of those that have ended, tell of them, and of tables without users. Returns whether some are left, as
 * there was no room for records. */
bool ends_bury(struct mcp_core *core);

/* Give a connection that has no backend's socket to Python by a record; it is over here. */
void conn_hand_over(struct mcp_core *core, struct conn *conn, enum mcp_kind kind);

/* The same without a record; returns the client's descriptor. */
int conn_let_go(struct mcp_core *core, struct conn *conn);

/* Close all, tell nobody. */
void ends_destroy(struct mcp_core *core);

#endif

/* What Python is told. */
#ifndef MCPROXY_RECORDS_H
#define MCPROXY_RECORDS_H

#include <stdbool.h>

#include "core.h"

struct conn;

struct peer;

enum {
    AFTER_GATE = 2,   /* records that may follow MCP_ASK_GATE, as Python answers: MCP_CHOOSE, MCP_DIAL_FAILED */
    AFTER_CHOICE = 1, /* those that may follow MCP_CHOOSE */
    PER_EVENT = 4,    /* records that one event may leave with all that follows: MCP_ASK_GATE and MCP_PAUSED at most */
};

/* Begin anew: Python has handled what there was. */
void records_begin(struct mcp_core *core);

/* Returns whether there is room for a record, beside those that are reserved. */
bool records_room(const struct mcp_core *core);

/* Keep room for what the answer to a record may leave; or give it back when the answer has come. */
void records_reserve(struct mcp_core *core, uint32_t number);
void records_unreserve(struct mcp_core *core, uint32_t number);

/* Write down a peer's address. */
void record_peer(struct mcp_record *record, const struct peer *peer);

/* Write down what is known of a connection. */
void record_describe(struct mcp_record *record, const struct conn *conn);

/* Add a record about a connection; the caller completes it, and has seen to it that there is room. */
struct mcp_record *record_conn(struct mcp_core *core, enum mcp_kind kind, const struct conn *conn);

/* Add a record about nothing yet, likewise. */
struct mcp_record *record_new(struct mcp_core *core, enum mcp_kind kind);

#endif

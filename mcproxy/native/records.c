#include "records.h"

#include <string.h>

#include "state.h"

/* There is room for whatever a batch of events leaves. What else is told, ends above all, waits where there is none. */
_Static_assert(BATCH * PER_EVENT <= MCP_RECORDS, "records of a batch");

void records_begin(struct mcp_core *core)
{
    core->state.count = 0;
    core->reserved = 0;
}

bool records_room(const struct mcp_core *core)
{
    return core->state.count + core->reserved < MCP_RECORDS;
}

void records_reserve(struct mcp_core *core, uint32_t number)
{
    core->reserved += number;
}

void records_unreserve(struct mcp_core *core, uint32_t number)
{
    core->reserved -= number < core->reserved ? number : core->reserved;
}

static void clear(struct mcp_record *record)
{
    memset(record, 0, offsetof(struct mcp_record, name));
    record->fd = record->route = record->endpoint = -1;
}

void record_peer(struct mcp_record *record, const struct peer *peer)
{
    record->family = peer->family;
    record->port = peer->port;
    record->flowinfo = peer->flowinfo;
    record->scope = peer->scope;
    memcpy(record->address, peer->address, sizeof record->address);
}

void record_describe(struct mcp_record *record, const struct conn *conn)
{
    clear(record);
    record->conn = conn->id;
    record->listener = conn->listener->setup.tag;
    record->received = conn->sides[CLIENT].moved;
    record->sent = conn->sides[BACKEND].moved;
    record->token = conn->token;
    record->started = conn->started;
    record->dialed = conn->dialed;
    record->dial_seconds = conn->dial_seconds;
    record->active = conn->active;
    record->endpoint = conn->endpoint;
    record->error = conn->error;
    record->mask = conn->mask;
    record->flags = conn->flags | (conn->chosen ? MCP_CHOSEN : 0u);
    record->stage = conn->stage;
    record->reason = conn->reason;
    if (conn->table) {
        record->table = conn->table->number;
        record->route = (int32_t)(conn->route - conn->table->routes);
    }
    record_peer(record, &conn->peer);
    record->name_length = conn->name_length;
    memcpy(record->name, conn->name, conn->name_length);
}

struct mcp_record *record_new(struct mcp_core *core, enum mcp_kind kind)
{
    struct mcp_record *record = &core->records[core->state.count++];
    clear(record);
    record->kind = kind;
    return record;
}

struct mcp_record *record_conn(struct mcp_core *core, enum mcp_kind kind, const struct conn *conn)
{
    struct mcp_record *record = &core->records[core->state.count++];
    record_describe(record, conn);
    record->kind = kind;
    return record;
}

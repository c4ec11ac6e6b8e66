/* What a connection is counted by is counted down after its sockets are closed: a limit must not be exceeded meanwhile. */
#include "ends.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "poll.h"
#include "records.h"
#include "sockets.h"
#include "state.h"

void conn_end(struct mcp_core *core, struct conn *conn)
{
    if (conn->ended)
        return;
    if (conn->again)
        list_remove(&conn->turn);
    conn->again = 0;
    conn->ended = true;
    list_append(&core->ended, &conn->turn);
    timer_cancel(conn);
    for (int i = 0; i < 2; i++) {
        struct side *side = &conn->sides[i];
        pipe_release(&core->pipes, side);
        free(side->buffer);
        side->buffer = NULL;
    }
}

/* Count a connection among those that drain no more, if it did. */
static void leave_draining(struct mcp_core *core, struct conn *conn)
{
    if (conn->flags & MCP_DRAINING)
        count_down(core, core->settings.draining);
    conn->flags &= (uint8_t)~MCP_DRAINING;
}

/* Give back its place, and what it used. */
static void discard(struct mcp_core *core, struct conn *conn)
{
    if (conn->chosen)
        endpoint_leave(conn->chosen);
    if (conn->table)
        table_leave(conn->table);
    listener_leave(conn->listener);
    conn_free(core, conn);
}

/* Returns whether Python wants to know how a connection has ended; `logged`: its line is written. */
static bool is_told(const struct mcp_core *core, const struct conn *conn, bool logged)
{
    if ((core->settings.tell & MCP_TELL_ENDED && !logged) || conn->flags & MCP_COUNTED)
        return true;
    if (conn->endpoint >= 0 && !conn->chosen)
        return true;
    const bool left = conn->first == FIRST_CLIENT && (conn->error == ECONNRESET || conn->error == EPIPE);
    if (conn->reason != MCP_NO_REASON || (conn->error && !left))
        return true; /* somebody may ask why it was cut off */
    const bool silent = conn->flags & MCP_JOINED && conn->sides[BACKEND].moved == 0;
    return silent && conn->first != FIRST_CLIENT;
}

/* Write the line of a connection, if somebody wants it and it has ended as nearly all do. */
static bool write_line(struct mcp_core *core, const struct conn *conn)
{
    const bool ordinary = conn->flags & MCP_JOINED && conn->sides[BACKEND].moved && !conn->error && !conn->reason;
    return core->settings.tell & MCP_TELL_ENDED && ordinary && lines_write(core, conn);
}

static void bury(struct mcp_core *core, struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        if (conn->sides[i].fd >= 0)
            close(conn->sides[i].fd);
    }
    if (conn->route)
        count_down(core, conn->route->active);
    if (conn->chosen)
        endpoint_count(core, conn->chosen, conn);
    listener_release(conn->listener);
    leave_draining(core, conn);
    if (conn->first == FIRST_CLIENT)
        conn->flags |= MCP_CLIENT_FIRST;
    const bool logged = write_line(core, conn);
    if (is_told(core, conn, logged))
        record_conn(core, MCP_ENDED, conn)->flags |= logged ? MCP_LOGGED : 0u;
    discard(core, conn);
}

static void tell_freed(struct mcp_core *core)
{
    while (core->freed && records_room(core)) {
        struct mcp_table *table = core->freed;
        core->freed = table->next_freed;
        record_new(core, MCP_TABLE_FREED)->table = table->number;
        table_destroy(table);
    }
}

bool ends_bury(struct mcp_core *core)
{
    while (!list_is_empty(&core->ended) && records_room(core)) {
        struct conn *conn = CONN_OF(core->ended.next, turn);
        list_remove(&conn->turn);
        bury(core, conn);
    }
    tell_freed(core);
    return !list_is_empty(&core->ended) || core->freed;
}

int conn_let_go(struct mcp_core *core, struct conn *conn)
{
    const int fd = conn->sides[CLIENT].fd;
    if (conn->watched)
        poll_forget(core, fd);
    if (conn->low_water)
        socket_wake_at(fd, 1);
    timer_cancel(conn);
    leave_draining(core, conn);
    discard(core, conn);
    return fd;
}

void conn_hand_over(struct mcp_core *core, struct conn *conn, enum mcp_kind kind)
{
    struct mcp_record *record = record_conn(core, kind, conn);
    record->active = conn->limit;
    record->fd = conn_let_go(core, conn);
}

static void close_quietly(struct mcp_core *core, struct conn *conn)
{
    conn_end(core, conn);
    for (int i = 0; i < 2; i++) {
        if (conn->sides[i].fd >= 0)
            close(conn->sides[i].fd);
    }
    discard(core, conn);
}

void ends_destroy(struct mcp_core *core)
{
    conns_each(core, close_quietly);
    while (core->freed) {
        struct mcp_table *table = core->freed;
        core->freed = table->next_freed;
        table_destroy(table);
    }
}

static struct conn *find_open(const struct mcp_core *core, uint64_t id)
{
    struct conn *conn = conn_find(core, id);
    if (conn && !conn->ended)
        return conn;
    errno = ENOENT;
    return NULL;
}

MCP_API int mcp_count_client(mcp_core *core, uint64_t id, int64_t token)
{
    struct conn *conn = find_open(core, id);
    if (!conn)
        return -1;
    conn->token = token;
    conn->flags |= MCP_ENTERED | MCP_COUNTED;
    return 0;
}

MCP_API int mcp_close(mcp_core *core, uint64_t id, uint8_t reason)
{
    struct conn *conn = find_open(core, id);
    if (!conn)
        return -1;
    if (!conn->reason)
        conn->reason = reason;
    conn_end(core, conn);
    return 0;
}

MCP_API int mcp_drain(mcp_core *core, uint64_t id, double limit)
{
    struct conn *conn = find_open(core, id);
    if (!conn)
        return -1;
    if (!(conn->flags & MCP_DRAINING))
        count_up(core, core->settings.draining, 1);
    conn->flags |= MCP_DRAINING;
    if (limit < conn->limit)
        conn->limit = limit;
    timer_set(core, conn, conn->limit);
    return 0;
}

/* accept -> [gate] -> peek the hello -> route -> [choose] -> dial; see worker/frontend/connection for the same in Python.
 *
 * Nothing is consumed here, so Python can be given the socket at any time, as if nobody had looked at it.
 */
#include "course.h"

#include <errno.h>
#include <sys/socket.h>

#include "dial.h"
#include "ends.h"
#include "hello.h"
#include "poll.h"
#include "records.h"
#include "sockets.h"
#include "state.h"

void course_decline(struct mcp_core *core, struct conn *conn, uint8_t reason)
{
    conn->reason = reason;
    conn_hand_over(core, conn, MCP_DECLINED);
}

static void choose(struct mcp_core *core, struct conn *conn)
{
    struct endpoint *chosen = conn->chosen = upstream_take(core, conn->route->upstream);
    if (chosen) {
        conn->endpoint = (int32_t)chosen->is.index;
        dial_begin(core, conn, chosen->is.address, chosen->is.address_length);
        return;
    }
    conn->stage = MCP_CHOICE;
    record_conn(core, MCP_CHOOSE, conn);
    records_reserve(core, AFTER_CHOICE);
}

/* Give the connection the route that serves a name. */
static void lead(struct mcp_core *core, struct conn *conn, size_t length)
{
    struct mcp_table *table = conn->listener->table;
    bool exact;
    const int32_t number = table ? routes_find(table, conn->name, length, &exact) : -1;
    if (number < 0 || table->routes[number].kind == MCP_ROUTE_PYTHON) {
        course_decline(core, conn, MCP_NO_REASON);
        return;
    }
    table_use(table);
    conn->table = table;
    conn->route = &table->routes[number];
    conn->sides[CLIENT].counter = conn->route->received;
    conn->sides[BACKEND].counter = conn->route->sent;
    if (exact)
        conn->flags |= MCP_EXACT;
    else
        conn->name_length = (uint16_t)length;
    count_up(core, conn->route->connections, 1);
    count_up(core, conn->route->active, 1);
    if (conn->route->kind == MCP_ROUTE_UPSTREAM)
        choose(core, conn);
    else
        dial_begin(core, conn, conn->route->address, conn->route->address_length);
}

/* Wait until `need` bytes are there; a client that has stopped sending is Python's to refuse. */
static void wait_for(struct mcp_core *core, struct conn *conn, size_t need)
{
    if (conn->mask) {
        course_decline(core, conn, MCP_NO_REASON);
        return;
    }
    socket_wake_at(conn->sides[CLIENT].fd, (int)need);
    conn->low_water = true;
    if (conn->watched)
        return;
    if (poll_watch(core, conn, CLIENT)) {
        course_decline(core, conn, MCP_NO_REASON);
        return;
    }
    conn->watched = true;
    conn->hello_until = core->now + core->settings.client_hello;
    timer_set(core, conn, conn->hello_until);
}

/* Go on if the hello is complete, and an ordinary one. */
static void peek_hello(struct mcp_core *core, struct conn *conn)
{
    size_t need = 1;
    int length = MCP_HELLO_ODD;
    const ssize_t size = recv(conn->sides[CLIENT].fd, core->buffer, HELLO_MOST, MSG_PEEK);
    if (size > 0)
        length = hello_read(core->buffer, (size_t)size, conn->name, &need);
    else if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        length = MCP_HELLO_NEED;
    if (length >= 0)
        lead(core, conn, (size_t)length);
    else if (length == MCP_HELLO_NEED)
        wait_for(core, conn, need);
    else
        course_decline(core, conn, MCP_NO_REASON);
}

static void enter(struct mcp_core *core, struct conn *conn)
{
    conn->stage = MCP_HELLO;
    if (conn->listener->blind)
        lead(core, conn, 0);
    else
        peek_hello(core, conn);
}

void course_begin(struct mcp_core *core, struct conn *conn, struct mcp_listener *listener, int fd,
                  const struct peer *peer)
{
    conn->listener = listener;
    listener->users++;
    conn->sides[CLIENT].fd = fd;
    conn->peer = *peer;
    conn->started = core->now;
    if (!(core->settings.tell & MCP_ASK)) {
        enter(core, conn);
        return;
    }
    conn->stage = MCP_GATE;
    record_conn(core, MCP_ASK_GATE, conn);
    records_reserve(core, AFTER_GATE);
}

void course_event(struct mcp_core *core, struct conn *conn, int side, uint32_t mask)
{
    if (side == BACKEND) {
        dial_event(core, conn, mask);
        return;
    }
    conn->mask |= mask & HANGUP;
    if (conn->stage == MCP_DIAL)
        dial_client_event(core, conn);
    else if (conn->stage == MCP_HELLO && mask & READABLE)
        enter(core, conn); /* its listener may be a blind one by now */
}

static struct conn *find_at(const struct mcp_core *core, uint64_t id, enum mcp_stage stage)
{
    struct conn *conn = conn_find(core, id);
    if (conn && !conn->ended && conn->stage == stage)
        return conn;
    errno = ENOENT;
    return NULL;
}

/* Find the connection that Python answers about. What the answer leaves has its room, unless it comes in a later run. */
static struct conn *find_asked(struct mcp_core *core, uint64_t id, enum mcp_stage stage, uint32_t reserved)
{
    struct conn *conn = find_at(core, id, stage);
    if (!conn)
        return NULL;
    records_unreserve(core, reserved);
    if (records_room(core))
        return conn;
    errno = EAGAIN;
    return NULL;
}

MCP_API int mcp_enter(mcp_core *core, uint64_t id, int64_t token, int counted)
{
    struct conn *conn = find_asked(core, id, MCP_GATE, AFTER_GATE);
    if (!conn)
        return -1;
    conn->flags |= counted ? MCP_ENTERED | MCP_COUNTED : MCP_ENTERED;
    conn->token = token;
    enter(core, conn);
    return 0;
}

MCP_API int mcp_dial(mcp_core *core, uint64_t id, int32_t endpoint, const void *address, size_t length)
{
    struct conn *conn = find_asked(core, id, MCP_CHOICE, AFTER_CHOICE);
    if (!conn)
        return -1;
    conn->endpoint = endpoint;
    dial_begin(core, conn, address, length);
    return 0;
}

MCP_API int mcp_take(mcp_core *core, uint64_t id)
{
    struct conn *conn = find_at(core, id, MCP_GATE);
    if (!conn)
        conn = find_at(core, id, MCP_CHOICE);
    if (!conn)
        return -1;
    records_unreserve(core, conn->stage == MCP_GATE ? AFTER_GATE : AFTER_CHOICE);
    return conn_let_go(core, conn);
}

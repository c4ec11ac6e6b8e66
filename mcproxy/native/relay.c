/* Bytes between two connected sockets, both ways, with half-close and back-pressure; as net/loop/relay has it.
 *
 * Each side owns the flow *from* its socket to the other one:
 *
 *  readable  the kernel may have more. Edge-triggered epoll tells once, so it stays set until a short read or EAGAIN says that
 *            the socket is drained. After a hang-up only end-of-file or an error drains it.
 *  blocked   the other socket took less than there was. Nothing is read until its writable edge; the kernel's receive window
 *            then holds the sender back, so a relay never holds more than one read (256 KiB) or one piece in a pipe (32 KiB).
 *  done      end-of-file was read, and passed on as a half-close.
 *
 * Bytes go through one buffer that all relays share. A flow that fills it, or meets a partial send, is bulk: it gets a pipe
 * from the pool and moves by splice(2) from then on, until it calms down. Where no pipe is to be had it goes on copying.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ends.h"
#include "limits.h"
#include "poll.h"
#include "sockets.h"
#include "state.h"

enum {
    TURN = 1 << 20,  /* bytes that one flow may move before the others get their turn */
    PIECE = 1 << 15, /* bytes that are spliced at a time: so few that the caches still have their pages when these are used again */
    CALM = 1 << 16,  /* a spliced flow that moved less than this since its last wake-up gives its pipe back */
    SPLICE = SPLICE_F_NONBLOCK | SPLICE_F_MOVE,
};

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* End both sides with a reset: what a peer has got must not look complete. */
static void fail(struct mcp_core *core, struct conn *conn, int error)
{
    if (conn->ended)
        return;
    const struct side *client = &conn->sides[CLIENT], *backend = &conn->sides[BACKEND];
    /* A backend that has ended in its turn, behind the client's end, looks the same as one that has broken off. */
    const bool in_turn = client->done && socket_is_broken(client->fd, false);
    const bool broken = !in_turn && socket_is_broken(backend->fd, conn->local);
    socket_reset_on_close(client->fd);
    socket_reset_on_close(backend->fd);
    conn->error = error;
    if (broken && backend->done)
        conn->flags |= MCP_LATE_RESET;
    else
        conn->first = broken ? FIRST_BACKEND : FIRST_CLIENT;
    conn_end(core, conn);
}

static void moved(struct mcp_core *core, struct conn *conn, int i, size_t size)
{
    core->moved += size;
    conn->sides[i].moved += size;
    count_up(core, conn->sides[i].counter, size);
}

/* Pass on the end of a flow. */
static void finish(struct mcp_core *core, struct conn *conn, int i)
{
    conn->sides[i].done = true;
    conn->sides[i].readable = false;
    if (conn->sides[!i].done) {
        conn_end(core, conn);
        return;
    }
    conn->first = i == CLIENT ? FIRST_CLIENT : FIRST_BACKEND;
    conn->stage = MCP_HALF_CLOSED;
    if (shutdown(conn->sides[!i].fd, SHUT_WR))
        fail(core, conn, errno);
}

/* Have a flow go on after the others. */
static void stop_here(struct mcp_core *core, struct conn *conn, int i)
{
    if (!conn->again)
        list_append(&core->again, &conn->turn);
    conn->again |= (uint8_t)(1 << i);
}

static bool upgrade(struct mcp_core *core, struct side *side)
{
    return side->pipe_read >= 0 || pipe_acquire(&core->pipes, side);
}

/* Sends what is there; returns how much was taken, or -1 if the relay has failed. */
static ssize_t send_some(struct mcp_core *core, struct conn *conn, int i, const uint8_t *data, size_t size)
{
    ssize_t sent = send(conn->sides[!i].fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (!would_block()) {
            fail(core, conn, errno);
            return -1;
        }
        sent = 0;
    }
    moved(core, conn, i, (size_t)sent);
    return sent;
}

/* Keep what was read and not taken. It is copied to memory of its own: seldom, since bulk is spliced from then on. */
static void keep(struct mcp_core *core, struct conn *conn, int i, const uint8_t *data, size_t size)
{
    struct side *side = &conn->sides[i];
    side->buffer = malloc(size);
    if (!side->buffer) {
        fail(core, conn, ENOMEM);
        return;
    }
    memcpy(side->buffer, data, size);
    side->sent = 0;
    side->pending = (uint32_t)size;
    side->blocked = true;
    upgrade(core, side);
}

/* Sends what was kept; returns whether all is gone. */
static bool flush(struct mcp_core *core, struct conn *conn, int i)
{
    struct side *side = &conn->sides[i];
    const ssize_t sent = send_some(core, conn, i, side->buffer + side->sent, side->pending);
    if (sent < 0)
        return false;
    side->sent += (uint32_t)sent;
    side->pending -= (uint32_t)sent;
    side->blocked = side->pending > 0;
    if (side->blocked)
        return false;
    free(side->buffer);
    side->buffer = NULL;
    return true;
}

/* Empties the pipe; returns whether that is done. */
static bool drain_pipe(struct mcp_core *core, struct conn *conn, int i, size_t *total)
{
    struct side *side = &conn->sides[i];
    while (side->piped) {
        const ssize_t size = splice(side->pipe_read, NULL, conn->sides[!i].fd, NULL, side->piped, SPLICE);
        if (size < 0) {
            if (would_block())
                side->blocked = true;
            else
                fail(core, conn, errno);
            return false;
        }
        side->piped -= (uint32_t)size;
        *total += (size_t)size;
        moved(core, conn, i, (size_t)size);
    }
    return true;
}

static void splice_flow(struct mcp_core *core, struct conn *conn, int i)
{
    struct side *side = &conn->sides[i];
    size_t total = 0;
    for (;;) {
        if (!drain_pipe(core, conn, i, &total))
            return;
        if (total >= TURN) {
            stop_here(core, conn, i);
            return;
        }
        const ssize_t size = splice(side->fd, NULL, side->pipe_write, NULL, PIECE, SPLICE);
        if (size < 0 && !would_block()) {
            fail(core, conn, errno);
            return;
        }
        if (size < 0) { /* the pipe is empty, so it is the socket that is drained */
            side->readable = false;
            if (total < CALM)
                pipe_release(&core->pipes, side);
            return;
        }
        if (size == 0) {
            pipe_release(&core->pipes, side);
            finish(core, conn, i);
            return;
        }
        side->piped = (uint32_t)size;
    }
}

/* Copies one read; returns its size, 0 if there is nothing more to be done now. */
static size_t copy_once(struct mcp_core *core, struct conn *conn, int i)
{
    struct side *side = &conn->sides[i];
    const ssize_t size = recv(side->fd, core->buffer, BUFFER, 0);
    if (size < 0) {
        if (would_block())
            side->readable = false;
        else
            fail(core, conn, errno);
        return 0;
    }
    if (size == 0) {
        finish(core, conn, i);
        return 0;
    }
    const ssize_t sent = send_some(core, conn, i, core->buffer, (size_t)size);
    if (sent < 0)
        return 0;
    if (sent < size) {
        keep(core, conn, i, core->buffer + sent, (size_t)(size - sent));
        return 0;
    }
    if (size < BUFFER && !side->hangup)
        side->readable = false;
    return (size_t)size;
}

static void copy_flow(struct mcp_core *core, struct conn *conn, int i)
{
    struct side *side = &conn->sides[i];
    size_t total = 0;
    while (side->readable) {
        const size_t size = copy_once(core, conn, i);
        if (size == 0)
            return;
        if (size == BUFFER && upgrade(core, side)) {
            splice_flow(core, conn, i);
            return;
        }
        total += size;
        if (total >= TURN && side->readable) {
            stop_here(core, conn, i);
            return;
        }
    }
}

/* Move what there is to the other side, until one of the sockets has had enough or the turn is over. */
static void move(struct mcp_core *core, struct conn *conn, int i)
{
    struct side *side = &conn->sides[i];
    conn->active = core->now;
    if (side->pending && !flush(core, conn, i))
        return;
    if (side->pipe_read >= 0)
        splice_flow(core, conn, i);
    else
        copy_flow(core, conn, i);
}

void relay_event(struct mcp_core *core, struct conn *conn, int i, uint32_t mask)
{
    struct side *side = &conn->sides[i], *other = &conn->sides[!i];
    if (other->blocked && mask & EPOLLOUT) {
        other->blocked = false;
        move(core, conn, !i);
    }
    if (mask == EPOLLOUT || conn->ended)
        return;
    side->readable = true;
    if (mask & HANGUP)
        side->hangup = true;
    if (!side->blocked && !side->done)
        move(core, conn, i);
    if (mask & EPOLLERR && !conn->ended) /* no read tells of it: none was due, or it met the end-of-file before */
        fail(core, conn, socket_error(side->fd));
}

void relay_begin(struct mcp_core *core, struct conn *conn, uint32_t mask)
{
    conn->stage = MCP_RELAY;
    conn->active = core->now;
    limits_relay(core, conn);
    relay_event(core, conn, CLIENT, conn->mask | EPOLLIN);
    if (mask & READABLE && !conn->ended)
        relay_event(core, conn, BACKEND, mask);
}

static void go_on(struct mcp_core *core, struct conn *conn)
{
    const unsigned sides = conn->again;
    list_remove(&conn->turn);
    conn->again = 0;
    for (int i = 0; i < 2 && !conn->ended; i++) {
        const struct side *side = &conn->sides[i];
        if (sides & 1u << i && !side->blocked && !side->done)
            move(core, conn, i);
    }
}

bool relay_again(struct mcp_core *core)
{
    /* Only those that wait by now: what one moves brings it to the end again. */
    const struct list *last = core->again.prev;
    bool more = !list_is_empty(&core->again);
    for (int i = 0; more && i < AGAIN_MOST; i++) {
        struct list *first = core->again.next;
        more = first != last;
        go_on(core, CONN_OF(first, turn));
    }
    return !list_is_empty(&core->again);
}

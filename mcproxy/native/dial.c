/* A dial either succeeds or hands the connection to Python, which knows about other endpoints and about failures: not a
 * byte of the client has been consumed. */
#include "dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "limits.h"
#include "poll.h"
#include "records.h"
#include "relay.h"
#include "sockets.h"
#include "state.h"

enum { GONE = EPOLLERR | EPOLLHUP }; /* not EPOLLRDHUP: a client may half-close right after its hello */

/* As net/memory/histogram has them: upper bounds in microseconds, one more bucket for what is longer, and the sum. */
static const uint32_t histogram_bounds[] = {500,    1000,   2500,   5000,    10000,   25000,   50000,
                                            100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
enum { BOUNDS = sizeof histogram_bounds / sizeof *histogram_bounds };

static void observe(struct mcp_core *core, uint32_t histogram, double seconds)
{
    const uint64_t microseconds = seconds > 0 ? (uint64_t)(seconds * 1e6) : 0;
    uint32_t bucket = 0;
    while (bucket < BOUNDS && microseconds > histogram_bounds[bucket])
        bucket++;
    count_up(core, histogram + bucket, 1);
    count_up(core, histogram + BOUNDS + 1, microseconds);
}

void dial_fail(struct mcp_core *core, struct conn *conn, int error)
{
    struct side *backend = &conn->sides[BACKEND];
    if (backend->fd >= 0)
        close(backend->fd);
    backend->fd = -1;
    conn->error = error;
    conn_hand_over(core, conn, MCP_DIAL_FAILED);
}

/* Make a socket and connect it; returns an errno, 0 for success. */
static int connect_to(struct conn *conn, const struct sockaddr_storage *address, socklen_t length)
{
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    conn->sides[BACKEND].fd = fd;
    conn->local = address->ss_family == AF_UNIX;
    if (!conn->local)
        socket_send_at_once(fd);
    return connect(fd, (const struct sockaddr *)address, length) && errno != EINPROGRESS ? errno : 0;
}

static int watch_both(struct mcp_core *core, struct conn *conn)
{
    if (!conn->watched && poll_watch(core, conn, CLIENT))
        return errno;
    conn->watched = true;
    return poll_watch(core, conn, BACKEND) ? errno : 0;
}

void dial_begin(struct mcp_core *core, struct conn *conn, const void *address, size_t length)
{
    struct sockaddr_storage to;
    memset(&to, 0, sizeof to);
    memcpy(&to, address, length < sizeof to ? length : sizeof to);
    conn->stage = MCP_DIAL;
    conn->dialed = core->now;
    if (conn->low_water)
        socket_wake_at(conn->sides[CLIENT].fd, 1); /* from now on every byte counts */
    conn->low_water = false;
    int error = connect_to(conn, &to, (socklen_t)length);
    if (!error)
        error = watch_both(core, conn);
    if (error || conn->mask & GONE)
        dial_fail(core, conn, error);
    else
        timer_set(core, conn, dial_until(core, conn));
}

double dial_until(const struct mcp_core *core, const struct conn *conn)
{
    return conn->dialed + limits_connect(core, conn->route);
}

static void connected(struct mcp_core *core, struct conn *conn, uint32_t mask)
{
    conn->dial_seconds = core->now - conn->dialed;
    observe(core, conn->listener->setup.dial_seconds, conn->dial_seconds);
    conn->flags |= MCP_JOINED;
    if (core->settings.tell & MCP_TELL_CONNECTED)
        record_conn(core, MCP_CONNECTED, conn);
    relay_begin(core, conn, mask);
}

void dial_event(struct mcp_core *core, struct conn *conn, uint32_t mask)
{
    if (mask & HANGUP) {
        const int error = socket_error(conn->sides[BACKEND].fd);
        if (error) {
            dial_fail(core, conn, error);
            return;
        }
    }
    connected(core, conn, mask);
}

void dial_client_event(struct mcp_core *core, struct conn *conn)
{
    if (conn->mask & GONE)
        dial_fail(core, conn, 0);
}

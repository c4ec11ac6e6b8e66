/* As worker/frontend/relay_limits and Connection.on_deadline have them. */
#include "limits.h"

#include <errno.h>
#include <math.h>

#include "course.h"
#include "dial.h"
#include "ends.h"
#include "sockets.h"
#include "state.h"

double limits_connect(const struct mcp_core *core, const struct mcp_route *route)
{
    return route->connect_timeout < 0 ? core->settings.connect : route->connect_timeout;
}

static double idle_of(const struct mcp_core *core, const struct mcp_route *route)
{
    return route->idle_timeout < 0 ? core->settings.idle : route->idle_timeout;
}

void limits_relay(struct mcp_core *core, struct conn *conn)
{
    const double first = fmin(idle_of(core, conn->route), core->settings.half_closed);
    if (first < limits_connect(core, conn->route))
        timer_set(core, conn, conn->active + first);
}

static void look_again(struct mcp_core *core, struct conn *conn, double at)
{
    if (at < INFINITY)
        timer_set(core, conn, at);
}

/* What has not said enough by now is refused by Python, whatever the reason for the limit. */
static void check_hello(struct mcp_core *core, struct conn *conn)
{
    const double until = fmin(conn->hello_until, conn->limit);
    if (core->now < until)
        look_again(core, conn, until);
    else
        course_decline(core, conn, MCP_HELLO_TIMEOUT);
}

static void close_as(struct mcp_core *core, struct conn *conn, uint8_t reason)
{
    conn->reason = reason;
    conn_end(core, conn);
}

static void check_dial(struct mcp_core *core, struct conn *conn)
{
    const double until = dial_until(core, conn);
    if (core->now >= conn->limit)
        close_as(core, conn, MCP_DRAINED);
    else if (core->now >= until)
        dial_fail(core, conn, ETIMEDOUT);
    else
        look_again(core, conn, fmin(until, conn->limit));
}

static void check_relay(struct mcp_core *core, struct conn *conn)
{
    /* It has lived for a while, and may for long, so from now on the kernel looks whether its peers are still there. */
    socket_keep_alive(conn->sides[CLIENT].fd);
    socket_keep_alive(conn->sides[BACKEND].fd);
    const double half_closed = core->settings.half_closed;
    double idle = idle_of(core, conn->route), again = INFINITY;
    uint8_t reason = MCP_IDLE_TIMEOUT;
    if (conn->first == FIRST_NONE) {
        again = core->now + half_closed; /* to find in time that one side has ended */
    } else if (half_closed < idle) {
        idle = half_closed;
        reason = MCP_HALF_CLOSED_TIMEOUT;
    }
    const double stage = conn->active + idle, until = fmin(stage, conn->limit);
    if (core->now < until)
        look_again(core, conn, fmin(until, again));
    else
        close_as(core, conn, stage < conn->limit ? reason : MCP_DRAINED);
}

void limits_check(struct mcp_core *core, struct conn *conn)
{
    switch (conn->stage) {
    case MCP_HELLO:
        check_hello(core, conn);
        break;
    case MCP_DIAL:
        check_dial(core, conn);
        break;
    case MCP_RELAY:
    case MCP_HALF_CLOSED:
        check_relay(core, conn);
        break;
    default: /* Python is about to answer */
        look_again(core, conn, conn->limit);
    }
}

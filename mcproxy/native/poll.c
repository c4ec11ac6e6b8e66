#include "poll.h"

#include <stdbool.h>

#include "accept.h"
#include "course.h"
#include "relay.h"
#include "state.h"

static int watch(struct mcp_core *core, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(core->epoll, EPOLL_CTL_ADD, fd, &event);
}

int poll_watch_listening(struct mcp_core *core, int fd, uint32_t place)
{
    return watch(core, fd, EPOLLIN, place);
}

int poll_watch(struct mcp_core *core, const struct conn *conn, int side)
{
    const uint32_t stream = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    return watch(core, conn->sides[side].fd, stream, conn->id | (uint64_t)side);
}

void poll_forget(struct mcp_core *core, int fd)
{
    epoll_ctl(core->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static void on_event(struct mcp_core *core, const struct epoll_event *event)
{
    const uint64_t id = event->data.u64;
    if (id <= UINT32_MAX) {
        struct listening_socket *socket = listening_at(core, (uint32_t)id);
        if (socket)
            accept_one(core, socket);
        return;
    }
    struct conn *conn = conn_find(core, id & ~UINT64_C(1));
    if (!conn || conn->ended)
        return;
    if (conn->stage >= MCP_RELAY)
        relay_event(core, conn, (int)(id & 1), event->events);
    else
        course_event(core, conn, (int)(id & 1), event->events);
}

static int handle_some(struct mcp_core *core, int most)
{
    const int found = epoll_wait(core->epoll, core->events, most, 0);
    for (int i = 0; i < found; i++)
        on_event(core, &core->events[i]);
    return found > 0 ? found : 0;
}

/* Returns whether to ask for more events after so many. That costs less than a turn of Python's loop if there are some, and is
 * in vain otherwise: it is done as long as it pays, and tried now and then. Whoever moves much lets Python have its turn. */
static bool pays(struct mcp_core *core, int found)
{
    enum { BUSY = 4, TRY = 16, MUCH = 1 << 20 };
    if (!found || core->moved >= MUCH)
        return false;
    if (found >= BUSY || core->luck)
        return true;
    core->unlucky = (uint8_t)((core->unlucky + 1) % TRY);
    return core->unlucky == 0;
}

void poll_events(struct mcp_core *core)
{
    enum { LUCK = 8 }; /* times in vain until it is tried less often */
    int found = handle_some(core, BATCH), handled = found;
    while (handled < BATCH && pays(core, found)) {
        found = handle_some(core, BATCH - handled);
        handled += found;
        if (found)
            core->luck = LUCK;
        else if (core->luck)
            core->luck--;
    }
}

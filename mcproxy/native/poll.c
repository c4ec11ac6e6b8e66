#include "poll.h"

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

void poll_events(struct mcp_core *core)
{
    enum { BUSY = 4 }; /* events at once that tell of more to come while they are handled: asking again costs less than a turn */
    int handled = 0, found;
    do {
        found = epoll_wait(core->epoll, core->events, BATCH - handled, 0);
        for (int i = 0; i < found; i++)
            on_event(core, &core->events[i]);
        handled += found > 0 ? found : 0;
    } while (found >= BUSY && handled < BATCH);
}

/* The connection limit is exact over all workers, as net/memory/admission explains: a cell per worker with what it has
 * open, and a lock around adding them up, unless there is no limit. */
#include "listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "poll.h"
#include "state.h"

MCP_API mcp_listener *mcp_listener_new(mcp_core *core, const struct mcp_listener_setup *setup)
{
    struct mcp_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    listener->core = core;
    listener->setup = *setup;
    return listener;
}

MCP_API void mcp_listener_update(mcp_listener *listener, mcp_table *table, int blind)
{
    struct mcp_table *old = listener->table;
    listener->table = table;
    listener->blind = blind;
    if (old)
        table_leave(old);
}

static void free_unused(struct mcp_listener *listener)
{
    if (listener->removed && listener->users == 0)
        free(listener);
}

MCP_API void mcp_listener_free(mcp_listener *listener)
{
    mcp_listener_update(listener, NULL, 0);
    listener->removed = true;
    free_unused(listener);
}

void listener_leave(struct mcp_listener *listener)
{
    listener->users--;
    free_unused(listener);
}

/* Another process may write a cell, or the limit, while it is read. */
static uint64_t cell(const uint64_t *place)
{
    return __atomic_load_n(place, __ATOMIC_RELAXED);
}

static void add_own(struct mcp_listener *listener, uint64_t number)
{
    uint64_t *own = &listener->setup.cells[listener->setup.own];
    __atomic_store_n(own, *own + number, __ATOMIC_RELAXED);
}

static bool admit_within_limit(struct mcp_listener *listener)
{
    const uint64_t *cells = listener->setup.cells;
    const uint64_t slots = cell(listener->setup.slots_used);
    uint64_t open = 0;
    while (flock(listener->setup.lock, LOCK_EX) && errno == EINTR)
        ;
    for (uint64_t i = 1; i <= slots; i++)
        open += cell(&cells[i]);
    const bool admitted = open < cell(&cells[0]); /* it may have changed meanwhile */
    if (admitted)
        add_own(listener, 1);
    flock(listener->setup.lock, LOCK_UN);
    return admitted;
}

bool listener_admit(struct mcp_listener *listener)
{
    if (cell(&listener->setup.cells[0]))
        return admit_within_limit(listener);
    add_own(listener, 1);
    return true;
}

void listener_release(struct mcp_listener *listener)
{
    add_own(listener, UINT64_MAX);
}

static struct listening_socket *free_place(struct sockets *sockets)
{
    for (uint32_t i = 0; i < sockets->count; i++) {
        if (!sockets->places[i].listener)
            return &sockets->places[i];
    }
    const uint32_t count = sockets->count ? sockets->count * 2 : 16;
    struct listening_socket *places = realloc(sockets->places, count * sizeof *places);
    if (!places)
        return NULL;
    memset(places + sockets->count, 0, (count - sockets->count) * sizeof *places);
    sockets->places = places;
    struct listening_socket *first = &places[sockets->count];
    sockets->count = count;
    return first;
}

static int watch(struct mcp_core *core, const struct listening_socket *socket)
{
    return poll_watch_listening(core, socket->fd, (uint32_t)(socket - core->sockets.places));
}

MCP_API int mcp_listen(mcp_listener *listener, int fd)
{
    struct mcp_core *core = listener->core;
    struct listening_socket *socket = free_place(&core->sockets);
    if (!socket)
        return -1;
    *socket = (struct listening_socket){.listener = listener, .fd = fd};
    if (watch(core, socket) == 0)
        return 0;
    socket->listener = NULL;
    return -1;
}

struct listening_socket *listening_at(struct mcp_core *core, uint32_t place)
{
    struct listening_socket *socket = place < core->sockets.count ? &core->sockets.places[place] : NULL;
    return socket && socket->listener && !socket->paused ? socket : NULL;
}

struct listening_socket *listening_find(struct mcp_core *core, int fd)
{
    for (uint32_t i = 0; i < core->sockets.count; i++) {
        struct listening_socket *socket = &core->sockets.places[i];
        if (socket->listener && socket->fd == fd)
            return socket;
    }
    return NULL;
}

void listening_pause(struct mcp_core *core, struct listening_socket *socket)
{
    if (!socket->paused)
        poll_forget(core, socket->fd);
    socket->paused = true;
}

MCP_API void mcp_unlisten(mcp_core *core, int fd)
{
    struct listening_socket *socket = listening_find(core, fd);
    if (!socket)
        return;
    listening_pause(core, socket); /* other processes hold it, so closing it would not end its events */
    *socket = (struct listening_socket){0};
}

MCP_API int mcp_resume(mcp_core *core, int fd)
{
    struct listening_socket *socket = listening_find(core, fd);
    if (!socket || !socket->paused)
        return 0;
    if (watch(core, socket))
        return -1;
    socket->paused = false;
    return 0;
}

void listeners_destroy(struct mcp_core *core)
{
    free(core->sockets.places);
    core->sockets = (struct sockets){0};
}

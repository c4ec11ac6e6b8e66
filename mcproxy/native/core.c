/* The core as a whole: what it is made of, and how Python drives it. */
#include "core.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "accept.h"
#include "ends.h"
#include "poll.h"
#include "records.h"
#include "relay.h"
#include "state.h"

void core_tick(struct mcp_core *core)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    core->now = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void release(struct mcp_core *core)
{
    if (core->epoll >= 0)
        close(core->epoll);
    free(core->records);
    free(core->buffer);
    lines_destroy(&core->lines);
    free(core);
}

MCP_API mcp_core *mcp_core_new(uint64_t *words)
{
    struct mcp_core *core = calloc(1, sizeof *core);
    if (!core)
        return NULL;
    core->words = words;
    core->epoll = epoll_create1(EPOLL_CLOEXEC);
    core->records = calloc(MCP_RECORDS, sizeof *core->records);
    core->buffer = malloc(BUFFER);
    if (!lines_begin(&core->lines) || core->epoll < 0 || !core->records || !core->buffer) {
        const int error = errno;
        release(core);
        errno = error;
        return NULL;
    }
    list_init(&core->again);
    list_init(&core->ended);
    upstreams_begin(&core->upstreams);
    core_tick(core);
    timers_begin(&core->timers, core->now);
    core->settings = (struct mcp_settings){.connect = INFINITY, .idle = INFINITY, .half_closed = INFINITY,
                                           .client_hello = INFINITY, .ceiling = INT32_MAX};
    return core;
}

MCP_API void mcp_core_free(mcp_core *core)
{
    ends_destroy(core);
    conns_destroy(core);
    listeners_destroy(core);
    upstreams_destroy(&core->upstreams);
    pipes_destroy(&core->pipes);
    release(core);
}

MCP_API int mcp_core_fd(const mcp_core *core)
{
    return core->epoll;
}

MCP_API const struct mcp_record *mcp_records(const mcp_core *core)
{
    return core->records;
}

MCP_API const struct mcp_state *mcp_core_state(const mcp_core *core)
{
    return &core->state;
}

MCP_API void mcp_configure(mcp_core *core, const struct mcp_settings *settings)
{
    core->settings = *settings;
}

MCP_API void mcp_tell(mcp_core *core, uint32_t tell)
{
    core->settings.tell = tell;
}

static void begin(struct mcp_core *core)
{
    core_tick(core);
    core->moved = 0;
    records_begin(core);
    lines_clear(core);
}

/* Close what has ended; `more`: something else is left to be done. */
static int end(struct mcp_core *core, bool more)
{
    if (ends_bury(core))
        more = true;
    return (core->state.count ? MCP_HAS_RECORDS : 0) | (more ? MCP_HAS_MORE : 0) |
           (core->state.open ? 0 : MCP_IS_IDLE) | (core->state.lines ? MCP_HAS_LINES : 0);
}

MCP_API int mcp_run(mcp_core *core)
{
    begin(core);
    poll_events(core);
    return end(core, relay_again(core));
}

static struct mcp_core *selected;

MCP_API void mcp_select(mcp_core *core)
{
    selected = core;
}

MCP_API int mcp_run_selected(void)
{
    return mcp_run(selected);
}

MCP_API int mcp_flush(mcp_core *core)
{
    begin(core);
    upstreams_tell(core);
    return end(core, false);
}

MCP_API int mcp_expire(mcp_core *core)
{
    begin(core);
    const bool more = timers_expire(core);
    upstreams_tell(core);
    const int result = end(core, more);
    conns_trim(core);
    return result;
}

MCP_API int mcp_drain_listening(mcp_core *core, int fd)
{
    begin(core);
    struct listening_socket *socket = listening_find(core, fd);
    bool more = socket;
    for (int i = 0; more && i < BATCH; i++)
        more = accept_one(core, socket);
    return end(core, more);
}

/* Everything that a core holds. */
#ifndef MCPROXY_STATE_H
#define MCPROXY_STATE_H

#include <stdbool.h>
#include <sys/epoll.h>

#include "conns.h"
#include "core.h"
#include "lines.h"
#include "listeners.h"
#include "pipes.h"
#include "routes.h"
#include "timers.h"
#include "upstreams.h"

enum {
    BATCH = 256,       /* events that a run handles */
    AGAIN_MOST = 192,  /* connections that a run goes on with after these */
    BUFFER = 1 << 18,  /* bytes that are copied at a time */
};

struct mcp_core {
    int epoll;
    uint32_t reserved;        /* records that are kept for what Python's answers leave */
    uint64_t *words;
    uint64_t moved;           /* bytes that the run in hand has moved */
    uint8_t luck;             /* how often to ask for more events at once although there were few; see poll.c */
    uint8_t unlucky;
    double now;               /* at the beginning of the run in hand */
    uint8_t *buffer;          /* BUFFER bytes */
    struct list again;        /* connections that stopped before their sockets were drained */
    struct list ended;        /* connections that are to be buried */
    struct mcp_table *freed;  /* tables without users that are to be told of */
    struct mcp_state state;
    struct conns conns;
    struct mcp_settings settings;
    struct mcp_record *records;
    struct sockets sockets;
    struct upstreams upstreams;
    struct lines lines;
    struct pipe_pool pipes;
    struct epoll_event events[BATCH];
    struct timers timers;
};

/* Read the clock. */
void core_tick(struct mcp_core *core);

/* Add to a counter: other processes read it at any time, and none but this one writes it. */
static inline void count_up(struct mcp_core *core, uint32_t word, uint64_t number)
{
    uint64_t *counter = &core->words[word];
    __atomic_store_n(counter, *counter + number, __ATOMIC_RELAXED);
}

static inline void count_down(struct mcp_core *core, uint32_t word)
{
    count_up(core, word, UINT64_MAX);
}

#endif

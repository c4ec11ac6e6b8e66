/* Upstreams whose turns the core takes itself, and what it counts at their endpoints. */
#ifndef MCPROXY_UPSTREAMS_H
#define MCPROXY_UPSTREAMS_H

#include <stdbool.h>

#include "core.h"
#include "list.h"

struct conn;

/* Where a connection can be led. What has been counted there waits for Python, which adds it up. */
struct endpoint {
    struct mcp_endpoint is;
    uint32_t users;    /* connections that were led here by their upstream's turns, and that upstream */
    uint64_t taken;    /* since Python was told: connections that began, */
    int64_t opened;    /* those that are open more than then, */
    uint64_t received; /* and bytes of connections that have ended */
    uint64_t sent;
    bool changed;
    struct list waiting; /* among those that are to be told, if `changed` */
};

/* How the turns go is Python's: it works out the cycle, and is asked wherever that does not say whose turn it is. */
struct upstream {
    struct mcp_upstream_setup setup;
    struct endpoint **endpoints;
    struct endpoint **cycle;
};

struct upstreams {
    struct upstream **known; /* by their number */
    uint32_t count;
    struct list changed;     /* endpoints that are to be told */
};

void upstreams_begin(struct upstreams *upstreams);

/* Have an upstream's next turn lead a connection, which counts at the endpoint from now on; returns that, NULL to ask
 * Python. */
struct endpoint *upstream_take(struct mcp_core *core, uint32_t number);

/* A connection that was led here has ended, and its sockets are closed. */
void endpoint_count(struct mcp_core *core, struct endpoint *endpoint, const struct conn *conn);

/* A connection needs the endpoint no more; what is open there is somebody else's to count down, if it was not counted. */
void endpoint_leave(struct endpoint *endpoint);

/* Tell what has been counted, as far as there is room for records. */
void upstreams_tell(struct mcp_core *core);

void upstreams_destroy(struct upstreams *upstreams);

#endif

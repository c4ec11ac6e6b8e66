/* Time limits of many connections: coarse, lazy buckets, as net/loop/deadlines has them. */
#ifndef MCPROXY_TIMERS_H
#define MCPROXY_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"

struct mcp_core;
struct conn;

enum {
    WHEEL = 512, /* buckets; a limit that is further away is looked at when the last one comes up */
    PER_SECOND = 10,
};

struct timers {
    uint64_t next; /* number of the bucket that comes up next */
    struct list buckets[WHEEL];
};

void timers_begin(struct timers *timers, double now);

/* Have the connection's limits looked at, at `at` or up to a bucket's width later; what comes earlier is kept. */
void timer_set(struct mcp_core *core, struct conn *conn, double at);

void timer_cancel(struct conn *conn);

/* Look at the limits of all that are due. Returns whether some are left, as there was no room for records. */
bool timers_expire(struct mcp_core *core);

#endif

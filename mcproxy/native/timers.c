/* A connection lies in one bucket, a tenth of a second wide, at a time. Putting its limit off costs nothing: it is looked at
 * when its bucket comes up and moved on then. Only a limit that comes closer moves it at once. */
#include "timers.h"

#include <math.h>

#include "limits.h"
#include "records.h"
#include "state.h"

void timers_begin(struct timers *timers, double now)
{
    timers->next = (uint64_t)(now * PER_SECOND);
    for (int i = 0; i < WHEEL; i++)
        list_init(&timers->buckets[i]);
}

static uint64_t bucket_of(const struct timers *timers, double at)
{
    const uint64_t last = timers->next + WHEEL - 2; /* the place before `next` is that of the bucket in hand */
    const double number = floor(at * PER_SECOND) + 1;
    if (!(number < (double)last))
        return last;
    return number > (double)timers->next ? (uint64_t)number : timers->next;
}

void timer_set(struct mcp_core *core, struct conn *conn, double at)
{
    struct timers *timers = &core->timers;
    const uint64_t bucket = bucket_of(timers, at);
    if (conn->bucket) {
        if (conn->bucket <= bucket)
            return;
        timer_cancel(conn);
    }
    conn->bucket = bucket;
    list_append(&timers->buckets[bucket % WHEEL], &conn->timer);
}

void timer_cancel(struct conn *conn)
{
    if (conn->bucket)
        list_remove(&conn->timer);
    conn->bucket = 0;
}

bool timers_expire(struct mcp_core *core)
{
    struct timers *timers = &core->timers;
    const uint64_t current = (uint64_t)(core->now * PER_SECOND);
    while (timers->next <= current) {
        struct list *bucket = &timers->buckets[timers->next++ % WHEEL];
        while (!list_is_empty(bucket)) { /* what is set anew does not come here: `next` is past it */
            struct conn *conn = CONN_OF(bucket->next, timer);
            if (!records_room(core)) {
                timers->next--;
                return true;
            }
            timer_cancel(conn);
            limits_check(core, conn);
        }
    }
    return false;
}

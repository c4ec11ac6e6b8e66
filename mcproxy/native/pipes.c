#include "pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include "conns.h"

static bool make(int ends[2])
{
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
        return false;
    if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) >= 0)
        return true;
    /* Over the user's share of memory for pipes: copying is better than a tiny pipe. */
    close(ends[0]);
    close(ends[1]);
    return false;
}

bool pipe_acquire(struct pipe_pool *pool, struct side *side)
{
    int ends[2];
    if (pool->free) {
        pool->free--;
        ends[0] = pool->pipes[pool->free].read;
        ends[1] = pool->pipes[pool->free].write;
    } else if (pool->made < PIPES && make(ends)) {
        pool->made++;
    } else {
        return false;
    }
    side->pipe_read = ends[0];
    side->pipe_write = ends[1];
    return true;
}

void pipe_release(struct pipe_pool *pool, struct side *side)
{
    if (side->pipe_read < 0)
        return;
    if (side->piped) {
        close(side->pipe_read);
        close(side->pipe_write);
        pool->made--;
    } else {
        pool->pipes[pool->free].read = side->pipe_read;
        pool->pipes[pool->free].write = side->pipe_write;
        pool->free++;
    }
    side->pipe_read = side->pipe_write = -1;
    side->piped = 0;
}

void pipes_destroy(struct pipe_pool *pool)
{
    while (pool->free) {
        pool->free--;
        close(pool->pipes[pool->free].read);
        close(pool->pipes[pool->free].write);
    }
    pool->made = 0;
}

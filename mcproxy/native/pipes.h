/* The pool of pipes that splice(2) needs between two sockets. */
#ifndef MCPROXY_PIPES_H
#define MCPROXY_PIPES_H

#include <stdbool.h>

enum {
    PIPES = 16,           /* at most */
    PIPE_SIZE = 1 << 20,  /* an unprivileged user may have 64 of this size in all (pipe(7), pipe-user-pages-soft) */
};

struct side;

struct pipe_pool {
    int made; /* that exist */
    int free; /* of them, that are not in use */
    struct {
        int read;
        int write;
    } pipes[PIPES]; /* those not in use */
};

/* Give a side a pipe, if there is one. */
bool pipe_acquire(struct pipe_pool *pool, struct side *side);

/* Take back a side's pipe, if it has one; it is closed if there are bytes in it. */
void pipe_release(struct pipe_pool *pool, struct side *side);

void pipes_destroy(struct pipe_pool *pool);

#endif

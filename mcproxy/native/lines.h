/* Lines of the access log about ordinary ends. */
#ifndef MCPROXY_LINES_H
#define MCPROXY_LINES_H

#include <stdbool.h>
#include <time.h>

#include "core.h"

struct conn;
struct shape;

enum {
    LINES = 1 << 17,  /* bytes of lines that a run may leave */
    SHAPES = 1 << 14, /* places for shapes: one takes the place of another */
};

struct lines {
    char *text;            /* LINES bytes */
    struct shape **shapes; /* SHAPES places */
    bool stamped;          /* `stamp` is of the run in hand */
    time_t second;         /* of `stamp` */
    char stamp[sizeof "2026-11-28T12:00:00.000Z"];
};

/* Returns whether there is memory for all this. */
bool lines_begin(struct lines *lines);

/* Begin anew: Python has taken what there was. */
void lines_clear(struct mcp_core *core);

void lines_destroy(struct lines *lines);

/* Write the line of a connection that has ended with nothing special about it; returns whether it was: Python is asked
 * about the first of each kind. */
bool lines_write(struct mcp_core *core, const struct conn *conn);

#endif

/* Listeners, their listening sockets, and their connection limits. */
#ifndef MCPROXY_LISTENERS_H
#define MCPROXY_LISTENERS_H

#include <stdbool.h>

#include "core.h"

struct mcp_listener {
    struct mcp_core *core;
    struct mcp_listener_setup setup;
    struct mcp_table *table; /* NULL: everything is declined */
    bool blind;
    bool removed;            /* Python has forgotten it */
    uint32_t users;          /* connections */
};

struct listening_socket {
    struct mcp_listener *listener; /* NULL: the place is free */
    int fd;
    bool paused;
};

struct sockets {
    struct listening_socket *places;
    uint32_t count;
};

/* Returns the listening socket of a place that an event tells of, NULL if it is watched no more. */
struct listening_socket *listening_at(struct mcp_core *core, uint32_t place);

/* Returns the listening socket of a descriptor, NULL if it is not known. */
struct listening_socket *listening_find(struct mcp_core *core, int fd);

/* Stop watching it, until mcp_resume. */
void listening_pause(struct mcp_core *core, struct listening_socket *socket);

/* Count one more connection, unless the limit is reached; returns whether it may be served. */
bool listener_admit(struct mcp_listener *listener);

/* Count one less; its sockets are closed. */
void listener_release(struct mcp_listener *listener);

/* A connection is its user no more; the last one of a listener that was removed frees it. */
void listener_leave(struct mcp_listener *listener);

void listeners_destroy(struct mcp_core *core);

#endif

/* Connections, and where they are kept. */
#ifndef MCPROXY_CONNS_H
#define MCPROXY_CONNS_H

#include <stdbool.h>

#include "core.h"
#include "list.h"

/* One socket of a connection, and the flow from it to the other one; see relay.c. */
struct side {
    int fd;           /* -1: none */
    bool readable;    /* the kernel may have more */
    bool hangup;      /* epoll has told of its end */
    bool blocked;     /* the other socket took less than there was */
    bool done;        /* end-of-file was read and passed on */
    int pipe_read;    /* of a pipe from the pool, -1: none */
    int pipe_write;
    uint32_t piped;   /* bytes in it */
    uint32_t pending; /* bytes at the end of `buffer` that the other socket did not take, */
    uint32_t sent;    /* behind those that it did take */
    uint32_t counter; /* word that counts the bytes that it took */
    uint8_t *buffer;
    uint64_t moved;   /* bytes */
};

enum { CLIENT, BACKEND }; /* sides */

struct peer {
    uint16_t family;
    uint16_t port;
    uint32_t flowinfo;
    uint32_t scope;
    uint8_t address[16];
};

/* What a byte that is relayed needs comes first: two lines of the cache. */
struct conn {
    _Alignas(64) struct side sides[2];
    uint64_t id;             /* 0 for a free one; bit 0 is always clear (see poll.h) */
    double active;           /* when a byte last moved */
    uint8_t stage;           /* enum mcp_stage; the last one, if it has ended */
    bool ended;              /* its sockets are about to be closed */
    uint8_t first;           /* FIRST_... */
    uint8_t again;           /* bits of the sides that are to go on */
    uint8_t reason;
    uint8_t flags;           /* enum mcp_flags, as far as it is known before the end */
    bool watched;            /* the client's socket is in the epoll set */
    bool low_water;          /* SO_RCVLOWAT of the client's socket is set */
    struct mcp_listener *listener;

    struct mcp_table *table; /* NULL before it has a route */
    struct mcp_route *route;
    struct endpoint *chosen; /* by the upstream's turns here, NULL if Python has chosen, or nobody */
    struct list timer;       /* in its bucket of the timers, if `bucket` is not 0 */
    uint64_t bucket;         /* number of the bucket, 0 for none */
    struct list turn;        /* among those that are to go on, if `again` is not 0; or that have ended */
    struct conn *next_free;
    double started;
    double dialed;
    double dial_seconds;
    double limit;            /* when it is closed, whatever happens; INFINITY for never */
    double hello_until;
    int64_t token;
    uint32_t mask;           /* what epoll has told of the client's end: it tells it once */
    int32_t endpoint;
    int32_t error;
    struct peer peer;
    bool local;              /* the backend's socket is a Unix socket */
    uint16_t name_length;
    char name[MCP_NAME];     /* last: mostly not touched */
};

_Static_assert(offsetof(struct conn, table) == 128, "what the relay needs lies together");

enum { FIRST_NONE, FIRST_CLIENT, FIRST_BACKEND };

enum { CHUNK = 256 }; /* connections that are allocated together */

struct conns {
    struct conn_chunk **chunks;
    uint16_t *used;    /* how many of each chunk are in use */
    uint32_t count;    /* of chunks there is room for in these arrays; not all need exist */
    uint32_t first;    /* no chunk before this one has room */
    uint32_t last_id;  /* distinguishes connections that had the same place */
};

/* Returns a connection without sockets, all zero otherwise but for its id, or NULL with errno. */
struct conn *conn_new(struct mcp_core *core);

void conn_free(struct mcp_core *core, struct conn *conn);

/* Returns the connection of an id, NULL if it has ended. */
struct conn *conn_find(const struct mcp_core *core, uint64_t id);

/* Give memory back in which no connection is; nothing may hold one that is free. */
void conns_trim(struct mcp_core *core);

void conns_destroy(struct mcp_core *core);

/* Calls `visit` for every connection that is in use. */
void conns_each(struct mcp_core *core, void (*visit)(struct mcp_core *core, struct conn *conn));

#endif

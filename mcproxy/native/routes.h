/* Tables of routes: which one serves a name. */
#ifndef MCPROXY_ROUTES_H
#define MCPROXY_ROUTES_H

#include <stdbool.h>

#include "core.h"

/* Names of a table, hashed: open addressing, at most half full. */
struct name_map {
    uint32_t mask; /* of the number of entries, which is a power of two */
    struct name_entry *entries;
};

/* Immutable. Connections keep the one that gave them their route, so it outlives its snapshot as long as they do. */
struct mcp_table {
    struct mcp_core *core;
    uint64_t number;
    uint32_t users; /* connections, and the listener that it belongs to */
    uint32_t count;
    struct mcp_route *routes;
    char *names;
    struct name_map exact;
    struct name_map wildcards; /* by the name behind "*." */
    unsigned depth;            /* labels of the longest wildcard */
    int32_t every;             /* the route of "*", -1 for none */
    struct mcp_table *next_freed;
};

/* Returns the number of the route that serves a canonical name, empty for none given; -1 for none. *exact: its hostname
 * is this name. */
int32_t routes_find(const struct mcp_table *table, const char *name, size_t length, bool *exact);

void table_use(struct mcp_table *table);

/* Give back one use; the last one frees it, and has that told. */
void table_leave(struct mcp_table *table);

/* Free a table without a word. */
void table_destroy(struct mcp_table *table);

#endif

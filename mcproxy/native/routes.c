/* Routes by name, as policy/routing has them: exact beats wildcard, a longer wildcard beats a shorter one, "*" is last.
 *
 * Names are hashed from their end, so one pass gives the hash of every name above them: those that wildcards stand for.
 * The hash has no key: what lies in a table comes from the configuration, and a client's name only looks for it.
 */
#include "routes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "state.h"

enum { LABELS_MOST = 127 }; /* of a name of 253 bytes */

struct name_entry {
    uint32_t hash;
    uint32_t route; /* its number and 1; 0: the entry is free */
};

/* FNV-1a, over the bytes from the last to the first. */
static const uint32_t hash_start = 2166136261u;

static uint32_t hash_byte(uint32_t hash, char byte)
{
    return (hash ^ (uint8_t)byte) * 16777619u;
}

static uint32_t hash_name(const char *name, size_t length)
{
    uint32_t hash = hash_start;
    while (length > 0)
        hash = hash_byte(hash, name[--length]);
    return hash;
}

static uint32_t place_of(const struct name_map *map, uint32_t hash)
{
    return (hash ^ hash >> 15) & map->mask;
}

static bool is_wildcard(const char *pattern, size_t length)
{
    return length >= 2 && pattern[0] == '*' && pattern[1] == '.';
}

/* Where the name that a pattern is found by begins in it. */
static size_t prefix_of(const char *pattern, size_t length)
{
    return is_wildcard(pattern, length) ? 2 : 0;
}

/* Looks for a name; returns -1 if it is not there. */
static int32_t map_find(const struct mcp_table *table, const struct name_map *map, uint32_t hash, const char *name,
                        size_t length)
{
    for (uint32_t i = place_of(map, hash);; i = (i + 1) & map->mask) {
        const struct name_entry *entry = &map->entries[i];
        if (entry->route == 0)
            return -1;
        if (entry->hash != hash)
            continue;
        const struct mcp_route *route = &table->routes[entry->route - 1];
        const char *pattern = table->names + route->name;
        const size_t prefix = prefix_of(pattern, route->name_length);
        if (route->name_length - prefix == length && memcmp(pattern + prefix, name, length) == 0)
            return (int32_t)(entry->route - 1);
    }
}

static void map_add(struct name_map *map, uint32_t hash, uint32_t route)
{
    uint32_t i = place_of(map, hash);
    while (map->entries[i].route != 0)
        i = (i + 1) & map->mask;
    map->entries[i] = (struct name_entry){hash, route + 1};
}

static bool map_make(struct name_map *map, uint32_t count)
{
    uint32_t size = 2;
    while (size < 2 * (count + 1))
        size *= 2;
    map->mask = size - 1;
    map->entries = calloc(size, sizeof *map->entries);
    return map->entries != NULL;
}

static int32_t find_wildcard(const struct mcp_table *table, const char *name, size_t length)
{
    struct {
        size_t start;
        uint32_t hash;
    } above[LABELS_MOST + 1]; /* the names above this one, the shortest first */
    unsigned count = 0;
    uint32_t hash = hash_start;
    for (size_t i = length; i > 0 && count < table->depth && count < LABELS_MOST; i--) {
        if (name[i - 1] == '.') {
            above[count].start = i;
            above[count++].hash = hash;
        }
        hash = hash_byte(hash, name[i - 1]);
    }
    while (count > 0) {
        count--;
        const size_t start = above[count].start;
        const int32_t found = map_find(table, &table->wildcards, above[count].hash, name + start, length - start);
        if (found >= 0)
            return found;
    }
    return table->every;
}

int32_t routes_find(const struct mcp_table *table, const char *name, size_t length, bool *exact)
{
    *exact = false;
    if (length == 0)
        return table->every;
    const int32_t found = map_find(table, &table->exact, hash_name(name, length), name, length);
    if (found >= 0) {
        *exact = true;
        return found;
    }
    return table->depth ? find_wildcard(table, name, length) : table->every;
}

static bool is_address(const struct mcp_route *route)
{
    struct sockaddr start;
    if (route->address_length < sizeof start.sa_family || route->address_length > MCP_ADDRESS)
        return false;
    memcpy(&start.sa_family, route->address, sizeof start.sa_family);
    switch (start.sa_family) {
    case AF_INET:
        return route->address_length == sizeof(struct sockaddr_in);
    case AF_INET6:
        return route->address_length == sizeof(struct sockaddr_in6);
    case AF_UNIX:
        return route->address_length > offsetof(struct sockaddr_un, sun_path);
    default:
        return false;
    }
}

static bool is_valid(const struct mcp_route *route, size_t names_size)
{
    if (route->name_length == 0 || route->name > names_size || route->name_length > names_size - route->name)
        return false;
    switch (route->kind) {
    case MCP_ROUTE_ADDRESS:
        return is_address(route);
    case MCP_ROUTE_PYTHON:
    case MCP_ROUTE_UPSTREAM:
        return true;
    default:
        return false;
    }
}

static unsigned labels_of(const char *name, size_t length)
{
    unsigned labels = 1;
    for (size_t i = 0; i < length; i++)
        labels += name[i] == '.';
    return labels;
}

static void table_add(struct mcp_table *table, uint32_t number)
{
    const struct mcp_route *route = &table->routes[number];
    const char *pattern = table->names + route->name;
    const size_t prefix = prefix_of(pattern, route->name_length), length = route->name_length - prefix;
    const uint32_t hash = hash_name(pattern + prefix, length);
    if (route->name_length == 1 && pattern[0] == '*') {
        table->every = (int32_t)number;
    } else if (prefix) {
        const unsigned labels = labels_of(pattern + prefix, length);
        map_add(&table->wildcards, hash, number);
        table->depth = labels > table->depth ? labels : table->depth;
    } else {
        map_add(&table->exact, hash, number);
    }
}

static bool table_copy(struct mcp_table *table, const struct mcp_route *routes, const char *names, size_t names_size)
{
    table->routes = malloc(table->count * sizeof *routes + 1);
    table->names = malloc(names_size + 1);
    if (!table->routes || !table->names || !map_make(&table->exact, table->count) ||
        !map_make(&table->wildcards, table->count))
        return false;
    if (table->count)
        memcpy(table->routes, routes, table->count * sizeof *routes);
    if (names_size)
        memcpy(table->names, names, names_size);
    return true;
}

MCP_API mcp_table *mcp_table_new(mcp_core *core, uint64_t number, const struct mcp_route *routes, uint32_t count,
                                 const char *names, size_t names_size)
{
    enum { COUNT_MOST = 1 << 24, NAMES_MOST = 1 << 30 };
    bool valid = number != 0 && count <= COUNT_MOST && names_size <= NAMES_MOST;
    for (uint32_t i = 0; valid && i < count; i++)
        valid = is_valid(&routes[i], names_size);
    if (!valid) {
        errno = EINVAL;
        return NULL;
    }
    struct mcp_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    *table = (struct mcp_table){.core = core, .number = number, .users = 1, .count = count, .every = -1};
    if (!table_copy(table, routes, names, names_size)) {
        table_destroy(table);
        errno = ENOMEM;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        table_add(table, i);
    return table;
}

MCP_API void mcp_table_free(mcp_table *table)
{
    table_destroy(table);
}

MCP_API int mcp_table_find(const mcp_table *table, const char *name, size_t length)
{
    bool exact;
    return routes_find(table, name, length, &exact);
}

void table_use(struct mcp_table *table)
{
    table->users++;
}

void table_leave(struct mcp_table *table)
{
    if (--table->users)
        return;
    table->next_freed = table->core->freed;
    table->core->freed = table;
}

void table_destroy(struct mcp_table *table)
{
    free(table->routes);
    free(table->names);
    free(table->exact.entries);
    free(table->wildcards.entries);
    free(table);
}

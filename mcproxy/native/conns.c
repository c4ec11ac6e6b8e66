/* Places for connections: in chunks, so that none moves, and a chunk without connections goes back to the system.
 *
 * An id is a number that is counted up, and the place. The number makes the ids of connections in one place differ, so
 * that an event or a call which is about an earlier one finds nothing.
 */
#include "conns.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "records.h"
#include "state.h"

enum { CHUNKS_MOST = 1 << 20, NUMBER_SHIFT = 32 };

struct conn_chunk {
    struct conn *free; /* places that were given back */
    uint32_t touched;  /* places that were ever used: the memory of the others may not even exist */
    struct conn conns[CHUNK];
};

static uint32_t place_of(uint64_t id)
{
    return (uint32_t)id >> 1;
}

static bool grow(struct conns *conns)
{
    const uint32_t count = conns->count ? conns->count * 2 : 16;
    if (count > CHUNKS_MOST) {
        errno = ENOMEM;
        return false;
    }
    struct conn_chunk **chunks = realloc(conns->chunks, count * sizeof *chunks);
    if (!chunks)
        return false;
    conns->chunks = chunks;
    uint16_t *used = realloc(conns->used, count * sizeof *used);
    if (!used)
        return false;
    conns->used = used;
    memset(chunks + conns->count, 0, (count - conns->count) * sizeof *chunks);
    memset(used + conns->count, 0, (count - conns->count) * sizeof *used);
    conns->count = count;
    return true;
}

/* A mapping of its own: it goes back to the system for sure, and its pages are made as they are used. */
static struct conn_chunk *chunk_new(void)
{
    void *memory = mmap(NULL, sizeof(struct conn_chunk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void chunk_free(struct conn_chunk *chunk)
{
    if (chunk)
        munmap(chunk, sizeof *chunk);
}

/* Finds a chunk with room, the first, so that the last ones become empty. */
static bool find_room(struct conns *conns)
{
    while (conns->first < conns->count && conns->used[conns->first] == CHUNK)
        conns->first++;
    if (conns->first == conns->count && !grow(conns))
        return false;
    struct conn_chunk **chunk = &conns->chunks[conns->first];
    if (!*chunk)
        *chunk = chunk_new();
    return *chunk != NULL;
}

static struct conn *take_place(struct conns *conns, uint32_t *place)
{
    struct conn_chunk *chunk = conns->chunks[conns->first];
    struct conn *conn = chunk->free;
    if (conn)
        chunk->free = conn->next_free;
    else
        conn = &chunk->conns[chunk->touched++];
    conns->used[conns->first]++;
    *place = conns->first * CHUNK + (uint32_t)(conn - chunk->conns);
    return conn;
}

struct conn *conn_new(struct mcp_core *core)
{
    struct conns *conns = &core->conns;
    uint32_t place;
    if (!find_room(conns))
        return NULL;
    struct conn *conn = take_place(conns, &place);
    memset(conn, 0, offsetof(struct conn, name));
    if (++conns->last_id == 0)
        conns->last_id = 1; /* 0 is for what is no connection */
    conn->id = (uint64_t)conns->last_id << NUMBER_SHIFT | (uint64_t)place << 1;
    for (int i = 0; i < 2; i++) {
        struct side *side = &conn->sides[i];
        side->fd = side->pipe_read = side->pipe_write = -1;
    }
    conn->endpoint = -1;
    conn->limit = INFINITY;
    core->state.open++;
    return conn;
}

void conn_free(struct mcp_core *core, struct conn *conn)
{
    const uint32_t number = place_of(conn->id) / CHUNK;
    struct conn_chunk *chunk = core->conns.chunks[number];
    conn->id = 0;
    conn->next_free = chunk->free;
    chunk->free = conn;
    core->conns.used[number]--;
    if (number < core->conns.first)
        core->conns.first = number;
    core->state.open--;
}

struct conn *conn_find(const struct mcp_core *core, uint64_t id)
{
    const uint32_t place = place_of(id), number = place / CHUNK;
    if (number >= core->conns.count || !core->conns.chunks[number])
        return NULL;
    struct conn *conn = &core->conns.chunks[number]->conns[place % CHUNK];
    return id != 0 && conn->id == id ? conn : NULL;
}

void conns_trim(struct mcp_core *core)
{
    struct conns *conns = &core->conns;
    for (uint32_t i = conns->first + 1; i < conns->count; i++) { /* the first one is about to be used */
        if (conns->used[i] == 0 && conns->chunks[i]) {
            chunk_free(conns->chunks[i]);
            conns->chunks[i] = NULL;
        }
    }
}

void conns_destroy(struct mcp_core *core)
{
    struct conns *conns = &core->conns;
    for (uint32_t i = 0; i < conns->count; i++)
        chunk_free(conns->chunks[i]);
    free(conns->chunks);
    free(conns->used);
    *conns = (struct conns){0};
}

void conns_each(struct mcp_core *core, void (*visit)(struct mcp_core *core, struct conn *conn))
{
    struct conns *conns = &core->conns;
    for (uint32_t i = 0; i < conns->count; i++) {
        const uint32_t touched = conns->chunks[i] ? conns->chunks[i]->touched : 0;
        for (uint32_t j = 0; j < touched; j++) {
            struct conn *conn = &conns->chunks[i]->conns[j];
            if (conn->id)
                visit(core, conn);
        }
    }
}

MCP_API int mcp_list(const mcp_core *core, uint32_t *cursor, struct mcp_record *found, int most)
{
    const struct conns *conns = &core->conns;
    int count = 0;
    uint32_t place = *cursor;
    while (count < most && place / CHUNK < conns->count) {
        const struct conn_chunk *chunk = conns->chunks[place / CHUNK];
        if (!chunk || place % CHUNK >= chunk->touched) {
            place = (place / CHUNK + 1) * CHUNK;
            continue;
        }
        const struct conn *conn = &chunk->conns[place++ % CHUNK];
        if (conn->id && !conn->ended)
            record_describe(&found[count++], conn);
    }
    *cursor = place;
    return count;
}

MCP_API int mcp_describe(const mcp_core *core, uint64_t id, struct mcp_record *found)
{
    const struct conn *conn = conn_find(core, id);
    if (!conn || conn->ended) {
        errno = ENOENT;
        return -1;
    }
    record_describe(found, conn);
    return 0;
}

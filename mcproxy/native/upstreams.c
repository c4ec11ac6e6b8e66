/* The ordinary turn of an upstream: all that decides it lies in memory that Python keeps up to date. */
#include "upstreams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"
#include "state.h"

enum {
    NEXT,            /* places in the marks, as policy/upstreams/schedule has them */
    CAREFUL,
    SPECIAL = 0xFFFE /* bits of an endpoint's word: it is not to be used, or not with its whole share */
};

void upstreams_begin(struct upstreams *upstreams)
{
    list_init(&upstreams->changed);
}

static void change(struct mcp_core *core, struct endpoint *endpoint)
{
    if (!endpoint->changed)
        list_append(&core->upstreams.changed, &endpoint->waiting);
    endpoint->changed = true;
}

/* Returns the endpoint whose turn it is, and has the next one come behind it; NULL if that is not for sure. */
static struct endpoint *next(const struct upstream *upstream)
{
    const struct mcp_upstream_setup *setup = &upstream->setup;
    const uint32_t place = setup->marks[NEXT];
    if (!*setup->quick || setup->marks[CAREFUL] || place >= setup->turns)
        return NULL;
    struct endpoint *endpoint = upstream->cycle[place];
    const uint64_t word = __atomic_load_n(&setup->words[endpoint->is.index], __ATOMIC_RELAXED); /* control writes it */
    if (word & SPECIAL)
        return NULL;
    setup->marks[NEXT] = place + 1 < setup->turns ? place + 1 : 0;
    return endpoint;
}

struct endpoint *upstream_take(struct mcp_core *core, uint32_t number)
{
    const struct upstreams *upstreams = &core->upstreams;
    const struct upstream *upstream = number < upstreams->count ? upstreams->known[number] : NULL;
    struct endpoint *endpoint = upstream ? next(upstream) : NULL;
    if (!endpoint)
        return NULL;
    endpoint->users++;
    endpoint->taken++;
    endpoint->opened++;
    change(core, endpoint);
    return endpoint;
}

void endpoint_count(struct mcp_core *core, struct endpoint *endpoint, const struct conn *conn)
{
    endpoint->opened--;
    endpoint->received += conn->sides[CLIENT].moved;
    endpoint->sent += conn->sides[BACKEND].moved;
    change(core, endpoint);
}

static void free_unused(struct endpoint *endpoint)
{
    if (!endpoint->users && !endpoint->changed)
        free(endpoint);
}

void endpoint_leave(struct endpoint *endpoint)
{
    endpoint->users--;
    free_unused(endpoint);
}

void upstreams_tell(struct mcp_core *core)
{
    struct list *changed = &core->upstreams.changed;
    while (!list_is_empty(changed) && records_room(core)) {
        struct endpoint *endpoint = OWNER_OF(changed->next, struct endpoint, waiting);
        struct mcp_record *record = record_new(core, MCP_COUNTED_AT);
        record->endpoint = (int32_t)endpoint->is.index;
        record->conn = endpoint->taken;
        record->token = endpoint->opened;
        record->received = endpoint->received;
        record->sent = endpoint->sent;
        endpoint->taken = endpoint->received = endpoint->sent = 0;
        endpoint->opened = 0;
        list_remove(&endpoint->waiting);
        endpoint->changed = false;
        free_unused(endpoint);
    }
}

static void upstream_free(struct upstream *upstream)
{
    for (uint32_t i = 0; upstream && i < upstream->setup.count; i++) {
        if (upstream->endpoints[i])
            endpoint_leave(upstream->endpoints[i]);
    }
    if (upstream)
        free(upstream->endpoints);
    free(upstream);
}

/* Returns the endpoint of an index, NULL if it is not among them. */
static struct endpoint *find(const struct upstream *upstream, uint32_t index)
{
    for (uint32_t i = 0; i < upstream->setup.count; i++) {
        if (upstream->endpoints[i]->is.index == index)
            return upstream->endpoints[i];
    }
    return NULL;
}

static bool fill(struct upstream *upstream)
{
    const struct mcp_upstream_setup *setup = &upstream->setup;
    for (uint32_t i = 0; i < setup->count; i++) {
        struct endpoint *endpoint = upstream->endpoints[i] = calloc(1, sizeof *endpoint);
        if (!endpoint)
            return false;
        endpoint->is = setup->endpoints[i];
        endpoint->users = 1;
    }
    for (uint32_t i = 0; i < setup->turns; i++) {
        upstream->cycle[i] = find(upstream, setup->cycle[i]);
        if (!upstream->cycle[i]) {
            errno = EINVAL;
            return false;
        }
    }
    return true;
}

static bool is_valid(const struct mcp_upstream_setup *setup)
{
    enum { MOST = 1 << 16 };
    bool valid = setup->count <= MOST && setup->turns <= MOST;
    for (uint32_t i = 0; valid && i < setup->count; i++)
        valid = setup->endpoints[i].address_length <= MCP_ADDRESS;
    return valid;
}

static struct upstream *upstream_new(const struct mcp_upstream_setup *setup)
{
    if (!is_valid(setup)) {
        errno = EINVAL;
        return NULL;
    }
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->setup = *setup;
    upstream->endpoints = calloc((size_t)setup->count + setup->turns + 1, sizeof(struct endpoint *));
    if (upstream->endpoints) {
        upstream->cycle = upstream->endpoints + setup->count;
        if (fill(upstream)) {
            upstream->setup.endpoints = NULL; /* copied, as the cycle is; the caller need not keep them */
            upstream->setup.cycle = NULL;
            return upstream;
        }
    } else {
        upstream->setup.count = 0;
    }
    const int error = errno;
    upstream_free(upstream);
    errno = error;
    return NULL;
}

static bool make_room(struct upstreams *upstreams, uint32_t number)
{
    if (number < upstreams->count)
        return true;
    const uint32_t count = number + 16;
    struct upstream **known = realloc(upstreams->known, count * sizeof(struct upstream *));
    if (!known)
        return false;
    memset(known + upstreams->count, 0, (count - upstreams->count) * sizeof(struct upstream *));
    upstreams->known = known;
    upstreams->count = count;
    return true;
}

MCP_API int mcp_upstream_set(mcp_core *core, uint32_t number, const struct mcp_upstream_setup *setup)
{
    enum { NUMBER_MOST = 1 << 20 };
    struct upstreams *upstreams = &core->upstreams;
    if (number == 0 || number > NUMBER_MOST) {
        errno = EINVAL;
        return -1;
    }
    if (!make_room(upstreams, number))
        return -1;
    struct upstream *made = setup ? upstream_new(setup) : NULL;
    if (setup && !made)
        return -1;
    upstream_free(upstreams->known[number]);
    upstreams->known[number] = made;
    return 0;
}

void upstreams_destroy(struct upstreams *upstreams)
{
    for (uint32_t i = 0; i < upstreams->count; i++)
        upstream_free(upstreams->known[i]);
    free(upstreams->known);
    while (!list_is_empty(&upstreams->changed)) {
        struct endpoint *endpoint = OWNER_OF(upstreams->changed.next, struct endpoint, waiting);
        list_remove(&endpoint->waiting);
        endpoint->changed = false;
        free_unused(endpoint);
    }
}

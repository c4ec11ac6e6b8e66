/* What such lines have in common comes from Python, which writes the first of each kind itself (worker/tools/line_shape):
 * the two must be alike byte for byte. */
#include "lines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* What a kind of line is known by: every field of a connection that tells the texts between the varying ones apart. */
struct key {
    uint64_t table;
    int32_t route;
    int32_t endpoint;
    uint32_t flags;
};

enum {
    ALIKE = MCP_CLIENT_FIRST | MCP_EXACT,
    TEXT_MOST = 4096, /* bytes of a line that do not vary */
    VARYING = 600,    /* bytes that what varies takes at most: a name, an address, numbers */
};

struct shape {
    struct key key;
    uint32_t ends[MCP_PARTS]; /* of the texts, within `text` */
    char text[];
};

bool lines_begin(struct lines *lines)
{
    lines->text = malloc(LINES);
    lines->shapes = calloc(SHAPES, sizeof(struct shape *));
    return lines->text && lines->shapes;
}

static void forget(struct lines *lines)
{
    for (int i = 0; lines->shapes && i < SHAPES; i++) {
        free(lines->shapes[i]);
        lines->shapes[i] = NULL;
    }
}

void lines_clear(struct mcp_core *core)
{
    core->state.lines = core->state.line_count = 0;
    core->lines.stamped = false;
}

void lines_destroy(struct lines *lines)
{
    forget(lines);
    free(lines->shapes);
    free(lines->text);
}

static struct key key_of(uint64_t table, int32_t route, int32_t endpoint, uint32_t flags)
{
    return (struct key){.table = table, .route = route, .endpoint = endpoint, .flags = flags & ALIKE};
}

static bool is_same(const struct key *one, const struct key *other)
{
    return one->table == other->table && one->route == other->route && one->endpoint == other->endpoint &&
           one->flags == other->flags;
}

static struct shape **place_of(const struct lines *lines, const struct key *key)
{
    uint64_t hash = key->table * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (uint32_t)key->route) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (uint32_t)key->endpoint) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ key->flags) * UINT64_C(0x9e3779b97f4a7c15);
    return &lines->shapes[(hash >> 32) % SHAPES];
}

static char *put(char *at, const char *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[20];
    size_t left = sizeof digits;
    do {
        digits[--left] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return put(at, digits + left, sizeof digits - left);
}

static char *put_digits(char *at, unsigned number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return at + count;
}

/* As Python's encoder writes them: the shortest text that is read as the same number. */
static char *put_seconds(char *at, uint64_t microseconds)
{
    enum { SECOND = 1000000, TINY = 10 };
    if (microseconds && microseconds < TINY)
        return put(put_number(at, microseconds), "e-6", 3);
    at = put_number(at, microseconds / SECOND);
    *at++ = '.';
    at = put_digits(at, (unsigned)(microseconds % SECOND), 6);
    while (at[-1] == '0' && at[-2] != '.')
        at--;
    return at;
}

static char *put_ipv4(char *at, const uint8_t *address)
{
    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at = put_number(at, address[i]);
    }
    return at;
}

static char *put_ipv6(char *at, const struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(AF_INET6, address, text, sizeof text);
    *at++ = '[';
    at = put(at, text, strlen(text));
    *at++ = ']';
    return at;
}

/* Address and port; a mapped address as IPv4. */
static char *put_peer(char *at, const struct peer *peer)
{
    struct in6_addr address;
    memcpy(&address, peer->address, sizeof address);
    if (peer->family != AF_INET6)
        at = put_ipv4(at, peer->address);
    else if (IN6_IS_ADDR_V4MAPPED(&address))
        at = put_ipv4(at, peer->address + 12);
    else
        at = put_ipv6(at, &address);
    *at++ = ':';
    return put_number(at, peer->port);
}

/* The time of the run in hand: UTC, to the millisecond (RFC 3339). */
static void stamp(struct mcp_core *core)
{
    struct lines *lines = &core->lines;
    if (lines->stamped)
        return;
    lines->stamped = true;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != lines->second) {
        struct tm parts;
        lines->second = now.tv_sec;
        gmtime_r(&now.tv_sec, &parts);
        strftime(lines->stamp, sizeof lines->stamp, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
    }
    put_digits(lines->stamp + sizeof lines->stamp - 5, (unsigned)(now.tv_nsec / 1000000), 3);
}

/* Returns the microseconds of a time, as Python cuts them; false if it is none that is written here. */
static bool in_microseconds(double seconds, uint64_t *microseconds)
{
    if (!(seconds >= 0.0 && seconds < 1e9))
        return false;
    *microseconds = (uint64_t)(seconds * 1e6);
    return true;
}

bool lines_write(struct mcp_core *core, const struct conn *conn)
{
    const struct lines *lines = &core->lines;
    uint64_t dial, total;
    if (!conn->table || !in_microseconds(conn->dial_seconds, &dial) || !in_microseconds(core->now - conn->started, &total))
        return false;
    const int32_t route = (int32_t)(conn->route - conn->table->routes);
    const struct key key = key_of(conn->table->number, route, conn->endpoint, conn->flags);
    const struct shape *shape = *place_of(lines, &key);
    if (!shape || !is_same(&shape->key, &key) || core->state.lines + shape->ends[MCP_PARTS - 1] + VARYING > LINES)
        return false;
    stamp(core);
    const char *text = shape->text;
    char *at = lines->text + core->state.lines;
    for (int part = 0; part < MCP_PARTS; part++) {
        const uint32_t begin = part ? shape->ends[part - 1] : 0;
        at = put(at, text + begin, shape->ends[part] - begin);
        switch (part) {
        case 0:
            at = put(at, lines->stamp, sizeof lines->stamp - 1);
            break;
        case 1:
            at = put_peer(at, &conn->peer);
            break;
        case 2:
            at = put(at, conn->name, conn->name_length);
            break;
        case 3:
            at = put_number(at, conn->sides[CLIENT].moved);
            break;
        case 4:
            at = put_number(at, conn->sides[BACKEND].moved);
            break;
        case 5:
            at = put_seconds(at, dial);
            break;
        case 6:
            at = put_seconds(at, total);
            break;
        default:
            *at++ = '\n';
        }
    }
    core->state.lines = (uint32_t)(at - lines->text);
    core->state.line_count++;
    return true;
}

MCP_API int mcp_shape_set(mcp_core *core, const struct mcp_record *record, const char *const parts[MCP_PARTS])
{
    const struct key key = key_of(record->table, record->route, record->endpoint, record->flags);
    size_t size = 0;
    for (int i = 0; i < MCP_PARTS; i++)
        size += strlen(parts[i]);
    if (size > TEXT_MOST) {
        errno = EINVAL;
        return -1;
    }
    struct shape *shape = malloc(sizeof *shape + size);
    if (!shape)
        return -1;
    shape->key = key;
    char *at = shape->text;
    for (int i = 0; i < MCP_PARTS; i++) {
        at = put(at, parts[i], strlen(parts[i]));
        shape->ends[i] = (uint32_t)(at - shape->text);
    }
    struct shape **place = place_of(&core->lines, &key);
    free(*place);
    *place = shape;
    return 0;
}

MCP_API void mcp_shapes_forget(mcp_core *core)
{
    forget(&core->lines);
}

MCP_API int mcp_seconds(uint64_t microseconds, char *text)
{
    return (int)(put_seconds(text, microseconds) - text);
}

MCP_API const char *mcp_lines(const mcp_core *core)
{
    return core->lines.text;
}

/* Reads the usual ClientHello (RFC 8446 section 4.1.2): a single record that holds all of it and nothing else, with at
 * most one server_name, of one host name (RFC 6066 section 3).
 *
 * Everything else is odd, be it wrong or only rare: a hello in several records, lists with other types of names, names
 * with unusual characters. wire/client_hello judges it. What is read here, that one reads alike: a test compares them.
 */
#include "hello.h"

#include <stdbool.h>

enum {
    RECORD_HEADER = 5,
    HEADERS = 9, /* with that of the handshake message */
    RECORD_HANDSHAKE = 22,
    MESSAGE_CLIENT_HELLO = 1,
    VERSION_AND_RANDOM = 34,
    EXTENSION_SERVER_NAME = 0,
    LABEL_MOST = 63,
    NAME_MOST = 253,
};

/* What is left to be read; nothing is read behind `end`. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static size_t left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

static size_t u16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

static size_t u24(const uint8_t *at)
{
    return (size_t)at[0] << 16 | u16(at + 1);
}

static bool skip(struct cursor *cursor, size_t size)
{
    if (size > left(cursor))
        return false;
    cursor->at += size;
    return true;
}

static bool take_u8(struct cursor *cursor, size_t *value)
{
    if (left(cursor) < 1)
        return false;
    *value = *cursor->at++;
    return true;
}

static bool take_u16(struct cursor *cursor, size_t *value)
{
    if (left(cursor) < 2)
        return false;
    *value = u16(cursor->at);
    cursor->at += 2;
    return true;
}

/* Returns the lower case of a byte that a name may hold, 0 for any other. The underscore occurs in real names, the colon
 * in IPv6 literals that some clients send. */
static char canonical(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return (char)(byte | 0x20);
    if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == ':' ||
        byte == '.')
        return (char)byte;
    return 0;
}

/* Write the canonical form of a host name; returns its length, 0 for one that is odd. */
static size_t read_name(const uint8_t *raw, size_t size, char name[MCP_NAME])
{
    if (size == 0 || size > HELLO_RAW_NAME)
        return 0;
    size_t label = 0; /* bytes of the label in hand */
    for (size_t i = 0; i < size; i++) {
        char c = canonical(raw[i]);
        if (c == 0 || (c == '.' && label == 0))
            return 0;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_MOST)
            return 0;
        name[i] = c;
    }
    if (label == 0)
        size--; /* the trailing dot */
    return size <= NAME_MOST ? size : 0;
}

/* Read a server_name extension with one host name; returns the name's length, 0 for anything else. */
static size_t read_server_name(const uint8_t *at, size_t size, char name[MCP_NAME])
{
    enum { HOST_NAME = 0, LIST_HEADER = 2, ENTRY_HEADER = 3 };
    const size_t headers = LIST_HEADER + ENTRY_HEADER;
    if (size < headers || u16(at) != size - LIST_HEADER || at[2] != HOST_NAME || u16(at + 3) != size - headers)
        return 0;
    return read_name(at + headers, size - headers, name);
}

/* Go to the extensions; false if something in front of them is odd. */
static bool skip_fields(struct cursor *cursor)
{
    size_t session, suites, methods, extensions;
    if (!skip(cursor, VERSION_AND_RANDOM) || !take_u8(cursor, &session) || session > 32 || !skip(cursor, session))
        return false;
    if (!take_u16(cursor, &suites) || suites < 2 || suites % 2 || !skip(cursor, suites))
        return false;
    if (!take_u8(cursor, &methods) || methods == 0 || !skip(cursor, methods))
        return false;
    if (left(cursor) == 0)
        return true; /* of TLS 1.2 and older: there need not be any */
    return take_u16(cursor, &extensions) && extensions == left(cursor);
}

/* All of them are looked at: a second server_name would be read otherwise elsewhere. */
static int read_extensions(struct cursor *cursor, char name[MCP_NAME])
{
    size_t found = 0;
    while (left(cursor) > 0) {
        size_t kind, size;
        if (!take_u16(cursor, &kind) || !take_u16(cursor, &size) || size > left(cursor))
            return MCP_HELLO_ODD;
        if (kind == EXTENSION_SERVER_NAME) {
            if (found)
                return MCP_HELLO_ODD;
            found = read_server_name(cursor->at, size, name);
            if (!found)
                return MCP_HELLO_ODD;
        }
        cursor->at += size;
    }
    return (int)found;
}

int hello_read(const uint8_t *data, size_t size, char name[MCP_NAME], size_t *need)
{
    if (size < HEADERS || data[0] != RECORD_HANDSHAKE || data[1] != 3 || data[5] != MESSAGE_CLIENT_HELLO)
        return MCP_HELLO_ODD;
    const size_t record = u16(data + 3), end = record + RECORD_HEADER;
    if (record != u24(data + 6) + HEADERS - RECORD_HEADER || end > HELLO_MOST)
        return MCP_HELLO_ODD;
    if (end > size) {
        *need = end;
        return MCP_HELLO_NEED;
    }
    struct cursor cursor = {data + HEADERS, data + end};
    return skip_fields(&cursor) ? read_extensions(&cursor, name) : MCP_HELLO_ODD;
}

MCP_API int mcp_hello(const uint8_t *data, size_t size, char name[MCP_NAME], size_t *need)
{
    return hello_read(data, size, name, need);
}

/* The TLS ClientHello, as far as the usual one goes: whole, and in one record. */
#ifndef MCPROXY_HELLO_H
#define MCPROXY_HELLO_H

#include "core.h"

enum {
    HELLO_MOST = 16384, /* bytes, the record's header included; as wire/client_hello has it */
    HELLO_RAW_NAME = 254, /* bytes of a name with its trailing dot */
};

/* As mcp_hello. */
int hello_read(const uint8_t *data, size_t size, char name[MCP_NAME], size_t *need);

#endif

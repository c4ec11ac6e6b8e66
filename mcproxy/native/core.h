/* The native core of a worker's L4 path, as Python sees it (mcproxy/net/native binds it).
 *
 *     accept -> admission -> [gate] -> peek the ClientHello -> route -> [choose] -> dial -> relay
 *
 * The core handles the ordinary connection and nothing else. Nothing of a client's bytes is consumed before the relay,
 * so whatever is odd is handed, untouched, to the Python code that handles every connection where there is no core:
 * there is one implementation of every refusal, counter and line of the log.
 *
 * Python drives it. The core's epoll set is nested in the event loop; when it is readable Python calls mcp_run, which
 * handles a bounded number of events and leaves records of what Python is to do. A record that carries a descriptor
 * hands it over: Python closes it. Calls and records belong to one thread.
 *
 * Connections are named by 64-bit numbers that are never used again, so a call about one that has ended does nothing.
 * Times are seconds of CLOCK_MONOTONIC, as Python's time.monotonic() tells them. Functions that return int return -1
 * with errno for a system's error, unless they say otherwise.
 */
#ifndef MCPROXY_CORE_H
#define MCPROXY_CORE_H

#include <stddef.h>
#include <stdint.h>

#define MCP_API __attribute__((visibility("default")))

typedef struct mcp_core mcp_core;
typedef struct mcp_listener mcp_listener;
typedef struct mcp_table mcp_table;

enum {
    MCP_RECORDS = 1536, /* that there is room for */
    MCP_NAME = 256,     /* bytes for a server name: 253 at most */
    MCP_PARTS = 8,      /* texts of a line of the access log that lie between those that vary */
    MCP_ADDRESS = 110,  /* bytes of a sockaddr: sockaddr_un is the longest */
};

/* Records */

/* What a record asks of Python, or tells it. */
enum mcp_kind {
    /* `fd` is a client's connection, counted as accepted and admitted, that Python is to go on with. Behind the gate if
     * MCP_ENTERED is set, with `token` if MCP_COUNTED is. No route has been counted. `started`: when it was accepted. */
    MCP_DECLINED = 1,
    /* `fd` is a connection above the listener's limit: counted as accepted, to be refused. */
    MCP_OVER_LIMIT,
    /* Judge the client: answer by mcp_enter, or mcp_take the connection to refuse it. */
    MCP_ASK_GATE,
    /* Choose an endpoint of the upstream that `route` of `table` leads to: answer by mcp_dial, or mcp_take the connection
     * to end it. The route has been counted (connections and active). */
    MCP_CHOOSE,
    /* A backend has answered (asked for by MCP_TELL_CONNECTED): `route`, `endpoint`; the connection goes on here. */
    MCP_CONNECTED,
    /* `fd` is a connection whose route and dial are begun, as with MCP_CHOOSE, and whose backend is not to be had: `error`
     * (ETIMEDOUT when connect_timeout is over; EAGAIN of a Unix socket: its queue is full, dial it yourself). Or `error`
     * is 0, and the client has gone meanwhile, as `mask` tells. `endpoint` is the one that was dialed. */
    MCP_DIAL_FAILED,
    /* The connection has ended and its sockets are closed, by everything that is told of it here. */
    MCP_ENDED,
    /* The listening socket `fd` (still Python's) is no longer watched, until mcp_resume: accept(2) failed with `error`, or
     * descriptors are getting scarce (0). */
    MCP_PAUSED,
    /* No connection uses `table` any more; the number will not be told again. */
    MCP_TABLE_FREED,
    /* What has been counted at `endpoint` of those that its upstream's turns have led there: `conn` have begun, `token` more
     * are open (or fewer, if it is negative), and those that ended had these bytes. Left by mcp_expire and mcp_flush. */
    MCP_COUNTED_AT,
};

enum mcp_flags {
    MCP_ENTERED = 1,       /* the gate has let the client in */
    MCP_COUNTED = 2,       /* ... and `token` is to be given back to it at the end */
    MCP_EXACT = 4,         /* the server name is the hostname of the route: `name` is left empty */
    MCP_JOINED = 8,        /* a backend had answered: the connection was relayed */
    MCP_CLIENT_FIRST = 16, /* the client was the first to send end-of-file, or it is its socket that failed */
    MCP_LATE_RESET = 32,   /* `error` came of what the client sent to a backend that had closed */
    MCP_CHOSEN = 128,      /* `endpoint` was chosen here: MCP_COUNTED_AT tells of it, but not of an end after a hand-over */
    MCP_LOGGED = 256,      /* of MCP_ENDED: its line of the access log is written */
    MCP_DRAINING = 64,     /* it was told to end; PROCESS_DRAINING counts it, but not any more with `fd` */
};

/* Where a connection is. */
enum mcp_stage {
    MCP_GATE = 1, /* Python is asked whether the client may enter */
    MCP_HELLO,    /* its hello has not come, or not as a whole */
    MCP_CHOICE,   /* Python is asked for an endpoint */
    MCP_DIAL,
    MCP_RELAY,
    MCP_HALF_CLOSED,
};

/* Why it was closed here although no end-of-file or error said so; Python's own numbers begin with MCP_REASONS. */
enum mcp_reason {
    MCP_NO_REASON,
    MCP_IDLE_TIMEOUT,
    MCP_HALF_CLOSED_TIMEOUT,
    MCP_DRAINED,
    MCP_HELLO_TIMEOUT, /* of MCP_DECLINED: the time for the hello is over, refuse the connection */
    MCP_REASONS = 16,
};

/* Fields without a meaning for a kind are 0, `route`, `endpoint` and `fd` then -1. */
struct mcp_record {
    uint64_t conn;
    uint64_t table;      /* number of the table that its route is in, 0 for none */
    uint64_t received;   /* bytes of the client that the backend's socket took */
    uint64_t sent;       /* bytes of the backend that the client's socket took */
    int64_t token;       /* of mcp_enter */
    double started;      /* when it was accepted */
    double dialed;       /* when the dial began, 0.0 if none did */
    double dial_seconds; /* until the backend answered, 0.0 if it did not */
    double active;       /* when a byte last moved; with `fd`: when it is to end at the latest, infinite for never */
    uint32_t kind;       /* enum mcp_kind; 0 in lists */
    uint32_t listener;   /* as mcp_listener_new was given it */
    int32_t fd;
    int32_t route;       /* its number in the table, -1 for none */
    int32_t endpoint;    /* of mcp_dial, -1 for none */
    int32_t error;       /* errno, 0 for none */
    uint32_t mask;       /* what epoll has told of the client's end so far */
    uint32_t flags;      /* enum mcp_flags */
    uint32_t flowinfo;   /* of an IPv6 peer, in host order as Python has it */
    uint32_t scope;      /* of an IPv6 peer */
    uint16_t family;     /* AF_INET or AF_INET6 */
    uint16_t port;       /* of the peer, in host order */
    uint8_t address[16]; /* of the peer: 4 or 16 bytes, in network order */
    uint8_t stage;       /* enum mcp_stage; of MCP_ENDED: where it was */
    uint8_t reason;      /* enum mcp_reason, or Python's own number */
    uint16_t name_length; /* 0: it has named no host, or MCP_EXACT is set */
    char name[MCP_NAME]; /* canonical server name, not terminated */
};

/* Kept up to date by the core; Python maps it once. */
struct mcp_state {
    uint32_t count; /* of records; grows while Python handles them, if it calls mcp_enter or mcp_dial meanwhile */
    uint32_t open;  /* connections that the core has */
    uint32_t lines; /* bytes of lines for the access log, and how many lines these are: they are to be taken before the next */
    uint32_t line_count; /* of the calls that leave records, which begins anew */
};

/* The core */

/* Returns the digest of the sources it was built from. */
MCP_API const char *mcp_build(void);

/* Sizes of struct mcp_record, mcp_state, mcp_settings, mcp_listener_setup, mcp_upstream_setup, mcp_endpoint and mcp_route,
 * for Python to check its own. */
MCP_API void mcp_sizes(uint32_t sizes[7]);

/* Make a core that counts in `words`, the process' counter block of the shared memory. NULL with errno on failure. */
MCP_API mcp_core *mcp_core_new(uint64_t *words);

/* Close every connection and give back everything. Listeners, and tables without one, are to be freed before. */
MCP_API void mcp_core_free(mcp_core *core);

/* Returns the epoll set's descriptor. */
MCP_API int mcp_core_fd(const mcp_core *core);

MCP_API const struct mcp_record *mcp_records(const mcp_core *core);
MCP_API const struct mcp_state *mcp_core_state(const mcp_core *core);

enum mcp_tell {
    MCP_ASK = 1,            /* ask the gate about every client: MCP_ASK_GATE */
    MCP_TELL_CONNECTED = 2, /* leave MCP_CONNECTED */
    MCP_TELL_ENDED = 4,     /* leave a line or MCP_ENDED for every connection, not only where it matters to more than the
                               log: it has a token or an endpoint, the client was sent nothing, or it was cut off */
};

struct mcp_settings {
    double connect;      /* seconds: timeouts of the settings */
    double idle;
    double half_closed;
    double client_hello;
    uint32_t tell;       /* enum mcp_tell */
    uint32_t draining;   /* word of PROCESS_DRAINING */
    int32_t ceiling;     /* a descriptor of this number tells that they get scarce; INT32_MAX for never */
    uint32_t unused;
};

/* Take over settings; to be called before anything is accepted. */
MCP_API void mcp_configure(mcp_core *core, const struct mcp_settings *settings);

/* Change `tell` alone. */
MCP_API void mcp_tell(mcp_core *core, uint32_t tell);

/* What mcp_run, mcp_flush, mcp_expire and mcp_drain_listening return. */
enum mcp_result {
    MCP_HAS_RECORDS = 1, /* records are to be handled before the next of these calls, which begins anew */
    MCP_HAS_MORE = 2,    /* call again soon: no event will tell that there is more to do */
    MCP_IS_IDLE = 4,     /* no connection is open here */
    MCP_HAS_LINES = 8,   /* `lines` of the state are to be taken */
};

/* Handle what the epoll set has, a bounded share of it. */
MCP_API int mcp_run(mcp_core *core);

/* The same for the core that was selected last: a call without arguments takes ctypes half the time, and this one is made
 * in every turn of the event loop. */
MCP_API void mcp_select(mcp_core *core);
MCP_API int mcp_run_selected(void);

/* Close what mcp_close and others have ended since, and tell of it, and what has been counted at endpoints. To be called after
 * these, outside of mcp_run. */
MCP_API int mcp_flush(mcp_core *core);

/* Enforce the time limits; to be called about every 0.1 s. */
MCP_API int mcp_expire(mcp_core *core);

/* The access log */

/* Lines that were left, one after the other, each with its end. */
MCP_API const char *mcp_lines(const mcp_core *core);

/* Have lines written for all that end like the connection of a record, by the texts between what varies in them: time, client,
 * server name (empty with MCP_EXACT), received, sent, dial_seconds, seconds since `started`. */
MCP_API int mcp_shape_set(mcp_core *core, const struct mcp_record *record, const char *const parts[MCP_PARTS]);

/* Forget them all: what numbers stand for has changed. */
MCP_API void mcp_shapes_forget(mcp_core *core);

/* Listeners */

struct mcp_listener_setup {
    uint64_t *cells;            /* the listener's connection limit, followed by a cell per slot with what is open there */
    const uint64_t *slots_used; /* how many of the slots are in use */
    uint32_t own;               /* the index of the process' own cell in `cells` */
    int32_t lock;               /* what flock(2) takes, around adding up the cells */
    uint32_t tag;               /* what records call it */
    uint32_t accepted;          /* word that counts accepted connections */
    uint32_t dial_seconds;      /* first word of its histogram of dials */
    uint32_t unused;
};

/* Make a listener without sockets and routes. NULL with errno on failure. */
MCP_API mcp_listener *mcp_listener_new(mcp_core *core, const struct mcp_listener_setup *setup);

/* Lead its connections by `table` from now on, which belongs to the listener now (NULL for none: everything is declined).
 * `blind`: nothing is read before the dial; the route is the one of "*". */
MCP_API void mcp_listener_update(mcp_listener *listener, mcp_table *table, int blind);

/* Forget a listener; no socket of it may be watched. It lives on until its connections have ended. */
MCP_API void mcp_listener_free(mcp_listener *listener);

/* Accept on a listening socket, which stays Python's: it may close it after mcp_unlisten. */
MCP_API int mcp_listen(mcp_listener *listener, int fd);

/* Accept no more on it; what waits there stays. Nothing happens to a socket that is not known. */
MCP_API void mcp_unlisten(mcp_core *core, int fd);

/* Watch a listening socket again after MCP_PAUSED. */
MCP_API int mcp_resume(mcp_core *core, int fd);

/* Accept what waits on a listening socket, a share of it: to be called again while MCP_HAS_MORE is returned, after its
 * records were handled; then mcp_unlisten. */
MCP_API int mcp_drain_listening(mcp_core *core, int fd);

/* Tables of routes */

enum mcp_route_kind {
    MCP_ROUTE_PYTHON = 1, /* its connections are declined */
    MCP_ROUTE_ADDRESS,    /* it leads to one literal address */
    MCP_ROUTE_UPSTREAM,   /* it is the turn of one of several endpoints, or Python chooses: MCP_CHOOSE */
};

struct mcp_route {
    double connect_timeout; /* seconds; negative for that of the settings */
    double idle_timeout;    /* the same; infinite for never */
    uint32_t name;          /* where its hostname pattern (as policy/routing has it) begins in `names` */
    uint16_t name_length;
    uint8_t kind;           /* enum mcp_route_kind */
    uint8_t address_length; /* of the sockaddr in `address`, 0 for none */
    uint32_t connections;   /* words that count its connections, */
    uint32_t active;        /* those that are open, */
    uint32_t received;      /* and bytes */
    uint32_t sent;
    uint32_t upstream;      /* of MCP_ROUTE_UPSTREAM: the number of one that takes its turns here, 0 for none */
    uint8_t address[MCP_ADDRESS];
    uint8_t unused[6];
};

/* Make an immutable table; `routes` and `names` are copied. `number`: what records call it, not 0. Returns NULL with
 * errno: ENOMEM, or EINVAL for what is malformed. It belongs to the caller until mcp_listener_update. */
MCP_API mcp_table *mcp_table_new(mcp_core *core, uint64_t number, const struct mcp_route *routes, uint32_t count,
                                   const char *names, size_t names_size);

/* Give back a table that no listener was given. */
MCP_API void mcp_table_free(mcp_table *table);

/* Returns the number of the route that serves a canonical name (length 0: none was given), -1 for none. */
MCP_API int mcp_table_find(const mcp_table *table, const char *name, size_t length);

/* Upstreams */

struct mcp_endpoint {
    uint32_t index; /* of its word, and what records call it */
    uint8_t address_length;
    uint8_t address[MCP_ADDRESS];
    uint8_t unused;
};

/* The turns of an upstream, as policy/upstreams/schedule has worked them out. What the pointers of the first three lead to is
 * read, and the first mark written, until the upstream is set anew; the rest is copied. */
struct mcp_upstream_setup {
    const uint64_t *words;  /* of all endpoints, by index */
    const uint32_t *quick;  /* 0: ask */
    uint32_t *marks;        /* the place of the next turn in the cycle; not 0: ask */
    const uint32_t *cycle;  /* indices */
    const struct mcp_endpoint *endpoints;
    uint32_t turns;         /* of the cycle */
    uint32_t count;         /* of endpoints */
};

/* Have the core take the turns of upstream `number` (not 0) as long as nothing special is known of the endpoint that is next;
 * NULL: ask about all its connections. -1: it is as before. */
MCP_API int mcp_upstream_set(mcp_core *core, uint32_t number, const struct mcp_upstream_setup *setup);

/* Connections. -1 with ENOENT: it has ended, or is not where the call makes sense. What Python is asked it answers before the
 * next run: -1 with EAGAIN is for an answer that comes so late that there is no room for what follows. */

/* The gate has let the client in; `counted`: `token` is to be told at the end. May leave a record. */
MCP_API int mcp_enter(mcp_core *core, uint64_t conn, int64_t token, int counted);

/* Dial the endpoint that was chosen. May leave a record. */
MCP_API int mcp_dial(mcp_core *core, uint64_t conn, int32_t endpoint, const void *address, size_t length);

/* Give up a connection in the stages MCP_GATE and MCP_CHOICE: returns its client's descriptor, which is Python's with
 * everything that was counted of it (admission; route and active, if it has a route). */
MCP_API int mcp_take(mcp_core *core, uint64_t conn);

/* The gate counts its client from now on. */
MCP_API int mcp_count_client(mcp_core *core, uint64_t conn, int64_t token);

/* Close both sides at the next mcp_flush or mcp_run, without a reset; `reason` is told in MCP_ENDED. */
MCP_API int mcp_close(mcp_core *core, uint64_t conn, uint8_t reason);

/* Close it at `limit` at the latest, for MCP_DRAINED. */
MCP_API int mcp_drain(mcp_core *core, uint64_t conn, double limit);

/* Describe up to `most` open connections, in no particular order, beginning with `*cursor`, 0 for the first; returns how
 * many, 0 at the end, and sets *cursor to what the next call takes. Connections may end and begin between two calls. */
MCP_API int mcp_list(const mcp_core *core, uint32_t *cursor, struct mcp_record *found, int most);

/* Describe one. */
MCP_API int mcp_describe(const mcp_core *core, uint64_t conn, struct mcp_record *found);

/* Parsers and writers, for tests and fuzzers */

/* Read the ClientHello at the start of `data`, everything peeked so far. Returns the length of the canonical server name
 * written to `name` (0: it names none), MCP_HELLO_NEED for one that is not complete, with *need the bytes that must be
 * there; or MCP_HELLO_ODD for whatever is not the usual hello, right or wrong. */
enum { MCP_HELLO_ODD = -1, MCP_HELLO_NEED = -2 };
MCP_API int mcp_hello(const uint8_t *data, size_t size, char name[MCP_NAME], size_t *need);

/* Write microseconds as seconds, as lines have them; returns the length of what was written to `text`, 32 bytes. */
MCP_API int mcp_seconds(uint64_t microseconds, char *text);

#endif

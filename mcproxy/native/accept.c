/* One connection per event, and a pause, which Python ends, when the system has no descriptors or memory left: as
 * worker/frontend/acceptor does it. */
#include "accept.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "course.h"
#include "records.h"
#include "state.h"

/* Errors of the connection that waited, not of the listening socket (accept(2)); the next one may be fine. */
static bool is_of_connection(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EINTR:
        return true;
    default:
        return false;
    }
}

static struct peer peer_of(const struct sockaddr_storage *from)
{
    struct peer peer = {.family = from->ss_family};
    if (from->ss_family == AF_INET6) {
        struct sockaddr_in6 address;
        memcpy(&address, from, sizeof address);
        peer.port = ntohs(address.sin6_port);
        peer.flowinfo = ntohl(address.sin6_flowinfo);
        peer.scope = address.sin6_scope_id;
        memcpy(peer.address, &address.sin6_addr, 16);
    } else {
        struct sockaddr_in address;
        memcpy(&address, from, sizeof address);
        peer.port = ntohs(address.sin_port);
        memcpy(peer.address, &address.sin_addr, 4);
    }
    return peer;
}

static void pause_accepting(struct mcp_core *core, struct listening_socket *socket, int error)
{
    listening_pause(core, socket);
    struct mcp_record *record = record_new(core, MCP_PAUSED);
    record->fd = socket->fd;
    record->listener = socket->listener->setup.tag;
    record->error = error;
}

/* Hand a connection to Python that no place was taken for. */
static void hand_over(struct mcp_core *core, enum mcp_kind kind, const struct mcp_listener *listener, int fd,
                      const struct peer *peer)
{
    struct mcp_record *record = record_new(core, kind);
    record->fd = fd;
    record->listener = listener->setup.tag;
    record->started = core->now;
    record->active = INFINITY;
    record_peer(record, peer);
}

bool accept_one(struct mcp_core *core, struct listening_socket *socket)
{
    struct mcp_listener *listener = socket->listener;
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    memset(&from, 0, sizeof from);
    const int fd = accept4(socket->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return false;
        if (is_of_connection(errno))
            return true;
        pause_accepting(core, socket, errno);
        return false;
    }
    const struct peer peer = peer_of(&from);
    count_up(core, listener->setup.accepted, 1);
    if (!listener_admit(listener)) {
        hand_over(core, MCP_OVER_LIMIT, listener, fd, &peer);
    } else {
        struct conn *conn = conn_new(core);
        if (conn)
            course_begin(core, conn, listener, fd, &peer);
        else
            hand_over(core, MCP_DECLINED, listener, fd, &peer);
    }
    if (fd < core->settings.ceiling)
        return true;
    pause_accepting(core, socket, 0);
    return false;
}

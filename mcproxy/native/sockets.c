#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

void socket_reset_on_close(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void socket_keep_alive(int fd)
{
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void socket_wake_at(int fd, int size)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size);
}

void socket_send_at_once(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) ? errno : error;
}

bool socket_is_broken(int fd, bool local)
{
    if (local) {
        struct pollfd asked = {.fd = fd, .events = 0}; /* POLLERR and POLLHUP are told without being asked for */
        return poll(&asked, 1, 0) > 0;
    }
    unsigned char state = 0; /* tcpi_state, the first byte of struct tcp_info */
    socklen_t size = sizeof state;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) == 0 && state == TCP_CLOSE;
}

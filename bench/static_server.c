/* The backend of the edge's measurements: one thread, epoll, HTTP/1.1 with keep-alive, one fixed answer to any GET.
 * Prints its port on 127.0.0.1 and serves until it is ended. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#define BODY 1024
#define EVENTS 256
#define MAX_FD 4096
#define ROOM 8192

struct connection {
    size_t used;
    char data[ROOM];
};
static struct connection *connections[MAX_FD];
static char answer[BODY + 256];
static size_t length;

static void drop(int fd) {
    close(fd);
    free(connections[fd]);
    connections[fd] = NULL;
}

/* Answers every whole request in the buffer; a client that does not read what it asked for is dropped. */
static void serve(int fd) {
    struct connection *c = connections[fd];
    ssize_t got = recv(fd, c->data + c->used, ROOM - c->used, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) drop(fd);
        return;
    }
    c->used += (size_t)got;
    char *from = c->data, *end;
    while ((end = memmem(from, c->used - (size_t)(from - c->data), "\r\n\r\n", 4)) != NULL) {
        if (send(fd, answer, length, MSG_NOSIGNAL) != (ssize_t)length) {
            drop(fd);
            return;
        }
        from = end + 4;
    }
    c->used -= (size_t)(from - c->data);
    memmove(c->data, from, c->used);
    if (c->used == ROOM) drop(fd);
}

static void take(int listener, int poll) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        if (fd >= MAX_FD || (connections[fd] = calloc(1, sizeof **connections)) == NULL) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    if (listener < 0 || poll < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024) ||
        getsockname(listener, (struct sockaddr *)&address, &size) || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) {
        perror("static_server");
        return 1;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    length = (size_t)snprintf(answer, sizeof answer,
                              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", BODY);
    memset(answer + length, 'x', BODY);
    length += BODY;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            events[i].data.fd == listener ? take(listener, poll) : serve(events[i].data.fd);
    }
}

/* A closed-loop load where there is no wrk: `loader PORT CONNECTIONS SECONDS`, one thread, kept-alive connections.
 * Prints requests a second, p50 and p99 in microseconds, and failures. A failed connection is opened again. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 2000000 /* one for each microsecond; slower ones count as the slowest */
#define ROOM 65536

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static uint32_t histogram[SLOTS];
static uint64_t answers, failures;
struct connection {
    int fd;
    uint64_t begun;
    size_t used;
    char data[ROOM];
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void ask(struct connection *c) {
    c->begun = now();
    c->used = 0;
    if (send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0) failures++;
}

static void begin(struct connection *c, int poll, uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        perror("loader");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
    ask(c);
}

static void again(struct connection *c, int poll, uint16_t port) {
    failures++;
    close(c->fd);
    begin(c, poll, port);
}

/* Whole when head and as many bytes as its Content-Length says are there. */
static int whole(struct connection *c) {
    char *end = memmem(c->data, c->used, "\r\n\r\n", 4), *found;
    if (end == NULL) return 0;
    *end = 0;
    found = strcasestr(c->data, "content-length:");
    *end = '\r';
    return found != NULL && c->used >= (size_t)(end + 4 - c->data) + strtoul(found + 15, NULL, 10);
}

static void take(struct connection *c, int poll, uint16_t port) {
    ssize_t got = recv(c->fd, c->data + c->used, ROOM - 1 - c->used, 0);
    if (got <= 0) {
        again(c, poll, port);
        return;
    }
    c->used += (size_t)got;
    c->data[c->used] = 0;
    if (!whole(c)) return;
    uint64_t took = now() - c->begun;
    histogram[took < SLOTS ? took : SLOTS - 1]++;
    answers++;
    if (c->used < 12 || c->data[9] != '2') failures++;
    ask(c);
}

static unsigned percentile(double share) {
    uint64_t wanted = (uint64_t)((double)answers * share), seen = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        if ((seen += histogram[i]) > wanted) return i;
    return SLOTS;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    uint16_t port = (uint16_t)atoi(argv[1]);
    int count = atoi(argv[2]), poll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    struct epoll_event events[64];
    uint64_t start = now(), limit = (uint64_t)(atof(argv[3]) * 1e6);
    for (int i = 0; i < count; i++) begin(&connections[i], poll, port);
    while (now() - start < limit) {
        int ready = epoll_wait(poll, events, 64, 100);
        for (int i = 0; i < ready; i++) take(events[i].data.ptr, poll, port);
    }
    double seconds = (double)(now() - start) / 1e6;
    printf("%.1f %u %u %llu\n", (double)answers / seconds, percentile(0.5), percentile(0.99),
           (unsigned long long)failures);
    return 0;
}

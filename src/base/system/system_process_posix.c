/* system_process.h on Linux, macOS and their likes. */
#include "system_process.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#if !defined(MSG_NOSIGNAL) /* macOS: SIGPIPE is ignored anyway */
#define MSG_NOSIGNAL 0
#endif

void wilor_sys_begin(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
}

static bool (*g_stop)(void);

static void handle(int signal_number) {
    if (g_stop())
        return;
    /* Takes effect when this handler returns. */
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void wilor_sys_catch_stop(bool (*stop)(void)) {
    struct sigaction action;
    g_stop = stop;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

bool wilor_sys_random(void *out, size_t bytes) {
    FILE *f = fopen("/dev/urandom", "rb");
    size_t got = f ? fread(out, 1, bytes, f) : 0;
    if (f)
        fclose(f);
    return got == bytes;
}

uint64_t wilor_sys_memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

bool wilor_sys_is_terminal(int fd) { return isatty(fd) == 1; }

unsigned wilor_sys_terminal_columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static int connect_one(const struct addrinfo *a) {
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0 &&
        (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)) {
        int code = errno;
        close(fd);
        errno = code;
        fd = -1;
    }
    return fd;
}

int wilor_sys_udp_open(const char *host, const char *port, char *why, size_t room) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, port, &hints, &list), fd = -1;
    if (code != 0) {
        snprintf(why, room, "%s", code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = connect_one(a);
    if (fd < 0)
        snprintf(why, room, "%s", strerror(errno));
    freeaddrinfo(list);
    return fd;
}

bool wilor_sys_udp_send(int fd, const void *data, size_t bytes) {
    return send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void wilor_sys_udp_close(int fd) { close(fd); }

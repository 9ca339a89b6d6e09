/* Address, TLS, and what libwebsockets calls. */
#include "server_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    HEADER_SECONDS = 10,     /* for the whole head of a request */
    KEEP_ALIVE_SECONDS = 30, /* between requests */
    STALL_SECONDS = 30,      /* without taking what it asked for */
    PING_SECONDS = 20,       /* a silent WebSocket is asked whether it lives */
    HANGUP_SECONDS = 40
};

/* libwebsockets' own pings are off: those of 4.1.6 are empty, whose answers it does not notice, and are written over
 * the answer to a client's ping that is still to be sent. */
static const lws_retry_bo_t g_no_pings = {.secs_since_valid_ping = 0};

/* The last line that libwebsockets wrote while it started: the reason when it could not. */
static char g_last[256];

static void keep_line(int level, const char *line) {
    (void)level;
    size_t n = strcspn(line, "\n");
    snprintf(g_last, sizeof g_last, "%.*s", n < 250 ? (int)n : 250, line);
}

/* ---------------------------------------------------------------- the address */

typedef struct place {
    struct sockaddr_storage address;
    socklen_t size;
} place;

/* --host as an address: a number, or the first that its name has. */
static wilor_status resolve(wilor_server *s, place *out, wilor_error *err) {
    wilor_cli_quoted q;
    char port[16], host[80];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    size_t n = strlen(s->o.guard.host);
    bool brackets = n > 2 && s->o.guard.host[0] == '[' && s->o.guard.host[n - 1] == ']';
    snprintf(port, sizeof port, "%d", s->o.port);
    snprintf(host, sizeof host, "%s", s->o.guard.host + brackets);
    if (brackets)
        host[strlen(host) - 1] = 0;
    if (!strcmp(host, "localhost"))
        snprintf(host, sizeof host, "127.0.0.1");
    int code = getaddrinfo(host, port, &hints, &list);
    if (code)
        return wilor_cli_fail(err, WILOR_ERR_IO, "--host %s: %s", wilor_cli_quote(&q, host),
                              gai_strerror(code));
    out->size = list->ai_addrlen;
    memcpy(&out->address, list->ai_addr, list->ai_addrlen);
    getnameinfo(list->ai_addr, list->ai_addrlen, s->address, sizeof s->address, NULL, 0,
                NI_NUMERICHOST);
    freeaddrinfo(list);
    return WILOR_OK;
}

/* Bind once ourselves: libwebsockets would not say why it cannot. */
static wilor_status try_bind(const wilor_server *s, const place *p, wilor_error *err) {
    int on = 1, code = 0;
    int fd = socket(p->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&p->address, p->size) != 0)
        code = errno;
    if (fd >= 0)
        close(fd);
    return code ? wilor_cli_fail(err, WILOR_ERR_IO, "cannot listen on %s port %d: %s",
                                 s->address, s->o.port, strerror(code))
                : WILOR_OK;
}

static wilor_status check_file(const char *option, const char *path, wilor_error *err) {
    wilor_cli_quoted q;
    if (!path || access(path, R_OK) == 0)
        return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_IO, "%s %s: %s", option, wilor_cli_quote(&q, path),
                          strerror(errno));
}

/* ---------------------------------------------------------------- libwebsockets */

static void allow_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= WILOR_SERVER_CLIENTS_MOST * 2)
        return;
    limit.rlim_cur = limit.rlim_max < WILOR_SERVER_CLIENTS_MOST * 2
                         ? limit.rlim_max
                         : WILOR_SERVER_CLIENTS_MOST * 2;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void fill_protocols(wilor_server *s) {
    /* The first is also that of HTTP, and of WebSockets that name none. */
    static const char *const names[] = {"wilor.v1.json", "wilor.v1.bin"};
    for (int i = 0; i < 2; i++)
        s->protocols[i] = (struct lws_protocols){.name = names[i],
                                                 .callback = wilor_server_callback,
                                                 .per_session_data_size = sizeof(void *),
                                                 .rx_buffer_size = 65536,
                                                 .id = (unsigned)i};
}

static void fill_info(wilor_server *s, const place *p, struct lws_context_creation_info *info) {
    fill_protocols(s);
    info->port = s->o.port;
    info->iface = wilor_server_is_any_address(s->address) ? NULL : s->address;
    info->protocols = s->protocols;
    info->user = s;
    info->gid = (gid_t)-1;
    info->uid = (uid_t)-1;
    info->options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                    LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                    (p->address.ss_family == AF_INET ? LWS_SERVER_OPTION_DISABLE_IPV6 : 0);
    info->timeout_secs = HEADER_SECONDS;
    info->keepalive_timeout = KEEP_ALIVE_SECONDS;
    info->max_http_header_data2 = WILOR_SERVER_HEADERS_MOST;
    info->max_http_header_pool2 = WILOR_SERVER_CLIENTS_MOST;
    info->fd_limit_per_thread = WILOR_SERVER_CLIENTS_MOST + 64;
    info->pt_serv_buf_size = 65536;
    info->retry_and_idle_policy = &g_no_pings;
    info->alpn = "http/1.1";
    if (s->o.cert) {
        info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info->ssl_cert_filepath = s->o.cert;
        info->ssl_private_key_filepath = s->o.key;
        info->ssl_options_set = 0x0C000000L; /* SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 */
    }
}

wilor_status wilor_server_listen(wilor_server *s, wilor_error *err) {
    struct lws_context_creation_info info = {0};
    place p = {0};
    wilor_status st = resolve(s, &p, err);
    if (st == WILOR_OK)
        st = try_bind(s, &p, err);
    if (st == WILOR_OK)
        st = check_file("--tls-cert", s->o.cert, err);
    if (st == WILOR_OK)
        st = check_file("--tls-key", s->o.key, err);
    if (st != WILOR_OK)
        return st;
    allow_files();
    lws_set_log_level(LLL_ERR | LLL_WARN, keep_line);
    g_last[0] = 0;
    fill_info(s, &p, &info);
    s->context = lws_create_context(&info);
    if (s->context)
        s->vhost = lws_create_vhost(s->context, &info);
    lws_set_log_level(0, NULL); /* strangers' mistakes would fill the log */
    if (!s->vhost)
        return wilor_cli_fail(err, WILOR_ERR_IO, "cannot serve on %s port %d%s%s", s->address,
                              s->o.port, g_last[0] ? ": " : "", g_last);
    s->port = lws_get_vhost_listen_port(s->vhost);
    lws_sul_schedule(s->context, 0, &s->sweep, wilor_server_sweep, LWS_US_PER_SEC);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- time */

/* A silent WebSocket is asked whether it lives. False: it was asked and has not answered. */
static bool ask_alive(wilor_server_client *c, int64_t now) {
    int64_t silent = now - c->heard;
    if (c->kind != WILOR_SERVER_JSON && c->kind != WILOR_SERVER_RECORD)
        return true;
    if (silent > PING_SECONDS * WILOR_SERVER_SECOND && !c->asked) {
        c->asked = c->ping = true;
        wilor_server_client_write(c);
    }
    return silent <= HANGUP_SECONDS * WILOR_SERVER_SECOND;
}

/* Once a second: who has been too slow with a request, or has not taken anything for long. */
void wilor_server_sweep(lws_sorted_usec_list_t *sul) {
    wilor_server *s = lws_container_of(sul, wilor_server, sweep);
    int64_t now = wilor_cli_nanoseconds();
    for (wilor_server_client *c = s->clients; c; c = c->next) {
        bool late = c->deadline && now > c->deadline;
        bool stalled = c->waiting && now - c->waiting > STALL_SECONDS * WILOR_SERVER_SECOND;
        if (late || stalled || !ask_alive(c, now))
            wilor_server_client_kill(c);
    }
    lws_sul_schedule(s->context, 0, sul, wilor_server_sweep, LWS_US_PER_SEC);
}

/* ---------------------------------------------------------------- what libwebsockets calls */

/* Of what a client has not taken the kernel should hold little: it gets new events then, not old ones. */
static void tune(int fd) {
    int size = 128 * 1024, low = 16 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
#ifdef TCP_NOTSENT_LOWAT
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
#else
    (void)low;
#endif
}

static int writeable(wilor_server *s, wilor_server_client *c) {
    c->waiting = 0;
    if (c->kind != WILOR_SERVER_HTTP)
        return wilor_server_hub_write(s, c);
    return c->answer ? wilor_server_request_answer(s, c) : 0;
}

static int established(wilor_server *s, struct lws *wsi, wilor_server_client *c) {
    bool record = lws_get_protocol(wsi)->id == 1;
    wilor_server_client_request_end(s, c);
    if (!wilor_server_client_stream(s, c, record ? WILOR_SERVER_RECORD : WILOR_SERVER_JSON))
        return -1;
    wilor_server_client_heard(c);
    wilor_server_client_write(c);
    return 0;
}

static int with_client(wilor_server *s, struct lws *wsi, wilor_server_client *c,
                       enum lws_callback_reasons reason, void *in, size_t size) {
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return wilor_server_upgrade(s, wsi, in);
    case LWS_CALLBACK_HTTP:
        return wilor_server_request(s, wsi, in);
    case LWS_CALLBACK_HTTP_BODY:
        return wilor_server_request_body(s, c, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return wilor_server_request_whole(s, c);
    case LWS_CALLBACK_ESTABLISHED:
        return established(s, wsi, c);
    case LWS_CALLBACK_RECEIVE_PONG:
        wilor_server_client_heard(c);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        wilor_server_client_heard(c);
        return wilor_server_receive(s, c, in, size);
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return writeable(s, c);
    default:
        return 0;
    }
}

int wilor_server_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                          void *in, size_t size) {
    struct lws_context *context = wsi ? lws_get_context(wsi) : NULL;
    wilor_server *s = context ? lws_context_user(context) : NULL;
    (void)user;
    if (!s)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
        if (s->leaving || s->client_count >= WILOR_SERVER_CLIENTS_MOST)
            return 1;
        tune((int)(intptr_t)in);
        return 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        wilor_server_client_new(s, wsi);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        wilor_server_client_gone(s, wsi);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        wilor_server_hub_take(s);
        return 0;
    default:
        break;
    }
    wilor_server_client *c = wilor_server_client_of(wsi);
    return c ? with_client(s, wsi, c, reason, in, size) : 0;
}

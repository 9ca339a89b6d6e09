/* Answers, whole: head and body go to libwebsockets in one piece, which keeps what the socket does not
 * take at once. The heads are written here and not with its lws_add_http_header_…, since there is HTTP/1.1
 * only and what goes out should be seen. */
#include "server_impl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROOM = 2048 };

const char *wilor_server_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "OK"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {411, "Length Required"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {421, "Misdirected Request"},
                 {422, "Unprocessable Content"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

static void append(char *head, const char *format, ...) WILOR_CLI_PRINTF(2, 3);

static void append(char *head, const char *format, ...) {
    size_t used = strlen(head);
    va_list args;
    va_start(args, format);
    vsnprintf(head + used, HEAD_ROOM - used, format, args);
    va_end(args);
}

static void append_common(char *head, const wilor_server *s, const wilor_server_client *c) {
    append(head,
           "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
           "Cross-Origin-Resource-Policy: %s\r\n",
           s->o.guard.cors ? "cross-origin" : "same-origin");
    if (s->o.guard.cors)
        append(head, "Vary: Origin\r\n");
    if (*c->origin)
        append(head, "Access-Control-Allow-Origin: %s\r\n", c->origin);
}

static void write_head(char head[HEAD_ROOM], const wilor_server *s,
                       const wilor_server_client *c, const wilor_server_reply *r) {
    *head = 0;
    append(head, "HTTP/1.1 %d %s\r\n", r->status, wilor_server_status_text(r->status));
    append_common(head, s, c);
    if (r->type)
        append(head, "Content-Type: %s\r\n", r->type);
    if (r->retry)
        append(head, "Retry-After: %d\r\n", r->retry);
    if (!r->header || !strstr(r->header, "Cache-Control"))
        append(head, "Cache-Control: no-store\r\n");
    append(head, "%sContent-Length: %zu\r\n\r\n", r->header ? r->header : "", r->size);
}

int wilor_server_send(wilor_server *s, wilor_server_client *c, const wilor_server_reply *r) {
    char head[HEAD_ROOM];
    write_head(head, s, c, r);
    size_t before = strlen(head), size = before + (c->head ? 0 : r->size);
    unsigned char *whole = malloc(LWS_PRE + size);
    if (!whole)
        return -1;
    memcpy(whole + LWS_PRE, head, before);
    if (size > before)
        memcpy(whole + LWS_PRE + before, r->body, r->size);
    int written = lws_write(c->wsi, whole + LWS_PRE, size, LWS_WRITE_HTTP_HEADERS);
    free(whole);
    wilor_server_client_request_end(s, c);
    return written < 0 || s->leaving || lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

/* RFC 9457. type stays about:blank: the status says which problem it is. */
int wilor_server_problem(wilor_server *s, wilor_server_client *c, int status, int retry,
                         const char *header, const char *format, ...) {
    enum { LINGER_SECONDS = 5 };

    char detail[600];
    wilor_cli_buffer b = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    wilor_cli_buffer_text(&b, "{\"type\":\"about:blank\",\"title\":");
    wilor_cli_buffer_string(&b, wilor_server_status_text(status));
    wilor_cli_buffer_text(&b, ",\"status\":");
    wilor_cli_buffer_integer(&b, status);
    wilor_cli_buffer_text(&b, ",\"detail\":");
    wilor_cli_buffer_string(&b, detail);
    wilor_cli_buffer_text(&b, "}\n");
    int rc = b.failed
                 ? -1
                 : wilor_server_send(s, c,
                                     &(wilor_server_reply){.status = status,
                                                           .type = "application/problem+json",
                                                           .header = header,
                                                           .body = b.text,
                                                           .size = b.used,
                                                           .retry = retry});
    wilor_cli_buffer_free(&b);
    /* The rest of a body that nobody wants is read and thrown away, not for long. */
    c->deadline = wilor_cli_nanoseconds() + LINGER_SECONDS * WILOR_SERVER_SECOND;
    return rc;
}

int wilor_server_send_head(wilor_server *s, wilor_server_client *c, const char *type) {
    char head[LWS_PRE + HEAD_ROOM] = {0};
    char *text = head + LWS_PRE;
    append(text, "HTTP/1.1 200 OK\r\n");
    append_common(text, s, c);
    append(text,
           "Content-Type: %s\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
           "Connection: close\r\n\r\n",
           type);
    return lws_write(c->wsi, (unsigned char *)text, strlen(text), LWS_WRITE_HTTP_HEADERS) < 0
               ? -1
               : 0;
}

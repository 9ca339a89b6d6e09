/* How much the server takes on at once. docs/server.md. */
#ifndef WILOR_SERVER_LIMITS_H
#define WILOR_SERVER_LIMITS_H

enum {
    WILOR_SERVER_CLIENTS_MOST = 1024,   /* connections */
    WILOR_SERVER_STREAMS_MOST = 256,    /* of them, readers of events or frames */
    WILOR_SERVER_JOBS_MOST = 8,         /* requests for POST /predict in work or waiting */
    WILOR_SERVER_HEADERS_MOST = 8192,   /* bytes of a request's head */
    WILOR_SERVER_PIXELS_MOST = 64000000 /* of a picture, unless --max-pixels says otherwise */
};

#endif

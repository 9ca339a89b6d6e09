/* Going on with an interrupted run: the events of `-o FILE --resume` grow in FILE.part, and the
 * file gets its name when all pictures have been looked at. */
#ifndef WILOR_CLI_RESUME_FILE_H
#define WILOR_CLI_RESUME_FILE_H

#include "sources.h"
#include "temp_file.h"

typedef struct wilor_cli_resumed {
    size_t done;       /* pictures of this run that have their event; marked in the sources */
    size_t with_hands; /* of those: with a hand that did not fail … */
    size_t without;    /* … and with no hand at all */
    bool complete;     /* FILE has an event of every picture: *file is zeroed */
} wilor_cli_resumed;

/* Open FILE.part for the events to come, after a look at what is in it: an incomplete last line is
 * cut off, the pictures of the others are marked as done. Without FILE.part, but with a FILE whose
 * events are not all, FILE.part begins as its copy.
 *   errors  ERR_IO; ERR_FORMAT: a line that is no event, or FILE is newer than FILE.part; what is
 *           there is left alone then; ERR_NOMEM */
wilor_status wilor_cli_resume_open(wilor_cli_temp_file *file, wilor_cli_resumed *r,
                                   wilor_cli_sources *s, const char *path, wilor_error *err);

#endif

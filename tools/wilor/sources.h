/* The pictures of a run: files as given, folders as what is in them. */
#ifndef WILOR_CLI_SOURCES_H
#define WILOR_CLI_SOURCES_H

#include "report.h"

typedef struct wilor_cli_sources {
    char **paths; /* "-" is the standard input */
    char *
        *stems; /* for output files: base name without ending, unlike every other's; or NULL */
    size_t count, room;
    size_t stem_count;
    bool folder; /* a folder was among the inputs */
} wilor_cli_sources;

/* List all inputs: a file as it is, whatever is in it; of a folder the regular files that begin
 * as a JPEG, PNG or WebP does, in the order of their names' bytes, not of folders in it. An
 * input that is not there, or a folder without a picture, is reported and counted in *failed;
 * the others are listed. */
wilor_status wilor_cli_sources_list(wilor_cli_sources *s, const char *const *inputs,
                                    size_t count, wilor_cli_report *report, size_t *failed,
                                    wilor_error *err);
/* Fill stems. */
wilor_status wilor_cli_sources_name(wilor_cli_sources *s, wilor_error *err);
void wilor_cli_sources_free(wilor_cli_sources *s);

#endif

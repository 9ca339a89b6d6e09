/* The pictures of a run: files as given, folders as what is in them. Runs of millions of pictures
 * list them first, so that a picture takes its name and some 20 bytes. */
#ifndef WILOR_CLI_SOURCES_H
#define WILOR_CLI_SOURCES_H

#include "report.h"

typedef struct wilor_cli_source {
    const char *name;     /* in its folder, or the whole path; "-" is the standard input */
    uint32_t folder;      /* 1 + its place in folders; 0: name is the path */
    uint32_t suffix : 31; /* n ≥ 2: "-n" behind the stem */
    uint32_t done : 1;    /* by an earlier run */
} wilor_cli_source;

typedef struct wilor_cli_sources {
    wilor_cli_source *entries;
    size_t count, room;
    char **folders;
    size_t folder_count, folder_room;
    void *names; /* blocks of names, the newest first */
    bool folder; /* a folder or a pattern was among the inputs */
} wilor_cli_sources;

/* List all inputs: a file as it is, whatever is in it; of a folder the regular files that begin
 * as a JPEG, PNG or WebP does, in the order of their names' bytes, not of folders in it; for what
 * is not there but has one of * ? [ in it, what glob(3) finds for it. An input that is not there,
 * or a folder without a picture, is reported and counted in *failed; the others are listed. */
wilor_status wilor_cli_sources_list(wilor_cli_sources *s, const char *const *inputs,
                                    size_t count, wilor_cli_report *report, size_t *failed,
                                    wilor_error *err);
/* Give every picture a stem of its own. */
wilor_status wilor_cli_sources_name(wilor_cli_sources *s, wilor_error *err);
void wilor_cli_sources_free(wilor_cli_sources *s);

/* The path; the stem for output files: base name without ending, unlike every other's once they
 * are named. The caller frees; NULL: no memory. Threads may ask at once. */
char *wilor_cli_sources_path(const wilor_cli_sources *s, size_t i);
char *wilor_cli_sources_stem(const wilor_cli_sources *s, size_t i);

#endif

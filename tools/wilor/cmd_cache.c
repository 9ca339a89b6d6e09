/* wilor cache: what lies in the caches, and what of it may go. */
#include "commands.h"

#include "hub_calls.h"
#include "options.h"
#include "wilor/wilor_io.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ID_YES, ID_HELP, ID_HELP_SHORT, PATH_ROOM = 4096 };

static const wilor_cli_option g_options[] = {
    {"--yes", NULL, "clean: remove, and not only say what would be removed", ID_YES, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

typedef struct cache_options {
    const char *action;
    bool yes, help;
} cache_options;

typedef struct tally {
    bool clean, yes;
    size_t count;
    uint64_t bytes;
} tally;

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    cache_options *p = user;
    (void)value;
    (void)err;
    p->yes = p->yes || o->id == ID_YES;
    p->help = p->help || o->id == ID_HELP || o->id == ID_HELP_SHORT;
    return WILOR_OK;
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    cache_options *p = user;
    wilor_cli_quoted q;
    if (p->action || (strcmp(text, "list") != 0 && strcmp(text, "clean") != 0))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "cache: %s: it should be list or clean, once",
                              wilor_cli_quote(&q, text));
    p->action = text;
    return WILOR_OK;
}

/* "models--org--name" as "org/name"; other kinds with theirs before it. */
static void repo_name(char *out, size_t room, const char *folder) {
    size_t at = 0;
    const char *s = !strncmp(folder, "models--", 8) ? folder + 8 : folder;
    while (*s && at + 1 < room) {
        bool two = s[0] == '-' && s[1] == '-';
        out[at++] = two ? '/' : *s;
        s += two ? 2 : 1;
    }
    out[at] = 0;
}

/* Packed weights have a last use, by which the oldest go first. */
static void print_use(const wilor_hub_entry *e) {
    char when[32];
    time_t used = (time_t)e->used;
    const struct tm *parts = localtime(&used); /* one thread */
    if (e->kind == WILOR_HUB_PACKED && parts &&
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", parts))
        printf("  last used %s%s", when, e->removable ? "" : ", not to be removed");
    putchar('\n');
}

static int each(void *user, const wilor_hub_entry *e) {
    static const char *const kinds[] = {"repository", "partial", "shared", "wilor", "packed"};
    tally *t = user;
    char name[300], size[WILOR_CLI_BYTES];
    wilor_cli_quoted q;
    if (t->clean && !e->removable)
        return 0;
    repo_name(name, sizeof name, e->name);
    bool is_repo = e->kind == WILOR_HUB_REPO;
    printf("%-10s %9s  %s", kinds[e->kind], wilor_cli_bytes(size, (double)e->bytes),
           wilor_cli_quote(&q, is_repo ? name : e->path));
    print_use(e);
    if (e->kind != WILOR_HUB_PARTIAL || t->clean) { /* a repository's size has its partials */
        t->bytes += e->bytes;
        t->count++;
    }
    return t->clean && t->yes;
}

static int cache_run(const cache_options *o) {
    wilor_error err;
    char folder[PATH_ROOM], size[WILOR_CLI_BYTES];
    tally t = {.clean = !strcmp(o->action, "clean"), .yes = o->yes};
    wilor_status st = WILOR_OK;
    for (int place = 0; st == WILOR_OK && !t.clean && place < 2; place++) {
        st = wilor_hub_folder(folder, sizeof folder, (wilor_hub_place)place, &err);
        if (st == WILOR_OK)
            printf("%-10s            %s\n", place ? "own" : "cache", folder);
    }
    if (st == WILOR_OK)
        st = wilor_hub_cache_each(each, &t, &err);
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return wilor_cli_close_output(WILOR_CLI_FAILED);
    }
    printf("%-10s %9s\n", "total", wilor_cli_bytes(size, (double)t.bytes));
    if (t.clean && !t.yes && t.count)
        fprintf(stderr, "wilor: nothing was removed: --yes does it\n");
    return wilor_cli_close_output(WILOR_CLI_DONE);
}

int wilor_cli_cache(int argc, char **argv) {
    wilor_error err;
    cache_options o = {0};
    wilor_cli_parser parser = {.command = "cache",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = &o,
                               .option = take_option,
                               .operand = take_operand};
    wilor_status st = wilor_cli_parse(&parser, argc, argv, &err);
    if (st == WILOR_OK && !o.help && !o.action)
        st = wilor_cli_fail(&err, WILOR_ERR_ARG, "cache: say list or clean");
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return WILOR_CLI_USAGE;
    }
    if (!o.help)
        return cache_run(&o);
    fputs("usage: wilor cache list | clean [--yes]\n\n"
          "list: what lies in the cache that is shared with Python, and in wilor's own, with "
          "sizes.\n"
          "clean: what nobody needs: downloads that were broken off (ours when nobody is at "
          "them,\n"
          "others' when they are a day old) and packed weights not in use. Repositories stay: "
          "Python's "
          "tools\n"
          "remove those.\n\n",
          stdout);
    wilor_cli_print_options(g_options, OPTION_COUNT, stdout);
    return wilor_cli_close_output(WILOR_CLI_DONE);
}

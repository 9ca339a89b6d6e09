/* wilor: the command line program.
 *
 * Results go to the standard output, everything else to the standard error. The program uses
 * the public headers only; what it can do, another program can. */
#include "cli_text.h"
#include "commands.h"
#include "interrupt.h"
#include "options.h"
#include "system_process.h"
#include "wilor/wilor.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <stdio.h>
#ifdef __APPLE__
#include <stdlib.h>
#endif
#include <string.h>

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: not in this version */
    const char *help;
} command;

static const command g_commands[] = {
    {"predict", wilor_cli_predict, "3D hands from pictures"},
    {"info", wilor_cli_info, "what a file of weights or hand data is"},
    {"bench", wilor_cli_bench, "how fast this machine is at it"},
    {"live", wilor_cli_live, "3D hands from a camera or a video, as they come"},
    {"serve", wilor_cli_serve, "3D hands for other programs and browsers, with a page"},
    {"download", wilor_cli_download,
     "weights from a model hub, into the cache that Python shares"},
    {"cache", wilor_cli_cache, "what lies in the caches, and cleaning them"},
    {"convert", wilor_cli_convert, "weights as safetensors, for MLX, smaller"},
    {"verify", wilor_cli_verify, "whether a file is sound"},
    {"demo", NULL, ""},
};

enum { COMMANDS = sizeof g_commands / sizeof g_commands[0] };

static const command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(g_commands[i].name, name))
            return &g_commands[i];
    return NULL;
}

static void usage(FILE *to) {
    fputs("usage: wilor COMMAND ...\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        if (g_commands[i].run)
            fprintf(to, "  wilor %-10s %s\n", g_commands[i].name, g_commands[i].help);
    fputs("\n  wilor COMMAND --help    its options\n"
          "  wilor --version         version, build, processor, picture formats\n",
          to);
}

static int version(void) {
    wilor_isa isa = wilor_isa_best();
    printf("%s\nkernels: %s, %d threads\npictures: %s\n", wilor_build_info(),
           wilor_isa_name(isa), wilor_threads_default(), wilor_io_formats());
    return wilor_cli_close_output(WILOR_CLI_DONE);
}

int wilor_cli_close_output(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno != EPIPE)
        fprintf(stderr, "wilor: standard output: cannot write: %s\n", strerror(errno));
    return WILOR_CLI_FAILED;
}

static int unknown(const char *name) {
    wilor_cli_quoted q;
    const char *near =
        wilor_cli_nearest(name, &g_commands[0].name, COMMANDS, sizeof g_commands[0]);
    fprintf(stderr, "wilor: unknown command %s; ", wilor_cli_quote(&q, name));
    if (near)
        fprintf(stderr, "did you mean %s?\n", near);
    else
        fprintf(stderr, "see wilor --help\n");
    return WILOR_CLI_USAGE;
}

int main(int argc, char **argv) {
#ifdef __APPLE__
    /* MLX takes TF32 for float32 on some chips; the environment may say otherwise. */
    setenv("MLX_ENABLE_TF32", "0", 0);
#endif
    wilor_sys_begin(&argc, &argv);
    wilor_cli_interrupt_catch();
    if (argc < 2) {
        usage(stderr);
        return WILOR_CLI_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--version"))
        return version();
    if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
        (!strcmp(name, "help") && argc == 2)) {
        usage(stdout);
        return wilor_cli_close_output(WILOR_CLI_DONE);
    }
    bool help = !strcmp(name, "help");
    const command *c = find(help ? argv[2] : name);
    if (!c)
        return unknown(help ? argv[2] : name);
    if (!c->run) {
        fprintf(stderr, "wilor: the command %s is not in this version\n", c->name);
        return WILOR_CLI_USAGE;
    }
    char help_option[] = "--help";
    char *only_help[] = {help_option, NULL};
    return help ? c->run(1, only_help) : c->run(argc - 2, argv + 2);
}

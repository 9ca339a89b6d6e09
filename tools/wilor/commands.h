/* The subcommands: argv are the words behind the command's name; the exit status comes back. */
#ifndef WILOR_CLI_COMMANDS_H
#define WILOR_CLI_COMMANDS_H

enum {
    WILOR_CLI_DONE = 0,
    WILOR_CLI_FAILED = 1,
    WILOR_CLI_USAGE = 2,
    WILOR_CLI_NO_HAND = 3,
    WILOR_CLI_NO_MODEL = 4,
    WILOR_CLI_INTERRUPTED = 130
};

int wilor_cli_predict(int argc, char **argv);
int wilor_cli_live(int argc, char **argv);
int wilor_cli_serve(int argc, char **argv);
int wilor_cli_info(int argc, char **argv);
int wilor_cli_bench(int argc, char **argv);
int wilor_cli_convert(int argc, char **argv);
int wilor_cli_verify(int argc, char **argv);
int wilor_cli_download(int argc, char **argv);
int wilor_cli_cache(int argc, char **argv);

/* Flush the standard output: `status`, or FAILED (said on stderr, unless nobody reads any
 * more). */
int wilor_cli_close_output(int status);

#endif

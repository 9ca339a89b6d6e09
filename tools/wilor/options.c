/* The command line reader.
 *
 * Strict on purpose: an option given twice, a value that looks like an option, an abbreviation,
 * are errors; a typing error must never become a different computation. */
#include "options.h"

#include <string.h>

enum { LONGEST = 40 }; /* of words whose likeness is worth computing */

/* Levenshtein's distance; both words are at most LONGEST bytes. */
static size_t distance(const char *a, const char *b) {
    size_t row[LONGEST + 1];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *wilor_cli_nearest(const char *word, const char *const *names, size_t count,
                              size_t stride) {
    const char *found = NULL;
    size_t best = 3;
    size_t length = strlen(word);
    if (length > LONGEST)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name =
            *(const char *const *)(const void *)((const char *)names + i * stride);
        size_t most = strlen(name);
        if (most > LONGEST)
            continue;
        /* An abbreviation is near, too. */
        size_t d = length >= 4 && strncmp(word, name, length) == 0 ? 1 : distance(word, name);
        if (d < best && d < length) {
            best = d;
            found = name;
        }
    }
    return found;
}

static bool exists(const wilor_cli_parser *p, const wilor_cli_option *o) {
    return !(o->flags & p->without);
}

/* The option of all tables that is most like `name`. */
static const char *nearest(const wilor_cli_parser *p, const char *name) {
    const char *names[128];
    size_t n = 0;
    for (; p; p = p->more)
        for (size_t i = 0; i < p->count && n < sizeof names / sizeof names[0]; i++)
            if (exists(p, &p->options[i]))
                names[n++] = p->options[i].name;
    return n ? wilor_cli_nearest(name, names, n, sizeof names[0]) : NULL;
}

static wilor_status unknown(const wilor_cli_parser *p, const char *name, wilor_error *err) {
    wilor_cli_quoted q;
    const char *near = nearest(p, name);
    if (near)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: unknown option %s; did you mean %s?",
                              p->command, wilor_cli_quote(&q, name), near);
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: unknown option %s; see wilor %s --help",
                          p->command, wilor_cli_quote(&q, name), p->command);
}

/* The option, and the table that has it. */
static const wilor_cli_option *find(wilor_cli_parser **p, const char *name, size_t length) {
    for (; *p; *p = (*p)->more)
        for (size_t i = 0; i < (*p)->count; i++) {
            const wilor_cli_option *o = &(*p)->options[i];
            if (exists(*p, o) && strlen(o->name) == length && !memcmp(o->name, name, length))
                return o;
        }
    return NULL;
}

/* Take the option at argv[*at]; *at moves on when its value is the next word. */
static wilor_status take(wilor_cli_parser *p, int argc, char **argv, int *at,
                         wilor_error *err) {
    const char *word = argv[*at], *command = p->command;
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    wilor_cli_parser *table = p;
    const wilor_cli_option *o = find(&table, word, length);
    if (!o) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", length < 127 ? (int)length : 127, word);
        return unknown(p, name, err);
    }
    if (o->missing)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: %s %s", command, o->name, o->missing);
    uint64_t bit = (uint64_t)1 << o->id;
    if ((table->seen & bit) && !(o->flags & WILOR_CLI_REPEAT))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: %s is given twice", command, o->name);
    table->seen |= bit;
    const char *value = equals ? equals + 1 : NULL;
    if (!o->value && value)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: %s takes no value", command, o->name);
    if (o->value && !equals) {
        if (*at + 1 >= argc || !strncmp(argv[*at + 1], "--", 2))
            return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: %s needs a value: %s %s", command,
                                  o->name, o->name, o->value);
        value = argv[++*at];
    }
    if (value && !*value)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: %s has an empty value; it should be %s",
                              command, o->name, o->value);
    wilor_status st = table->option(table->user, o, value, err);
    return table->bare ? wilor_cli_in_command(st, command, err) : st;
}

/* Operands are the last table's that has a function for them. */
static wilor_status take_operand(const wilor_cli_parser *p, const char *text,
                                 wilor_error *err) {
    for (const wilor_cli_parser *more = p->more; more; more = more->more)
        p = more->operand ? more : p;
    wilor_status st = p->operand(p->user, text, err);
    return p->bare ? wilor_cli_in_command(st, p->command, err) : st;
}

wilor_status wilor_cli_in_command(wilor_status st, const char *command, wilor_error *err) {
    if (st != WILOR_OK && err) {
        wilor_error bare = *err;
        wilor_cli_fail(err, st, "%s: %.480s", command, bare.text);
    }
    return st;
}

wilor_status wilor_cli_parse(wilor_cli_parser *p, int argc, char **argv, wilor_error *err) {
    bool operands_only = false;
    for (wilor_cli_parser *table = p; table; table = table->more)
        table->seen = 0;
    for (int i = 0; i < argc; i++) {
        wilor_status st;
        if (!operands_only && !strcmp(argv[i], "--")) {
            operands_only = true;
            continue;
        }
        /* "-" alone is the standard input: an operand. */
        if (operands_only || argv[i][0] != '-' || !argv[i][1])
            st = take_operand(p, argv[i], err);
        else
            st = take(p, argc, argv, &i, err);
        if (st != WILOR_OK)
            return st;
    }
    return WILOR_OK;
}

void wilor_cli_print_options(const wilor_cli_option *options, size_t count, FILE *to) {
    wilor_cli_print_options_without(options, count, 0, to);
}

void wilor_cli_print_options_without(const wilor_cli_option *options, size_t count, int without,
                                     FILE *to) {
    enum { COLUMN = 30 };

    for (size_t i = 0; i < count; i++) {
        const wilor_cli_option *o = &options[i];
        if (o->missing || (o->flags & (WILOR_CLI_HIDDEN | without)))
            continue;
        int width =
            fprintf(to, "  %s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        const char *line = o->help;
        if (width > COLUMN - 2) {
            fputc('\n', to);
            width = 0;
        }
        while (*line) {
            size_t n = strcspn(line, "\n");
            fprintf(to, "%*s%.*s\n", COLUMN - width, "", (int)n, line);
            width = 0;
            line += n + (line[n] == '\n');
        }
    }
}

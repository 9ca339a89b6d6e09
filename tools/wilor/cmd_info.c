/* wilor info: what a file of weights or hand data is. Reads headers only: no tensor's numbers. */
#include "commands.h"

#include "event_json.h"
#include "nano_name.h"
#include "options.h"
#include "wilor/wilor.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ID_JSON, ID_TENSORS, ID_HELP, ID_HELP_SHORT, HEAD_WIDTH = 80, TYPES_MOST = 24 };

enum { DETECTOR_LAYERS = 23, DETECTOR_BINS = 16 };

static const wilor_cli_option g_options[] = {
    {"--json", NULL, "as one JSON object, with all tensors", ID_JSON, 0, NULL},
    {"--tensors", NULL, "list all tensors", ID_TENSORS, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

typedef struct info_options {
    const char *path;
    bool json, tensors, help;
} info_options;

typedef struct type_count {
    const char *name;
    size_t tensors;
} type_count;

/* Of a YOLOv8 detector. */
typedef struct detector_facts {
    int64_t width[DETECTOR_LAYERS]; /* outputs of a layer, 0: it has no weights */
    int64_t repeats[DETECTOR_LAYERS];
    int64_t classes;
    uint64_t parameters;
    const char *imgsz, *names; /* or NULL */
} detector_facts;

/* What the names and shapes say. */
typedef struct facts {
    size_t count;
    uint64_t elements, bytes;
    uint64_t
        parameters; /* learned numbers of the network; a quantised one's cannot be counted so */
    bool quantised, mano;

    enum { FORM_PLAIN, FORM_GROUPS, FORM_ROWS } form;

    int64_t words, scales;    /* of the first block's qkv: columns of weights and of scales */
    const char *source, *sum; /* hashes: of the file it was made from, of its data; or NULL */
    int64_t width, depth, vertices, faces;
    int64_t stated_heads;                       /* what the file says itself, 0: nothing */
    const char *label;                          /* what it says of itself, or NULL */
    const char *name, *rescale, *licence, *run; /* the same */
    type_count types[TYPES_MOST];
    size_t type_count;
    detector_facts detector;
} facts;

static const char *kind_name(wilor_file_kind kind) {
    static const char *const names[] = {"tensors", "wilor checkpoint", "wilor-mlx",
                                        "mano",    "mano mean params", "detector"};
    size_t i = (size_t)kind;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

static uint64_t elements_of(const wilor_tensor_info *t) {
    uint64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (uint64_t)t->shape[i];
    return n;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with) {
    size_t a = strlen(text), b = strlen(with);
    return a >= b && !strcmp(text + a - b, with);
}

/* Statistics and constants are stored beside the parameters but were not learned. */
static bool is_parameter(const char *name) {
    if (!begins(name, "backbone.") && !begins(name, "refine_net."))
        return false;
    return !ends(name, ".running_mean") && !ends(name, ".running_var") &&
           !ends(name, ".num_batches_tracked") && !begins(name, "backbone.init_");
}

/* By one layer of the first block, which tells for all. */
static void look_at_quantised(facts *f, const wilor_tensor_info *t) {
    const char *layer = "backbone.blocks.0.attn.qkv.";
    if (!begins(t->name, layer))
        return;
    if (ends(t->name, ".weight") && t->rank == 2) {
        f->words = t->shape[1];
        f->form = !strcmp(t->dtype, "U32")  ? FORM_GROUPS
                  : !strcmp(t->dtype, "I8") ? FORM_ROWS
                                            : FORM_PLAIN;
    }
    if (ends(t->name, ".scales"))
        f->scales = t->rank == 2 ? t->shape[1] : 1;
}

/* Whole numbers, or 0 when the shapes give none. */
static int64_t bits_of(const facts *f) {
    if (f->form == FORM_ROWS)
        return 8;
    bool whole = f->form == FORM_GROUPS && f->width > 0 && f->words < INT64_MAX / 32 &&
                 f->words * 32 % f->width == 0;
    return whole ? f->words * 32 / f->width : 0;
}

static int64_t group_of(const facts *f) {
    return f->scales > 0 && f->width % f->scales == 0 ? f->width / f->scales : 0;
}

static void count_type(facts *f, const char *dtype) {
    size_t i = 0;
    while (i < f->type_count && strcmp(f->types[i].name, dtype) != 0)
        i++;
    if (i == TYPES_MOST)
        return;
    if (i == f->type_count)
        f->types[f->type_count++] = (type_count){dtype, 0};
    f->types[i].tensors++;
}

/* model.4.cv1.…, in wilor-mlx's files b4.cv1.…, h12.… and pose.…: the layer, and what follows. */
static int detector_layer(const char *name, const char **rest) {
    const char *digits = begins(name, "model.")           ? name + 6
                         : (*name == 'b' || *name == 'h') ? name + 1
                                                          : NULL;
    if (begins(name, "pose.")) {
        *rest = name + 5;
        return DETECTOR_LAYERS - 1;
    }
    if (!digits || *digits < '0' || *digits > '9')
        return -1;
    char *end;
    long layer = strtol(digits, &end, 10);
    *rest = end + 1;
    return *end == '.' && layer < DETECTOR_LAYERS ? (int)layer : -1;
}

/* The last convolution of a layer is its own, or cv2. */
static void look_at_detector(detector_facts *d, const wilor_tensor_info *t) {
    const char *rest;
    int layer = detector_layer(t->name, &rest);
    if (layer < 0)
        return;
    if (!ends(rest, "running_mean") && !ends(rest, "running_var") && !begins(rest, "dfl") &&
        !ends(rest, "num_batches_tracked") && strcmp(rest, "stride") != 0)
        d->parameters += elements_of(t);
    if (t->rank == 4 && (!strcmp(rest, "conv.weight") || !strcmp(rest, "cv2.conv.weight")))
        d->width[layer] = t->shape[0];
    if (t->rank == 1 && !strcmp(rest, "cv3.0.2.bias"))
        d->classes = t->shape[0];
    if (begins(rest, "m.")) {
        long i = strtol(rest + 2, NULL, 10);
        if (i >= d->repeats[layer] && i < 1000)
            d->repeats[layer] = i + 1;
    }
}

static void look_at(facts *f, const wilor_tensor_info *t) {
    uint64_t n = elements_of(t);
    const char *block = "backbone.blocks.";
    f->elements += n;
    f->bytes += t->bytes;
    count_type(f, t->dtype);
    if (is_parameter(t->name))
        f->parameters += n;
    if (is_parameter(t->name) && ends(t->name, ".scales"))
        f->quantised = true;
    look_at_quantised(f, t);
    if (!strcmp(t->name, "backbone.pos_embed") && t->rank > 0)
        f->width = t->shape[t->rank - 1];
    if (begins(t->name, block)) {
        long at = strtol(t->name + strlen(block), NULL, 10);
        if (at >= f->depth && at < 100000)
            f->depth = at + 1;
    }
    const char *name = begins(t->name, "mano.") ? t->name + 5 : t->name;
    if (!strcmp(name, "v_template") && t->rank > 0) {
        f->mano = true;
        f->vertices = t->shape[0];
    }
    if ((!strcmp(name, "faces_tensor") || !strcmp(name, "faces") || !strcmp(name, "f")) &&
        t->rank > 0)
        f->faces = t->shape[0];
}

static void gather(facts *f, const wilor_file *file) {
    wilor_tensor_info t;
    const char *heads = wilor_file_metadata(file, "heads");
    f->stated_heads = heads ? strtol(heads, NULL, 10) : 0;
    f->label = wilor_file_metadata(file, "label");
    f->name = wilor_file_metadata(file, "wilor.model");
    f->rescale = wilor_file_metadata(file, "wilor.rescale");
    f->licence = wilor_file_metadata(file, "license");
    f->run = wilor_file_metadata(file, "wilor.run");
    f->source = wilor_file_metadata(file, "source_sha256");
    f->sum = wilor_file_metadata(file, "data_sha256");
    f->count = wilor_file_count(file);
    f->detector.parameters = DETECTOR_BINS; /* a constant, not in every file */
    f->detector.imgsz = wilor_file_metadata(file, "imgsz");
    f->detector.names = wilor_file_metadata(file, "names");
    for (size_t i = 0; i < f->count; i++)
        if (wilor_file_tensor(file, i, &t) == WILOR_OK) {
            look_at(f, &t);
            look_at_detector(&f->detector, &t);
        }
}

static bool is_network(const wilor_file *file) {
    wilor_file_kind kind = wilor_file_get_kind(file);
    return kind == WILOR_FILE_CHECKPOINT || kind == WILOR_FILE_MLX;
}

static bool is_detector(const wilor_file *file) {
    return wilor_file_get_kind(file) == WILOR_FILE_DETECTOR;
}

/* By the published widths and repeats: first layer, then the outputs of the head's levels. */
static const char *detector_scale(const detector_facts *d) {
    static const struct {
        const char *name;
        int64_t first, levels[3], repeats;
    } scales[] = {{"n", 16, {64, 128, 256}, 1},
                  {"s", 32, {128, 256, 512}, 1},
                  {"m", 48, {192, 384, 576}, 2},
                  {"l", 64, {256, 512, 512}, 3},
                  {"x", 80, {320, 640, 640}, 3}};

    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (d->width[0] == scales[i].first && d->width[15] == scales[i].levels[0] &&
            d->width[18] == scales[i].levels[1] && d->width[21] == scales[i].levels[2] &&
            d->repeats[2] == scales[i].repeats)
            return scales[i].name;
    return NULL;
}

/* The number is in no tensor: our own files state it, full-size models have 80 channels a head. */
static int64_t heads_of(const facts *f) {
    if (f->stated_heads > 0)
        return f->stated_heads;
    return f->width > 0 && f->width % HEAD_WIDTH == 0 ? f->width / HEAD_WIDTH : 0;
}

/* ---------------------------------------------------------------- text */

static void print_shape(const wilor_tensor_info *t) {
    putchar('[');
    for (int i = 0; i < t->rank; i++)
        printf("%s%" PRId64, i ? ", " : "", t->shape[i]);
    putchar(']');
}

static void print_network(const facts *f) {
    printf("width       %" PRId64 "\ndepth       %" PRId64 "\n", f->width, f->depth);
    if (heads_of(f))
        printf("heads       %" PRId64 "%s\n", heads_of(f),
               f->stated_heads ? "" : " (width / 80)");
    else
        printf("heads       not in the file: give --heads (width / 80 is no whole number)\n");
    if (f->quantised && f->form == FORM_GROUPS)
        printf("quantised   %" PRId64 " bits, affine groups of %" PRId64 "\n", bits_of(f),
               group_of(f));
    if (f->quantised && f->form == FORM_ROWS)
        printf("quantised   8 bits, a scale a row\n");
    if (f->quantised)
        printf("parameters  quantised\n");
    else
        printf("parameters  %" PRIu64 "\n", f->parameters);
    printf("mano        %s\n", f->mano ? "yes" : "no: give --mano");
}

/* The layers that have any. */
static void print_layers(const char *title, const int64_t values[DETECTOR_LAYERS]) {
    printf("%s", title);
    for (int i = 0; i < DETECTOR_LAYERS; i++)
        if (values[i])
            printf(" %" PRId64, values[i]);
    putchar('\n');
}

static void print_detector(const detector_facts *d) {
    wilor_cli_quoted q;
    const char *scale = detector_scale(d);
    printf("scale       %s\n", scale ? scale : "none of the published ones");
    print_layers("widths     ", d->width);
    print_layers("repeats    ", d->repeats);
    if (d->imgsz)
        printf("imgsz       %ld\n", strtol(d->imgsz, NULL, 10));
    else
        printf("imgsz       640 (not in the file)\n");
    printf("classes     %" PRId64, d->classes);
    if (d->names)
        printf(" (%s)", wilor_cli_quote(&q, d->names));
    printf("\nparameters  %" PRIu64 "\n", d->parameters);
}

static void print_text(const info_options *o, const wilor_file *file, const facts *f) {
    wilor_cli_quoted q;
    wilor_tensor_info t;
    printf("file        %s\nkind        %s\nformat      %s\n", wilor_cli_quote(&q, o->path),
           kind_name(wilor_file_get_kind(file)), wilor_file_format(file));
    if (f->label)
        printf("label       %s\n", wilor_cli_quote(&q, f->label));
    if (f->name)
        printf("name        %s\n", wilor_cli_quote(&q, f->name));
    if (f->licence)
        printf("licence     %s\n", wilor_cli_quote(&q, f->licence));
    if (f->run)
        printf("run         %s\n", wilor_cli_quote(&q, f->run));
    if (f->source)
        printf("made from   a file of SHA-256 %s\n", wilor_cli_quote(&q, f->source));
    if (f->sum)
        printf("data        SHA-256 %s\n", wilor_cli_quote(&q, f->sum));
    if (is_network(file))
        print_network(f);
    if (is_network(file) && f->rescale)
        printf("rescale     %s\n", wilor_cli_quote(&q, f->rescale));
    if (is_detector(file))
        print_detector(&f->detector);
    if (f->mano && f->vertices)
        printf("vertices    %" PRId64 "\n", f->vertices);
    if (f->mano && f->faces)
        printf("faces       %" PRId64 "\n", f->faces);
    printf("tensors     %zu, %" PRIu64 " numbers, %" PRIu64 " bytes\ntypes      ", f->count,
           f->elements, f->bytes);
    for (size_t i = 0; i < f->type_count; i++)
        printf("%s %s %zu", i ? "," : "", f->types[i].name, f->types[i].tensors);
    putchar('\n');
    for (size_t i = 0; o->tensors && i < f->count; i++) {
        if (wilor_file_tensor(file, i, &t) != WILOR_OK)
            continue;
        printf("%-5s ", t.dtype);
        print_shape(&t);
        printf(" %s\n", wilor_cli_quote(&q, t.name));
    }
}

/* ---------------------------------------------------------------- JSON */

static void put(json_t *object, const char *key, json_t *value, bool *ok) {
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

static json_t *clean_string(const char *text) {
    char *clean = wilor_cli_utf8_copy(text);
    json_t *value = json_string(clean);
    free(clean);
    return value;
}

static json_t *whole(uint64_t n) {
    return json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

static json_t *tensor_object(const wilor_tensor_info *t, bool *ok) {
    json_t *object = json_object(), *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) != 0)
            *ok = false;
    put(object, "name", clean_string(t->name), ok);
    put(object, "dtype", json_string(t->dtype), ok);
    put(object, "shape", shape, ok);
    put(object, "bytes", whole(t->bytes), ok);
    return object;
}

static json_t *tensor_list(const wilor_file *file, bool *ok) {
    json_t *list = json_array();
    wilor_tensor_info t;
    size_t count = wilor_file_count(file);
    for (size_t i = 0; i < count; i++)
        if (wilor_file_tensor(file, i, &t) == WILOR_OK &&
            json_array_append_new(list, tensor_object(&t, ok)) != 0)
            *ok = false;
    return list;
}

static void put_network(json_t *object, const facts *f, bool *ok) {
    put(object, "width", json_integer(f->width), ok);
    put(object, "depth", json_integer(f->depth), ok);
    put(object, "heads", heads_of(f) ? json_integer(heads_of(f)) : json_null(), ok);
    put(object, "quantised", json_boolean(f->quantised), ok);
    if (f->quantised && f->form != FORM_PLAIN) {
        json_t *group = f->form == FORM_GROUPS ? json_integer(group_of(f)) : json_null();
        put(object, "bits", json_integer(bits_of(f)), ok);
        put(object, "group_size", group, ok);
    }
    put(object, "parameters", f->quantised ? json_null() : whole(f->parameters), ok);
    put(object, "mano", json_boolean(f->mano), ok);
}

static void put_layers(json_t *object, const char *key, const int64_t values[DETECTOR_LAYERS],
                       bool *ok) {
    json_t *list = json_array();
    for (int i = 0; i < DETECTOR_LAYERS; i++)
        if (values[i] && json_array_append_new(list, json_integer(values[i])) != 0)
            *ok = false;
    put(object, key, list, ok);
}

static void put_detector(json_t *object, const detector_facts *d, bool *ok) {
    const char *scale = detector_scale(d);
    put(object, "scale", scale ? json_string(scale) : json_null(), ok);
    put_layers(object, "widths", d->width, ok);
    put_layers(object, "repeats", d->repeats, ok);
    long imgsz = d->imgsz ? strtol(d->imgsz, NULL, 10) : 0;
    put(object, "imgsz", d->imgsz ? json_integer(imgsz) : json_null(), ok);
    put(object, "classes", json_integer(d->classes), ok);
    put(object, "names", d->names ? clean_string(d->names) : json_null(), ok);
    put(object, "parameters", whole(d->parameters), ok);
}

static int print_json(const info_options *o, const wilor_file *file, const facts *f) {
    bool ok = true;
    json_t *object = json_object(), *types = json_object();
    put(object, "file", clean_string(o->path), &ok);
    put(object, "kind", json_string(kind_name(wilor_file_get_kind(file))), &ok);
    put(object, "format", json_string(wilor_file_format(file)), &ok);
    if (f->name)
        put(object, "name", clean_string(f->name), &ok);
    if (f->rescale)
        put(object, "rescale", clean_string(f->rescale), &ok);
    if (f->licence)
        put(object, "licence", clean_string(f->licence), &ok);
    if (f->run)
        put(object, "run", clean_string(f->run), &ok);
    if (f->label)
        put(object, "label", clean_string(f->label), &ok);
    if (f->source)
        put(object, "source_sha256", clean_string(f->source), &ok);
    if (f->sum)
        put(object, "data_sha256", clean_string(f->sum), &ok);
    if (is_network(file))
        put_network(object, f, &ok);
    if (is_detector(file))
        put_detector(object, &f->detector, &ok);
    if (f->mano && f->vertices)
        put(object, "vertices", json_integer(f->vertices), &ok);
    if (f->mano && f->faces)
        put(object, "faces", json_integer(f->faces), &ok);
    put(object, "tensor_count", whole(f->count), &ok);
    put(object, "numbers", whole(f->elements), &ok);
    put(object, "bytes", whole(f->bytes), &ok);
    for (size_t i = 0; i < f->type_count; i++)
        put(types, f->types[i].name, whole(f->types[i].tensors), &ok);
    put(object, "types", types, &ok);
    put(object, "tensors", tensor_list(file, &ok), &ok);
    char *text = ok ? wilor_cli_json_text(object, JSON_INDENT(1)) : NULL;
    json_decref(object);
    if (!text) {
        fprintf(stderr, "wilor: info: out of memory\n");
        return WILOR_CLI_FAILED;
    }
    puts(text);
    free(text);
    return WILOR_CLI_DONE;
}

/* ---------------------------------------------------------------- the command */

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    info_options *p = user;
    (void)value;
    (void)err;
    p->json = p->json || o->id == ID_JSON;
    p->tensors = p->tensors || o->id == ID_TENSORS;
    p->help = p->help || o->id == ID_HELP || o->id == ID_HELP_SHORT;
    return WILOR_OK;
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    info_options *p = user;
    wilor_cli_quoted q;
    if (p->path)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "info: one file at a time; the second is %s",
                              wilor_cli_quote(&q, text));
    p->path = text;
    return WILOR_OK;
}

static int info_run(info_options *o) {
    char nano[WILOR_CLI_NANO_ROOM];
    wilor_error err;
    wilor_file *file = NULL;
    facts f = {0};
    int status = WILOR_CLI_DONE;
    if (wilor_cli_nano_resolve(&o->path, nano, WILOR_NANO_WEIGHTS, &err) != WILOR_OK ||
        wilor_file_open(&file, o->path, &err) != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return WILOR_CLI_FAILED;
    }
    gather(&f, file);
    if (o->json)
        status = print_json(o, file, &f);
    else
        print_text(o, file, &f);
    wilor_file_close(&file);
    return wilor_cli_close_output(status);
}

int wilor_cli_info(int argc, char **argv) {
    wilor_error err;
    info_options o = {0};
    wilor_cli_parser parser = {.command = "info",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = &o,
                               .option = take_option,
                               .operand = take_operand};
    wilor_status st = wilor_cli_parse(&parser, argc, argv, &err);
    if (st == WILOR_OK && !o.help && !o.path)
        st = wilor_cli_fail(&err, WILOR_ERR_ARG, "info: no file given; see wilor info --help");
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return WILOR_CLI_USAGE;
    }
    if (o.help) {
        fputs("usage: wilor info FILE|nano [--tensors | --json]\n\n"
              "What a file of weights, hand data or tensors is; nothing in it is executed.\n\n",
              stdout);
        wilor_cli_print_options(g_options, OPTION_COUNT, stdout);
        return wilor_cli_close_output(WILOR_CLI_DONE);
    }
    return info_run(&o);
}

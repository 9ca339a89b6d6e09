/* The names that honest checkpoints and hand files call. Python would execute these calls; here
 * they become records, so the list guards no machine: it tells honest files from hostile ones,
 * which are refused with the name of what they wanted to run. */
#include "pickle_call.h"

#include <string.h>

/* A trailing '*' stands for any rest. */
static const char *const g_called[] = {
    "torch.*Storage",
    "torch.Size",
    "torch.device",
    "torch.dtype",
    "torch._utils._rebuild_*",
    "torch._tensor._rebuild_*",
    "torch.nn.*",
    "torch.optim.*",
    "torch.storage.*",
    "torch.serialization._get_layout",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.dtypes.*",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy.random._pickle.*",
    "scipy.sparse.*",
    "chumpy.*",
    "_codecs.encode",
    "copy_reg._reconstructor",
    "copyreg._reconstructor",
    "copy_reg.__newobj__",
    "copyreg.__newobj__",
    "collections.*",
    "argparse.Namespace",
    "types.SimpleNamespace",
    "pathlib.*",
    "pathlib._local.*",
    "datetime.*",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    "functools.partial",
    "enum.*",
    "yacs.*",
    "omegaconf.*",
    "typing.Any",
    "pytorch_lightning.*",
    "lightning.*",
    "lightning_fabric.*",
    "ultralytics.*",
    "wilor.*",
    "wilor_mini.*",
    "hamer.*",
};

/* Of Python's built-in names only these; getattr occurs in honest detector files, for methods. */
static const char *const g_builtin[] = {
    "set",   "frozenset", "list",  "dict",   "tuple",     "complex", "long",
    "int",   "float",     "str",   "bytes",  "bytearray", "bool",    "object",
    "slice", "unicode",   "range", "xrange", "getattr",
};

static const char *const g_refused[] = {
    "os.*",       "posix.*",     "nt.*",          "subprocess.*", "sys.*",
    "commands.*", "importlib.*", "ctypes.*",      "socket.*",     "shutil.*",
    "pty.*",      "runpy.*",     "__builtin__.*", "builtins.*",
};

/* One '*' in the pattern matches any characters. */
static bool matches(const char *pattern, const char *path, size_t length) {
    const char *star = strchr(pattern, '*');
    size_t n = strlen(pattern);
    if (!star)
        return n == length && memcmp(pattern, path, n) == 0;
    size_t head = (size_t)(star - pattern), tail = n - head - 1;
    return length >= head + tail && memcmp(pattern, path, head) == 0 &&
           memcmp(star + 1, path + length - tail, tail) == 0;
}

static bool listed(const char *const *list, size_t count, const char *path, size_t length) {
    for (size_t i = 0; i < count; i++)
        if (matches(list[i], path, length))
            return true;
    return false;
}

#define LISTED(list, path, length) listed(list, sizeof(list) / sizeof((list)[0]), path, length)

wilor_pickle_right wilor_pickle_right_of(const char *path, size_t length) {
    static const char *const roots[] = {"__builtin__.", "builtins."};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(roots[i]);
        if (length > n && memcmp(path, roots[i], n) == 0 &&
            LISTED(g_builtin, path + n, length - n))
            return WILOR_PICKLE_CALLED;
    }
    if (LISTED(g_called, path, length))
        return WILOR_PICKLE_CALLED;
    return LISTED(g_refused, path, length) ? WILOR_PICKLE_REFUSED : WILOR_PICKLE_NAMED;
}

/* What is meant by a word: a path, or a name on the hub. A path never asks the network, so whatever
 * could be a mistyped path counts as one. */
#include "hub_name.h"

#include "system_files.h"

#include <stdio.h>
#include <string.h>

static bool copy(char *out, size_t room, const char *from, size_t n) {
    if (n == 0 || n >= room)
        return false;
    memcpy(out, from, n);
    out[n] = 0;
    return true;
}

bool wilor_cli_hub_name_parse(wilor_cli_hub_name *n, const char *text) {
    size_t id = strcspn(text, "@:");
    const char *rest = text + id;
    *n = (wilor_cli_hub_name){"", "", ""};
    if (!copy(n->repo, sizeof n->repo, text, id))
        return false;
    const char *slash = strchr(n->repo, '/'), *second = slash ? strchr(slash + 1, '/') : NULL;
    bool kind = !strncmp(text, "datasets/", 9) || !strncmp(text, "spaces/", 7);
    if (!slash || slash == n->repo || !slash[1] || (second && !kind) ||
        (second && (strchr(second + 1, '/') || !second[1])))
        return false;
    if (*rest == '@') {
        size_t length = strcspn(++rest, ":");
        if (!copy(n->revision, sizeof n->revision, rest, length))
            return false;
        rest += length;
    }
    return !*rest || copy(n->file, sizeof n->file, rest + 1, strlen(rest + 1));
}

bool wilor_cli_is_local(const char *text) {
    static const char *const endings[] = {".ckpt", ".safetensors", ".npz", ".pt",
                                          ".pth",  ".pkl",         ".bin"};
    wilor_cli_hub_name n;
    if (wilor_cli_is_formula(text) || strchr("/.~", text[0]) ||
        wilor_sys_access(text, WILOR_SYS_EXISTS) == 0 || !wilor_cli_hub_name_parse(&n, text))
        return true;
    if (*n.revision || *n.file)
        return false; /* @ and : say that it is a hub's */
    char folder[sizeof n.repo];
    snprintf(folder, sizeof folder, "%.*s", (int)strcspn(text, "/"), text);
    if (wilor_sys_access(folder, WILOR_SYS_EXISTS) == 0)
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (!strcmp(wilor_cli_ending(text), endings[i]))
            return true;
    return false;
}

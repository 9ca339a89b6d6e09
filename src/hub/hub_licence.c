/* The notice in our own words; the terms themselves are behind the links. Where the record cannot be
 * written it is shown again. */
#include "hub_licence.h"

#include "heap.h"
#include "hub_cache.h"
#include "wilor/wilor_io.h"
#include <string.h>
#include <unistd.h>

static const char *const g_notice[] = {
    "These files are not wilor's; they come with terms of their own, which you accept by using "
    "them.",
    "WiLoR's trained weights: CC BY-NC-ND 4.0, no commercial use, no modified copies: "
    "https://github.com/rolpotamias/WiLoR and "
    "https://creativecommons.org/licenses/by-nc-nd/4.0/",
    "The hand model MANO: Max Planck's licence, research without commercial purpose: "
    "https://mano.is.tue.mpg.de/license.html",
    "WiLoR's detector builds on Ultralytics' library, which has its own licence, AGPL-3.0: "
    "https://github.com/ultralytics/ultralytics/blob/main/LICENSE",
    "This is shown once.",
};

static bool is_default(const wilor_hub_repo *repo) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_hub_default_file f;
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; wilor_hub_default(sets[s], i, &f) == WILOR_OK; i++)
            if (!*repo->prefix && !strcmp(f.repo, repo->id))
                return true;
    return false;
}

void wilor_hub_licence_tell(const char *own, const wilor_hub_repo *repo,
                            const wilor_callbacks *callbacks) {
    char *record = wilor_hub_concat(own, "/licence-notice-shown", (char *)NULL);
    if (record && is_default(repo) && access(record, F_OK) != 0 && callbacks->log) {
        for (size_t i = 0; i < sizeof g_notice / sizeof g_notice[0]; i++)
            callbacks->log(callbacks->user, WILOR_LOG_INFO, g_notice[i]);
        (void)wilor_hub_write_text(record,
                                   "The notice on the licences of WiLoR's weights, MANO "
                                   "and the detector was shown.\n");
    }
    wilor_heap_free(record);
}

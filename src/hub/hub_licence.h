/* Whose the default files are, and on what terms: said once. */
#ifndef WILOR_HUB_LICENCE_H
#define WILOR_HUB_LICENCE_H

#include "hub_names.h"

/* Before the first download of a default file: log the notice, line by line, and remember in `own` that
 * it was shown. */
void wilor_hub_licence_tell(const char *own, const wilor_hub_repo *repo,
                            const wilor_callbacks *callbacks);

#endif

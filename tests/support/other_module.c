/* A module of another version, in place of libwilor_video and libwilor_download. */
#include "module_head.h"

const wilor_module_head *wilor_video_get_table(void);
const wilor_module_head *wilor_download_get_table(void);

static const wilor_module_head g_head = {1, sizeof(wilor_module_head)};

const wilor_module_head *wilor_video_get_table(void) { return &g_head; }

const wilor_module_head *wilor_download_get_table(void) { return &g_head; }

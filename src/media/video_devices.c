/* FFmpeg's devices (cameras, test sources) are a library of their own, libavdevice, for one function that is
 * called once. It draws in a hundred others, of sound, drawing and windows, whose loading takes longer than a small
 * model's start and more memory than its work. So it is loaded when a device is asked for, not with the process. */
#include "video_ffmpeg.h"

#include <libavdevice/avdevice.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static char g_missing[160];

#if defined(WILOR_LAZY_FFMPEG)
#include "loaded_pages.h"

#include <dlfcn.h>

#define TEXT(x) #x
#define VERSION(x) TEXT(x)
#define NAME "libavdevice.so." VERSION(LIBAVDEVICE_VERSION_MAJOR)

typedef void register_function(void);

static void init(void) {
    const size_t before = wilor_loaded_count();
    void *library = dlopen(NAME, RTLD_NOW | RTLD_LOCAL), *found = NULL;
    wilor_loaded_release(before);
    if (library)
        found = dlsym(library, "avdevice_register_all");
    if (!found) {
        const char *reason = dlerror();
        snprintf(g_missing, sizeof g_missing, ": %s", reason ? reason : NAME);
        return;
    }
    register_function *register_all;
    memcpy(&register_all, &found, sizeof register_all);
    register_all();
}

#else

static void init(void) { avdevice_register_all(); }

#endif

const char *wilor_video_ffmpeg_devices(void) {
    pthread_once(&g_once, init);
    return g_missing;
}

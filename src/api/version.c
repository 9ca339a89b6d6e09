/* What this library is. */
#include "wilor/wilor.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

#if !defined(WILOR_REVISION)
#define WILOR_REVISION "unknown revision"
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define FAMILY "x86-64"
#elif defined(__aarch64__) || defined(_M_ARM64)
#define FAMILY "aarch64"
#else
#define FAMILY "other"
#endif

#if defined(WILOR_HAVE_ZLIB)
#define DEFLATE ", zlib"
#else
#define DEFLATE ", no zlib"
#endif

const char *wilor_version(void) {
    return TEXT(WILOR_VERSION_MAJOR) "." TEXT(WILOR_VERSION_MINOR) "." TEXT(
        WILOR_VERSION_PATCH);
}

const char *wilor_build_info(void) {
    return "wilor " TEXT(WILOR_VERSION_MAJOR) "." TEXT(WILOR_VERSION_MINOR) "." TEXT(
        WILOR_VERSION_PATCH) " (" WILOR_REVISION "), " COMPILER ", " FAMILY DEFLATE;
}

/* What the two files of the Windows implementation share. */
#ifndef WILOR_SYSTEM_WINDOWS_H
#define WILOR_SYSTEM_WINDOWS_H

#include "system.h"

#include <windows.h>

#include <io.h>
#include <wchar.h>

/* From malloc; NULL with errno: EILSEQ when it is no sound UTF-8. */
wchar_t *wilor_sys_wide(const char *text);
char *wilor_sys_narrow(const wchar_t *text); /* a lone surrogate becomes U+FFFD */
/* The same for a path; one that is too long for the old limit of 260 gets the prefix that lifts it. */
wchar_t *wilor_sys_wide_path(const char *path);
/* errno from GetLastError; returns -1. */
int wilor_sys_fail(void);

static inline HANDLE wilor_sys_handle(int fd) { return (HANDLE)_get_osfhandle(fd); }

#endif

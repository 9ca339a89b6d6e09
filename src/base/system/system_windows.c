/* system.h on Windows: text in and out of UTF-16, error numbers, reading files.
 *
 * Files are opened by CreateFileW with every kind of sharing, so that a name can be removed or renamed while
 * somebody reads, as on POSIX. */
#include "system_windows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const int64_t EPOCH = 116444736000000000; /* 1970 in FILETIME's 100 ns since 1601 */

wchar_t *wilor_sys_wide(const char *text) {
    int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (n <= 0) {
        errno = EILSEQ;
        return NULL;
    }
    wchar_t *wide = malloc((size_t)n * sizeof *wide);
    if (wide)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, n);
    return wide;
}

char *wilor_sys_narrow(const wchar_t *text) {
    int n = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *narrow = n > 0 ? malloc((size_t)n) : NULL;
    if (narrow)
        WideCharToMultiByte(CP_UTF8, 0, text, -1, narrow, n, NULL, NULL);
    return narrow;
}

wchar_t *wilor_sys_wide_path(const char *path) {
    enum { OLD_LIMIT = 240 }; /* 260 less a name of 8.3 and some */

    static const wchar_t lift[] = L"\\\\?\\";
    const size_t extra = sizeof lift / sizeof *lift - 1;
    if (!*path) {
        errno = ENOENT;
        return NULL;
    }
    wchar_t *wide = wilor_sys_wide(path);
    if (!wide || wcslen(wide) < OLD_LIMIT || !wcsncmp(wide, L"\\\\", 2))
        return wide;
    DWORD room = GetFullPathNameW(wide, 0, NULL, NULL);
    wchar_t *whole = room ? malloc((room + extra) * sizeof *whole) : NULL;
    if (whole && GetFullPathNameW(wide, room, whole + extra, NULL))
        memcpy(whole, lift, extra * sizeof *lift);
    free(wide);
    if (!whole)
        errno = ENOMEM;
    return whole;
}

int wilor_sys_fail(void) {
    static const struct {
        DWORD system;
        int code;
    } table[] = {{ERROR_FILE_NOT_FOUND, ENOENT},    {ERROR_PATH_NOT_FOUND, ENOENT},
                 {ERROR_INVALID_NAME, ENOENT},      {ERROR_BAD_PATHNAME, ENOENT},
                 {ERROR_INVALID_DRIVE, ENOENT},     {ERROR_BAD_NETPATH, ENOENT},
                 {ERROR_BAD_NET_NAME, ENOENT},      {ERROR_DIRECTORY, ENOTDIR},
                 {ERROR_ACCESS_DENIED, EACCES},     {ERROR_SHARING_VIOLATION, EACCES},
                 {ERROR_LOCK_VIOLATION, EACCES},    {ERROR_WRITE_PROTECT, EROFS},
                 {ERROR_FILE_EXISTS, EEXIST},       {ERROR_ALREADY_EXISTS, EEXIST},
                 {ERROR_DISK_FULL, ENOSPC},         {ERROR_HANDLE_DISK_FULL, ENOSPC},
                 {ERROR_NOT_ENOUGH_MEMORY, ENOMEM}, {ERROR_OUTOFMEMORY, ENOMEM},
                 {ERROR_COMMITMENT_LIMIT, ENOMEM},  {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
                 {ERROR_DIR_NOT_EMPTY, ENOTEMPTY},  {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
                 {ERROR_BROKEN_PIPE, EPIPE},        {ERROR_NO_DATA, EPIPE},
                 {ERROR_INVALID_HANDLE, EBADF},     {ERROR_INVALID_PARAMETER, EINVAL},
                 {ERROR_NOT_SUPPORTED, ENOSYS},     {ERROR_INVALID_FUNCTION, ENOSYS}};

    DWORD system = GetLastError();
    errno = EIO;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].system == system)
            errno = table[i].code;
    return -1;
}

/* Values live for good; one that is asked for again and has not changed is given again. */
const char *wilor_sys_getenv(const char *name) {
    static struct kept {
        struct kept *next;
        char *name, *value;
    } * all;

    static SRWLOCK lock = SRWLOCK_INIT;
    wchar_t *wide = wilor_sys_wide(name);
    const wchar_t *is = wide ? _wgetenv(wide) : NULL;
    char *value = is ? wilor_sys_narrow(is) : NULL;
    free(wide);
    if (!value)
        return NULL;
    AcquireSRWLockExclusive(&lock);
    struct kept *k = all;
    while (k && (strcmp(k->name, name) != 0 || strcmp(k->value, value) != 0))
        k = k->next;
    if (!k && (k = calloc(1, sizeof *k))) {
        k->name = _strdup(name);
        k->value = value;
        value = NULL;
        if (k->name) {
            k->next = all;
            all = k;
        }
    }
    ReleaseSRWLockExclusive(&lock);
    free(value);
    return k ? k->value : NULL;
}

const char *wilor_sys_secure_getenv(const char *name) { return wilor_sys_getenv(name); }

size_t wilor_sys_program_path(char *path, size_t room) {
    enum { MOST = 32768 };

    wchar_t *wide = malloc(MOST * sizeof *wide);
    DWORD n = wide ? GetModuleFileNameW(NULL, wide, MOST) : 0;
    char *narrow = n && n < MOST ? wilor_sys_narrow(wide) : NULL;
    size_t length = narrow ? strlen(narrow) : 0;
    if (length >= room)
        length = 0;
    for (size_t i = 0; i < length; i++)
        path[i] = narrow[i] == '\\' ? '/' : narrow[i];
    path[length] = 0;
    free(narrow);
    free(wide);
    return length;
}

int wilor_sys_open(const char *path, int how) {
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD access = how & WILOR_SYS_WRITE ? GENERIC_WRITE : 0;
    access |= how & WILOR_SYS_READ ? GENERIC_READ : 0;
    DWORD make = !(how & WILOR_SYS_CREATE)   ? OPEN_EXISTING
                 : how & WILOR_SYS_EXCLUSIVE ? CREATE_NEW
                                             : OPEN_ALWAYS;
    /* With this a folder opens, too. */
    DWORD flags = how & WILOR_SYS_WRITE ? FILE_ATTRIBUTE_NORMAL : FILE_FLAG_BACKUP_SEMANTICS;
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return -1;
    HANDLE h = CreateFileW(wide, access, share, NULL, make, flags, NULL);
    free(wide);
    if (h == INVALID_HANDLE_VALUE)
        return wilor_sys_fail();
    int fd = _open_osfhandle((intptr_t)h, _O_BINARY | _O_NOINHERIT |
                                              (how & WILOR_SYS_WRITE ? 0 : _O_RDONLY));
    if (fd < 0)
        CloseHandle(h);
    return fd;
}

FILE *wilor_sys_fopen(const char *path, const char *mode) {
    wchar_t *wide = wilor_sys_wide_path(path), *how = wilor_sys_wide(mode);
    FILE *f = wide && how ? _wfopen(wide, how) : NULL;
    int code = errno;
    free(wide);
    free(how);
    errno = code;
    return f;
}

static int64_t nanoseconds(FILETIME t) {
    return (((int64_t)t.dwHighDateTime << 32 | t.dwLowDateTime) - EPOCH) * 100;
}

static int fill(wilor_sys_info *out, HANDLE h) {
    BY_HANDLE_FILE_INFORMATION info;
    *out = (wilor_sys_info){.kind = WILOR_SYS_OTHER, .mode = 0666};
    DWORD type = h != INVALID_HANDLE_VALUE ? GetFileType(h) : FILE_TYPE_UNKNOWN;
    if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR)
        return wilor_sys_fail();
    out->kind = type == FILE_TYPE_PIPE   ? WILOR_SYS_PIPE
                : type == FILE_TYPE_CHAR ? WILOR_SYS_DEVICE
                                         : WILOR_SYS_OTHER;
    if (type != FILE_TYPE_DISK)
        return 0;
    if (!GetFileInformationByHandle(h, &info))
        return wilor_sys_fail();
    bool folder = info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
    out->kind = folder ? WILOR_SYS_FOLDER : WILOR_SYS_FILE;
    out->size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
    out->changed_ns = nanoseconds(info.ftLastWriteTime);
    out->mode = info.dwFileAttributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0666;
    return 0;
}

int wilor_sys_stat(const char *path, wilor_sys_info *out) {
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return -1;
    HANDLE h = CreateFileW(wide, FILE_READ_ATTRIBUTES,
                           FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                           OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    free(wide);
    if (h == INVALID_HANDLE_VALUE)
        return wilor_sys_fail();
    int code = fill(out, h), reason = errno;
    CloseHandle(h);
    errno = reason;
    return code;
}

int wilor_sys_fstat(int fd, wilor_sys_info *out) { return fill(out, wilor_sys_handle(fd)); }

bool wilor_sys_is_separator(char c) { return c == '/' || c == '\\'; }

const char *wilor_sys_base_name(const char *path) {
    const char *base = path;
    bool drive = ((*path | 32) >= 'a' && (*path | 32) <= 'z') && path[1] == ':';
    for (const char *c = path; *c; c++)
        if (wilor_sys_is_separator(*c) || (drive && c == path + 1))
            base = c + 1;
    return base;
}

ssize_t wilor_sys_pread(int fd, void *out, size_t bytes, uint64_t at) {
    OVERLAPPED where = {.Offset = (DWORD)at, .OffsetHigh = (DWORD)(at >> 32)};
    DWORD got = 0, want = bytes < (1u << 30) ? (DWORD)bytes : 1u << 30;
    if (ReadFile(wilor_sys_handle(fd), out, want, &got, &where) ||
        GetLastError() == ERROR_HANDLE_EOF)
        return (ssize_t)got;
    return wilor_sys_fail();
}

void *wilor_sys_map(int fd, size_t bytes, bool shared) {
    static char nothing;
    (void)shared; /* read-only views of a file are always shared */
    if (bytes == 0)
        return &nothing; /* an empty file cannot be mapped */
    HANDLE mapping = CreateFileMappingW(wilor_sys_handle(fd), NULL, PAGE_READONLY, 0, 0, NULL);
    void *map = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, bytes) : NULL;
    if (!map)
        wilor_sys_fail();
    if (mapping)
        CloseHandle(mapping);
    return map;
}

void wilor_sys_unmap(void *map, size_t bytes) {
    if (bytes)
        UnmapViewOfFile(map);
}

void wilor_sys_map_release(void *map, size_t bytes) {
    /* Unlocking what is not locked takes it out of the working set. */
    if (bytes)
        VirtualUnlock(map, bytes);
}

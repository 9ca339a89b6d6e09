/* system_files.h on Windows: names, folders, patterns, locks.
 *
 * Locks lie on one byte far behind the end: Windows' own locks would keep others from reading what is
 * locked. */
#include "system_files.h"

#include "system_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool wilor_sys_is_link(const char *path) {
    (void)path;
    return false;
}

/* Whether a folder may be written to is not told by its attributes: a file in it that removes itself tells. */
static int try_folder(const wchar_t *folder) {
    size_t n = wcslen(folder);
    wchar_t *name = malloc((n + 48) * sizeof *name);
    if (!name)
        return -1;
    _snwprintf(name, n + 48, L"%ls\\.wilor-%lu-%lu.tmp", folder,
               (unsigned long)GetCurrentProcessId(), (unsigned long)GetCurrentThreadId());
    HANDLE h = CreateFileW(name, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS,
                           FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    int code = h == INVALID_HANDLE_VALUE ? wilor_sys_fail() : 0;
    free(name);
    if (code == 0)
        CloseHandle(h);
    return code;
}

int wilor_sys_access(const char *path, int what) {
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return -1;
    int code = GetFileAttributesW(wide) == INVALID_FILE_ATTRIBUTES ? wilor_sys_fail() : 0;
    if (code == 0 && what == WILOR_SYS_FOLDER_WRITABLE)
        code = try_folder(wide);
    free(wide);
    return code;
}

int wilor_sys_unlink(const char *path) {
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return -1;
    int code = DeleteFileW(wide) ? 0 : wilor_sys_fail();
    free(wide);
    return code;
}

int wilor_sys_rename(const char *from, const char *to) {
    wchar_t *old = wilor_sys_wide_path(from), *fresh = wilor_sys_wide_path(to);
    int code = -1;
    if (old && fresh)
        code = MoveFileExW(old, fresh, MOVEFILE_REPLACE_EXISTING) ? 0 : wilor_sys_fail();
    free(old);
    free(fresh);
    return code;
}

int wilor_sys_mkdir(const char *path) {
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return -1;
    int code = CreateDirectoryW(wide, NULL) ? 0 : wilor_sys_fail();
    free(wide);
    return code;
}

char *wilor_sys_real_path(const char *path) {
    wchar_t *wide = wilor_sys_wide_path(path);
    if (!wide)
        return NULL;
    char *real = NULL;
    DWORD room = GetFullPathNameW(wide, 0, NULL, NULL);
    wchar_t *whole = room ? malloc(room * sizeof *whole) : NULL;
    if (GetFileAttributesW(wide) == INVALID_FILE_ATTRIBUTES)
        wilor_sys_fail();
    else if (whole && GetFullPathNameW(wide, room, whole, NULL))
        real = wilor_sys_narrow(whole);
    free(whole);
    free(wide);
    return real;
}

int wilor_sys_truncate(int fd, uint64_t bytes) {
    errno_t code = _chsize_s(fd, (int64_t)bytes);
    errno = code;
    return code ? -1 : 0;
}

int wilor_sys_set_mode(int fd, unsigned mode) {
    (void)fd;
    (void)mode;
    return 0;
}

int wilor_sys_touch(int fd) {
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    HANDLE h = ReOpenFile(wilor_sys_handle(fd), FILE_WRITE_ATTRIBUTES,
                          FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
    if (h == INVALID_HANDLE_VALUE)
        return wilor_sys_fail();
    int code = SetFileTime(h, NULL, NULL, &now) ? 0 : wilor_sys_fail();
    CloseHandle(h);
    return code;
}

int wilor_sys_wait_for(int fd) {
    (void)fd;
    return 0;
}

int wilor_sys_lock(int fd, bool exclusive, bool wait) {
    OVERLAPPED where = {.OffsetHigh = 0x40000000};
    DWORD flags =
        (exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0) | (wait ? 0 : LOCKFILE_FAIL_IMMEDIATELY);
    if (LockFileEx(wilor_sys_handle(fd), flags, 0, 1, 0, &where))
        return 0;
    if (GetLastError() == ERROR_LOCK_VIOLATION || GetLastError() == ERROR_IO_PENDING) {
        errno = EWOULDBLOCK;
        return -1;
    }
    return wilor_sys_fail();
}

int wilor_sys_forget(const char *path) {
    (void)path;
    errno = ENOSYS;
    return -1;
}

ssize_t wilor_sys_getline(char **line, size_t *room, FILE *file) {
    size_t n = 0;
    for (int c; (c = getc(file)) != EOF;) {
        if (n + 2 > *room) {
            size_t more = *room ? *room * 2 : 256;
            char *grown = realloc(*line, more);
            if (!grown)
                return -1;
            *line = grown;
            *room = more;
        }
        (*line)[n++] = (char)c;
        (*line)[n] = 0;
        if (c == '\n')
            break;
    }
    return n ? (ssize_t)n : -1;
}

struct wilor_sys_folder {
    HANDLE find;
    WIN32_FIND_DATAW entry;
    bool have; /* entry is not given out yet */
    char *name;
};

wilor_sys_folder *wilor_sys_folder_open(const char *path) {
    wilor_sys_info info;
    if (wilor_sys_stat(path, &info) != 0)
        return NULL;
    if (info.kind != WILOR_SYS_FOLDER) {
        errno = ENOTDIR;
        return NULL;
    }
    wilor_sys_folder *f = calloc(1, sizeof *f);
    size_t n = strlen(path);
    char *all = malloc(n + 3);
    wchar_t *wide = NULL;
    if (all) {
        memcpy(all, path, n);
        memcpy(all + n, "\\*", 3);
        wide = wilor_sys_wide_path(all);
    }
    if (f && wide) {
        f->find = FindFirstFileW(wide, &f->entry);
        f->have = f->find != INVALID_HANDLE_VALUE;
        if (!f->have)
            wilor_sys_fail();
    }
    bool good = f && f->have;
    free(wide);
    free(all);
    if (!good) {
        free(f);
        return NULL;
    }
    return f;
}

const char *wilor_sys_folder_next(wilor_sys_folder *f) {
    for (; f->have || FindNextFileW(f->find, &f->entry);) {
        f->have = false;
        if (!wcscmp(f->entry.cFileName, L".") || !wcscmp(f->entry.cFileName, L".."))
            continue;
        free(f->name);
        f->name = wilor_sys_narrow(f->entry.cFileName);
        return f->name;
    }
    return NULL;
}

void wilor_sys_folder_close(wilor_sys_folder *f) {
    if (!f)
        return;
    FindClose(f->find);
    free(f->name);
    free(f);
}

static int same_letter(char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + 32 : a) == (b >= 'A' && b <= 'Z' ? b + 32 : b);
}

/* "[a-z]" or "[!0-9]" at *p against c; *p is set behind it. No end: the bracket is meant as it stands. */
static bool in_brackets(const char **p, char c) {
    const char *at = *p + 1, *end = strchr(at + (*at == '!' || *at == '^'), ']');
    if (end && end == at + (*at == '!' || *at == '^')) /* "[]x]": a bracket in the list */
        end = strchr(end + 1, ']');
    if (!end) {
        ++*p;
        return c == '[';
    }
    bool not = *at == '!' || *at == '^', in = false;
    for (at += not ; at < end; at++) {
        if (at[1] == '-' && at + 2 < end) {
            in |= c >= at[0] && c <= at[2];
            at += 2;
        } else {
            in |= same_letter(*at, c);
        }
    }
    *p = end + 1;
    return in != not ;
}

static bool matches(const char *pattern, const char *name) {
    const char *star = NULL, *again = NULL;
    if (*name == '.' && *pattern != '.') /* hidden, as glob(3) has it */
        return false;
    while (*name) {
        const char *next = pattern;
        if (*pattern == '*') {
            star = pattern++;
            again = name;
            continue;
        }
        bool good = *pattern == '?'   ? (next++, true)
                    : *pattern == '[' ? in_brackets(&next, *name)
                    : *pattern        ? (next++, same_letter(*pattern, *name))
                                      : false;
        if (good) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

static bool add_path(wilor_sys_paths *p, const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    char *path = malloc(a + b + 1);
    char **grown = path ? realloc(p->at, (p->count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(path);
        errno = ENOMEM;
        return false;
    }
    memcpy(path, folder, a);
    memcpy(path + a, name, b + 1);
    p->at = grown;
    p->at[p->count++] = path;
    return true;
}

/* Every name of `folder` ("" or with its separator) that matches one part of a pattern. */
static bool match_part(wilor_sys_paths *out, const char *folder, const char *part) {
    wilor_sys_folder *f = wilor_sys_folder_open(*folder ? folder : ".");
    bool good = true;
    for (const char *name; good && f && (name = wilor_sys_folder_next(f));)
        good = !matches(part, name) || add_path(out, folder, name);
    wilor_sys_folder_close(f);
    return good;
}

/* One part of the pattern further: `from` are paths that end before it. */
static bool advance(wilor_sys_paths *from, const char *part, const char *separators) {
    wilor_sys_paths next = {0};
    bool wild = strpbrk(part, "*?[") != NULL, good = true;
    for (size_t i = 0; good && i < from->count; i++)
        good = wild ? match_part(&next, from->at[i], part) : add_path(&next, from->at[i], part);
    wilor_sys_glob_free(from);
    for (size_t i = 0; good && *separators && i < next.count; i++) {
        size_t n = strlen(next.at[i]), m = strlen(separators);
        char *grown = realloc(next.at[i], n + m + 1);
        good = grown != NULL;
        if (grown)
            memcpy((next.at[i] = grown) + n, separators, m + 1);
    }
    *from = next;
    return good;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool expand(wilor_sys_paths *out, char *pattern) {
    char separators[8];
    for (char *at = pattern; *at;) {
        size_t n = strcspn(at, "/\\"), m = strspn(at + n, "/\\");
        m = m < sizeof separators ? m : sizeof separators - 1;
        memcpy(separators, at + n, m);
        separators[m] = 0;
        bool last = !at[n];
        at[n] = 0;
        if (!advance(out, at, separators))
            return false;
        if (last)
            break;
        at += n + m;
    }
    return true;
}

int wilor_sys_glob(wilor_sys_paths *out, const char *pattern) {
    wilor_sys_info info;
    char *copy = _strdup(pattern);
    *out = (wilor_sys_paths){0};
    bool good = copy && add_path(out, "", "") && expand(out, copy);
    free(copy);
    if (!good) {
        wilor_sys_glob_free(out);
        errno = ENOMEM;
        return -1;
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++)
        if (wilor_sys_stat(out->at[i], &info) == 0)
            out->at[kept++] = out->at[i];
        else
            free(out->at[i]);
    out->count = kept;
    if (kept) {
        qsort(out->at, kept, sizeof *out->at, by_bytes);
        return 0;
    }
    wilor_sys_glob_free(out);
    errno = ENOENT;
    return -1;
}

void wilor_sys_glob_free(wilor_sys_paths *p) {
    for (size_t i = 0; i < p->count; i++)
        free(p->at[i]);
    free(p->at);
    *p = (wilor_sys_paths){0};
}

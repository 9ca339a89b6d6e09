/* What differs between systems, the same tests for each: names, folders, patterns, locks, lines, the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch_folder.h"
#include "system_files.h"
#include "system_process.h"

static int setup(void **state) {
    (void)state;
    return make_folder("system");
}

static void write_text(const char *name, const char *text) {
    FILE *f = wilor_sys_fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_base_names(void **state) {
    (void)state;
    assert_string_equal(wilor_sys_base_name("a/b.png"), "b.png");
    assert_string_equal(wilor_sys_base_name("b.png"), "b.png");
    assert_string_equal(wilor_sys_base_name("/a/"), "");
    assert_string_equal(wilor_sys_base_name(""), "");
#if defined(_WIN32)
    assert_string_equal(wilor_sys_base_name("C:\\a\\b.png"), "b.png");
    assert_string_equal(wilor_sys_base_name("C:b.png"), "b.png");
#else
    assert_string_equal(wilor_sys_base_name("C:\\a\\b.png"), "C:\\a\\b.png");
#endif
}

static void test_files(void **state) {
    (void)state;
    wilor_sys_info info;
    const char *file = in_folder("h\xC3\xA4nd 手.bin"), *other = in_folder("other.bin");
    const int make = WILOR_SYS_READ | WILOR_SYS_WRITE | WILOR_SYS_CREATE;
    int fd = wilor_sys_open(file, make | WILOR_SYS_EXCLUSIVE);
    assert_true(fd >= 0);
    assert_int_equal(wilor_sys_open(file, make | WILOR_SYS_EXCLUSIVE), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(write(fd, "abc\n", 4), 4); /* four bytes on every system */
    char part[3] = "";
    assert_int_equal(wilor_sys_pread(fd, part, 2, 1), 2);
    assert_string_equal(part, "bc");
    assert_int_equal(wilor_sys_pread(fd, part, 2, 4), 0);
    assert_int_equal(wilor_sys_truncate(fd, 3), 0);
    assert_int_equal(wilor_sys_fstat(fd, &info), 0);
    assert_true(info.kind == WILOR_SYS_FILE && info.size == 3);
    assert_true(info.changed_ns > INT64_C(1700000000000000000));
    assert_int_equal(wilor_sys_touch(fd), 0);
    close(fd);
    assert_int_equal(wilor_sys_access(file, WILOR_SYS_READABLE), 0);
    write_text("other.bin", "old");
    assert_int_equal(wilor_sys_rename(file, other), 0); /* over what is there */
    assert_int_equal(wilor_sys_stat(file, &info), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(wilor_sys_stat(other, &info), 0);
    assert_int_equal(info.size, 3);
    fd = wilor_sys_open(other, WILOR_SYS_READ);
    assert_int_equal(wilor_sys_unlink(other), 0); /* though it is open */
    assert_int_equal(wilor_sys_pread(fd, part, 2, 0), 2);
    close(fd);
    assert_int_equal(wilor_sys_access(other, WILOR_SYS_EXISTS), -1);
    assert_int_equal(wilor_sys_stat(g_folder, &info), 0);
    assert_int_equal(info.kind, WILOR_SYS_FOLDER);
}

static void test_folders(void **state) {
    (void)state;
    int seen = 0;
    const char *folder = in_folder("list");
    assert_int_equal(wilor_sys_mkdir(folder), 0);
    assert_int_equal(wilor_sys_mkdir(folder), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(wilor_sys_access(folder, WILOR_SYS_FOLDER_WRITABLE), 0);
    write_text("list/手.txt", "");
    write_text("list/b.txt", "");
    wilor_sys_folder *f = wilor_sys_folder_open(folder);
    assert_non_null(f);
    for (const char *name; (name = wilor_sys_folder_next(f));)
        seen |= strcmp(name, "手.txt") == 0 ? 1 : strcmp(name, "b.txt") == 0 ? 2 : 4;
    wilor_sys_folder_close(f);
    assert_int_equal(seen, 3); /* and not the access that was tried */
    assert_null(wilor_sys_folder_open(in_folder("nothing")));
    assert_null(wilor_sys_folder_open(in_folder("list/b.txt")));
    char *real = wilor_sys_real_path(in_folder("list/../list/b.txt"));
    assert_non_null(real);
    assert_string_equal(wilor_sys_base_name(real), "b.txt");
    assert_null(strstr(real, ".."));
    free(real);
}

static size_t found(const char *pattern, const char *first) {
    wilor_sys_paths p;
    if (wilor_sys_glob(&p, in_folder(pattern)) != 0) {
        assert_int_equal(errno, ENOENT);
        return 0;
    }
    assert_string_equal(wilor_sys_base_name(p.at[0]), first);
    size_t n = p.count;
    wilor_sys_glob_free(&p);
    return n;
}

static void test_patterns(void **state) {
    (void)state;
    assert_int_equal(wilor_sys_mkdir(in_folder("p1")), 0);
    assert_int_equal(wilor_sys_mkdir(in_folder("p2")), 0);
    static const char *const names[] = {"p1/a1.png", "p1/a2.png", "p1/b1.png", "p1/.hidden.png",
                                        "p2/a1.png"};
    for (int i = 0; i < 5; i++)
        write_text(names[i], "");
    assert_int_equal(found("p1/*.png", "a1.png"), 3); /* what is hidden is not found */
    assert_int_equal(found("p1/?2.png", "a2.png"), 1);
    assert_int_equal(found("p1/[b-z]*", "b1.png"), 1);
    assert_int_equal(found("p1/[!b]*", "a1.png"), 2);
    assert_int_equal(found("p?/a1.png", "a1.png"), 2);
    assert_int_equal(found("p*/*1*", "a1.png"), 3);
    assert_int_equal(found("p1/.*n.png", ".hidden.png"), 1);
    assert_int_equal(found("p1/*.jpg", ""), 0);
    assert_int_equal(found("none/*", ""), 0);
}

static void test_locks(void **state) {
    (void)state;
    write_text("locked", "text");
    const char *path = in_folder("locked");
    int a = wilor_sys_open(path, WILOR_SYS_READ), b = wilor_sys_open(path, WILOR_SYS_READ);
    char c;
    assert_true(a >= 0 && b >= 0);
    assert_int_equal(wilor_sys_lock(a, true, false), 0);
    assert_int_equal(wilor_sys_lock(b, false, false), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_int_equal(wilor_sys_pread(b, &c, 1, 0), 1); /* it keeps nobody from reading */
    close(a);
    assert_int_equal(wilor_sys_lock(b, false, true), 0);
    close(b);
}

static void test_lines(void **state) {
    (void)state;
    char *line = NULL;
    size_t room = 0;
    write_text("lines", "one\n\nlast");
    FILE *f = wilor_sys_fopen(in_folder("lines"), "rb");
    assert_non_null(f);
    assert_int_equal(wilor_sys_getline(&line, &room, f), 4);
    assert_string_equal(line, "one\n");
    assert_int_equal(wilor_sys_getline(&line, &room, f), 1);
    assert_int_equal(wilor_sys_getline(&line, &room, f), 4);
    assert_string_equal(line, "last");
    assert_int_equal(wilor_sys_getline(&line, &room, f), -1);
    free(line);
    fclose(f);
}

static void test_process(void **state) {
    (void)state;
    char path[4096];
    unsigned char a[16] = {0}, b[16] = {0};
    size_t n = wilor_sys_program_path(path, sizeof path);
    assert_true(n > 0 && n < sizeof path);
    path[n] = 0;
    assert_int_equal(strncmp(wilor_sys_base_name(path), "test_system", 11), 0);
    assert_true(wilor_sys_random(a, sizeof a) && wilor_sys_random(b, sizeof b));
    assert_int_not_equal(memcmp(a, b, sizeof a), 0);
    assert_true(wilor_sys_memory_bytes() > (1u << 26));
    assert_null(wilor_sys_getenv("WILOR_NOT_SET_ANYWHERE"));
    assert_non_null(wilor_sys_getenv("PATH"));
}

static void test_datagrams(void **state) {
    (void)state;
    char why[256] = "";
    assert_int_equal(wilor_sys_udp_open("no such host", "9", why, sizeof why), -1);
    assert_true(*why != 0);
    int fd = wilor_sys_udp_open("127.0.0.1", "9", why, sizeof why);
    assert_true(fd >= 0);
    assert_true(wilor_sys_udp_send(fd, "x", 1));
    wilor_sys_udp_close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_names), cmocka_unit_test(test_files),
        cmocka_unit_test(test_folders),    cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_locks),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_process),    cmocka_unit_test(test_datagrams)};
    return cmocka_run_group_tests_name("system", tests, setup, drop_folder);
}

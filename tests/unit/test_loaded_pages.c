/* Pages of libraries that loading alone needed: given back, but those that somebody wrote to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loaded_pages.h"
#include "module_head.h"
#include "resident.h"

#define NAME "other_module"

typedef const wilor_module_head *get_table(void);

/* The module's code and head; *code is the page of the function. */
static const wilor_module_head *call(void *module, char **code) {
    get_table *function;
    void *symbol = dlsym(module, "wilor_video_get_table");
    assert_non_null(symbol);
    memcpy(&function, &symbol, sizeof function);
    *code = (char *)symbol - (uintptr_t)symbol % (uintptr_t)sysconf(_SC_PAGESIZE);
    return function();
}

/* A page is written to, as a debugger does: the process's own from then on. Behind the code nothing is used. */
static volatile char *touch(char *page, size_t size) {
    volatile char *last = page + size - 1;
    assert_int_equal(mprotect(page, size, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    *last = 7;
    assert_int_equal(mprotect(page, size, PROT_READ | PROT_EXEC), 0);
    return last;
}

static void test_release(void **state) {
    (void)state;
    char *code;
    const size_t before = wilor_loaded_count();
    void *module = dlopen(WILOR_TEST_OTHER_MODULE, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(module);
    if (!before || resident_kb(NAME, 0) < 0)
        skip();
    assert_true(wilor_loaded_count() > before);
    assert_int_equal(call(module, &code)->abi, 1);
    assert_true(resident_kb(NAME, 0) > 0 && resident_kb(NAME, 1) > 0);

    wilor_loaded_release(wilor_loaded_count()); /* none is newer */
    assert_true(resident_kb(NAME, 0) > 0 && resident_kb(NAME, 1) > 0);
    wilor_loaded_release(before);
    assert_int_equal(resident_kb(NAME, 0), 0);
    assert_int_equal(resident_kb(NAME, 1), 0);
    assert_int_equal(call(module, &code)->abi, 1); /* it comes back */
    assert_true(resident_kb(NAME, 1) > 0);

    volatile char *written = touch(code, (size_t)sysconf(_SC_PAGESIZE));
    wilor_loaded_release(before);
    assert_int_equal(*written, 7);
    assert_int_equal(call(module, &code)->abi, 1);
    assert_int_equal(dlclose(module), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_release)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

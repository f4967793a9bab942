/* test.h: what the unit tests share: cmocka with its includes in the right order, and the way to
 * files beside the tests.
 *
 *     char path[4096];
 *     test_path(path, "golden/dequant/Q4_0.bin");
 *     size_t n;
 *     char *bytes = test_read(path, &n); // fails the test when it cannot be read
 *     free(bytes);
 */
#ifndef TEST_H
#define TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* The tests' source folder comes from the build as VG_TEST_ROOT. */
static inline void test_path(char path[4096], const char *name)
{
    const char *root = getenv("VG_TEST_ROOT");
    snprintf(path, 4096, "%s/%s", root ? root : "tests", name);
}

/* Real vocabularies, models and texts that may not be in the repository: the folder VG_TEST_DATA,
 * or ../shared/data beside the checkout. False where it is absent: the test is then skipped, and
 * the line printed here is what tools/test says about it. */
static inline bool test_data_path(char path[4096], const char *name)
{
    const char *data = getenv("VG_TEST_DATA"), *root = getenv("VG_TEST_ROOT");
    if (data) snprintf(path, 4096, "%s/%s", data, name);
    else snprintf(path, 4096, "%s/../../shared/data/%s", root ? root : "tests", name);
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    else printf("skipped: the shared data has no %s\n", name);
    return f != NULL;
}

static inline char *test_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    bytes[*n] = '\0';
    fclose(f);
    return bytes;
}

#define TEST_OK(call)                                                                              \
    do {                                                                                           \
        vg_status test_status = (call);                                                            \
        if (test_status) fail_msg("%s: %s", vg_status_name(test_status), err.msg);                 \
    } while (0)

#endif

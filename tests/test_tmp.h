/* test_tmp.h: a temporary folder for a test, without subfolders.
 *
 *     test_tmp tmp;
 *     test_tmp_begin(&tmp);
 *     write_to(test_tmp_path(&tmp, "a.gguf"));
 *     test_tmp_end(&tmp);
 *
 * A path is valid until the next call; the end removes the folder with all files in it. */
#ifndef TEST_TMP_H
#define TEST_TMP_H

#include <dirent.h>
#include <unistd.h>

#include "test.h"

typedef struct test_tmp {
    char dir[1024], path[2048];
} test_tmp;

static inline void test_tmp_begin(test_tmp *t)
{
    const char *root = getenv("TMPDIR");
    snprintf(t->dir, sizeof t->dir, "%.1000s/verge-XXXXXX", root ? root : "/tmp");
    if (!mkdtemp(t->dir)) fail_msg("cannot make the folder %s", t->dir);
}

static inline const char *test_tmp_path(test_tmp *t, const char *name)
{
    snprintf(t->path, sizeof t->path, "%s/%.1000s", t->dir, name);
    return t->path;
}

static inline void test_tmp_end(test_tmp *t)
{
    DIR *d = opendir(t->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove(test_tmp_path(t, e->d_name));
    closedir(d);
    assert_int_equal(rmdir(t->dir), 0);
}

#endif

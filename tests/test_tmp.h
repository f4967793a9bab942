/* test_tmp.h: a temporary folder for a test.
 *
 *     test_tmp tmp;
 *     test_tmp_begin(&tmp);
 *     write_to(test_tmp_path(&tmp, "a.gguf"));
 *     test_tmp_end(&tmp);
 *
 * A path is valid until the next call; the end removes the folder with all files in it. Where
 * test_tmp_put or a program made folders in it, test_tmp_remove ends it instead. */
#ifndef TEST_TMP_H
#define TEST_TMP_H

#include <dirent.h>
#include <sys/stat.h>
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

/* Writes text to the file below the folder, and makes the folders on the way: "/proc/meminfo". */
static inline void test_tmp_put(const test_tmp *t, const char *path, const char *text)
{
    char full[4096];
    int n = snprintf(full, sizeof full, "%s%s", t->dir, path);
    for (char *p = full + strlen(t->dir) + 1; p < full + n; p++) {
        if (*p != '/') continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "wb");
    if (!f) fail_msg("cannot write %s", full);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static inline void test_tmp_remove(const test_tmp *t)
{
    char command[4096];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' && rm -r '%s'", t->dir, t->dir);
    assert_int_equal(system(command), 0);
}

#endif

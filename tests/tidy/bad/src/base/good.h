/* sample.h: a sample for the test of the checker.
 *
 *     sample(1);
 */
#ifndef GOOD_H
#define GOOD_H
#include "base/base.h"

typedef struct good {
    void (*free)(void *);
    const char *name;
} good;
struct forward;
extern const int constant;
extern const char *const names[3];
VG_NODISCARD int declared(int (*fn)(void *), const char *text) VG_PRINTF(1, 2);
static inline int defined(const good *g)
{
    static const struct {
        int a;
    } local[] = {{1}, {2}};
    static const char *const text[] = {"malloc", "exit(1)", "static int x;"};
    g->free(NULL); /* free() and printf() in a comment */
    return local[0].a + (text[0] != NULL);
}
static int (*const table[])(void) = {NULL};
enum { GOOD = 1 };
#endif

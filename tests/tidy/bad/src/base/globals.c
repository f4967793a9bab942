/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#include "base/good.h"

static int counter;
int outside = 1;
static const char *pointer = "the pointer can change, the text not";
static const char *array[] = {"a", "b"};
static int (*hook)(void);
static _Thread_local int per_thread;
extern int elsewhere;
static struct {
    int a;
} state;
static const int fine = 1;
MACRO(without, a, semicolon)
MACRO_WITH_BODY(fine)
{
    return 1;
}
static int after_a_macro;
static VG_ALIGNED(64) const unsigned char aligned[2] = {1, 2};

static int count(int a[static 4])
{
    static int calls;
    static const int most = 3;
    return calls++ + most + a[0];
}

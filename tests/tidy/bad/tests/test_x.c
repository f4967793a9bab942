/* A short opening is enough for a test. */
#include "test.h"
#include "kern/kern.h"
#include "kern/kern_int.h"
#include "../src/kern/dtype.c"

static int global;
static void prints(void **state)
{
    printf("x");
    free(malloc(1));
}

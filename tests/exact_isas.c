/* exact_isas.c: the tables of kernels that this CPU runs are those named, the best last, and each
 * gives the bits of the plain C one. An emulator runs it as CPUs that lack what others have.
 *
 *     exact_isas c neon dotprod */
#include <stdio.h>

#include "kern/kern.h"
#include "kern/selftest.h"

static void tell(void *user, const char *kernel, bool ok)
{
    bool *failed = user;
    if (ok) return;
    printf("DIFFERS: %s\n", kernel);
    *failed = true;
}

int main(int argc, char **argv)
{
    const vg_kern *const *tables = vg_kern_all();
    vg_selftest_set all = vg_selftest_all();
    bool failed = false;
    int n = 0;
    for (; tables[n]; n++) {
        vg_kern k = *tables[n];
        bool expected = n + 1 < argc && !strcmp(argv[n + 1], k.isa);
        printf("table %s%s\n", k.isa, expected ? "" : ", which was not expected");
        if (!expected || vg_selftest(&k, &all, tell, &failed, NULL)) failed = true;
    }
    if (n + 1 < argc) printf("no table %s\n", argv[n + 1]);
    return failed || n + 1 < argc;
}

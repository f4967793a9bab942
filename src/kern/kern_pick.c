/* kern_pick.c: chooses the table of kernels, once, by the instruction sets that the system reports.
 *
 * This is the only file that asks the compiler for the architecture: which tables are built is
 * known when compiling, which of them this CPU runs is known to vg_os_isas(). A new instruction set
 * is one line in `levels`. It never returns a table that the CPU cannot run. */
#include "base/os.h"
#include "kern/kern_int.h"

/* Each CPU runs one of these lists; its last table is its best. */
static const vg_kern *const levels[][5] = {
    {&vg_kern_c},
#if defined(__x86_64__)
    {&vg_kern_c, &vg_kern_avx2},
    {&vg_kern_c, &vg_kern_avx2, &vg_kern_avx512},
#elif defined(__aarch64__)
    {&vg_kern_c, &vg_kern_neon},
    {&vg_kern_c, &vg_kern_neon, &vg_kern_dotprod},
    {&vg_kern_c, &vg_kern_neon, &vg_kern_dotprod, &vg_kern_i8mm},
#endif
};

static const vg_kern *best(const vg_kern *const *list)
{
    while (list[1]) list++;
    return *list;
}

const vg_kern *const *vg_kern_all(void)
{
    const char *const *isa = vg_os_isas();
    for (; *isa; isa++)
        for (size_t i = 0; i < VG_COUNT(levels); i++)
            if (!strcmp(best(levels[i])->isa, *isa)) return levels[i];
    return levels[0];
}

const vg_kern *vg_kern_pick(const char *isa)
{
    const vg_kern *const *list = vg_kern_all();
    if (!isa) return best(list);
    for (; *list; list++)
        if (!strcmp((*list)->isa, isa)) return *list;
    return NULL;
}

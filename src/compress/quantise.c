/* quantise.c: which table of the search this CPU runs, and which types there are. The tables come
 * from quantise.inc, compiled once per instruction set as the kernels are; the build says which of
 * them it made, kern_pick.c which of them this CPU can run. */
#include "compress/quantise_int.h"

#define TABLE(isa) &vg_quantiser_##isa,
static const vg_quantiser *const tables[] = {&vg_quantiser_c, VG_QUANTISE_TABLES(TABLE)};

const vg_quantiser *vg_quantiser_pick(const char *isa)
{
    for (size_t i = VG_COUNT(tables); i-- > 0;) {
        bool wanted = !isa || strcmp(tables[i]->isa, isa) == 0;
        if (wanted && vg_kern_pick(tables[i]->isa)) return tables[i];
    }
    return NULL;
}

bool vg_quantises(vg_dtype type)
{
    switch (type) {
    case VG_F32:
    case VG_F16:
    case VG_BF16:
    case VG_Q4_0:
    case VG_Q4_1:
    case VG_Q5_0:
    case VG_Q5_1:
    case VG_Q8_0:
    case VG_Q2_K:
    case VG_Q3_K:
    case VG_Q4_K:
    case VG_Q5_K:
    case VG_Q6_K:
    case VG_IQ4_NL:
    case VG_IQ4_XS: return true;
    default: return false;
    }
}

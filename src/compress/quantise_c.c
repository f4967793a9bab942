/* quantise_c.c: the search of quantise.inc over kern/simd_c.h. Built with the flags of that
 * instruction set (meson.build); quantise.c gives it only to a CPU that has it.
 * Nothing here but the choice of the operations. */
#include "kern/simd_c.h"
#define QUANTISER vg_quantiser_c
#include "compress/quantise.inc"

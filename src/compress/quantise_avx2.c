/* quantise_avx2.c: the search of quantise.inc over kern/simd_avx2.h. Built with the flags of that
 * instruction set (meson.build); quantise.c gives it only to a CPU that has it.
 * Nothing here but the choice of the operations. */
#include "kern/simd_avx2.h"
#define QUANTISER vg_quantiser_avx2
#include "compress/quantise.inc"

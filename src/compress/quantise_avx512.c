/* quantise_avx512.c: the search of quantise.inc over kern/simd_avx512.h. Built with the flags of
 * that instruction set (meson.build); quantise.c gives it only to a CPU that has it.
 * Nothing here but the choice of the operations. */
#include "kern/simd_avx512.h"
#define QUANTISER vg_quantiser_avx512
#include "compress/quantise.inc"

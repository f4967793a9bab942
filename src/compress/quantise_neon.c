/* quantise_neon.c: the search of quantise.inc over kern/simd_neon.h. Built with the flags of that
 * instruction set (meson.build); quantise.c gives it only to a CPU that has it.
 * Nothing here but the choice of the operations. */
#include "kern/simd_neon.h"
#define QUANTISER vg_quantiser_neon
#include "compress/quantise.inc"

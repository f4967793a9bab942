/* kern_avx2.c: the kernels of kern.inc in AVX2 and F16C, for 64-bit x86.
 * Compiled with flags of its own (meson.build); kern_pick.c gives it only to a CPU that has both.
 * Nothing here but the choice of the operations. */
#include "kern/simd_avx2.h"
#include "kern/kern.inc"

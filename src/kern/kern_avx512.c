/* kern_avx512.c: the kernels of kern.inc in AVX-512 and VNNI, for 64-bit x86.
 * Compiled with flags of its own (meson.build); kern_pick.c gives it only to a CPU that has them.
 * Nothing here but the choice of the operations. */
#include "kern/simd_avx512.h"
#include "kern/kern.inc"

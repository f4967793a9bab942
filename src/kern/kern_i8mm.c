/* kern_i8mm.c: the kernels of kern.inc in Advanced SIMD with the matrix product of bytes, for
 * 64-bit ARM. Compiled with flags of its own (meson.build); kern_pick.c gives it only to a CPU that
 * has it. Nothing here but the choice of the operations. */
#include "kern/simd_i8mm.h"
#include "kern/kern.inc"

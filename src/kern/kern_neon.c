/* kern_neon.c: the kernels of kern.inc in Advanced SIMD, for 64-bit ARM.
 * Every such CPU has the instructions it uses, so it needs no flags and no test at run time.
 * Nothing here but the choice of the operations. */
#include "kern/simd_neon.h"
#include "kern/kern.inc"

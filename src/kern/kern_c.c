/* kern_c.c: the kernels in plain C: the reference, and the table of a CPU that has no better one.
 * All of them are in kern.inc; simd_c.h says what their operations mean.
 * It refuses nothing: it runs everywhere. */
#include "kern/simd_c.h"
#include "kern/kern.inc"

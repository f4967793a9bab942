/* interleave.c: which types have interleaved rows, and the way from one layout to the other.
 *
 * No type has them yet: every matrix is read in the layout of its file, and a copy is a copy. It
 * never looks at the numbers that it moves. */
#include "kern/kern_int.h"

bool vg_interleaves(vg_dtype type)
{
    VG_UNUSED(type);
    return false;
}

void vg_interleave(vg_dtype type, const void *src, void *dst, size_t n_rows, size_t n_in)
{
    uint64_t bytes = 0;
    if (vg_dtype_row_bytes(type, n_in, &bytes)) memcpy(dst, src, n_rows * bytes);
}

size_t vg_rows_scratch_bytes(size_t n_in)
{
    return n_in;
}

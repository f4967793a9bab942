/* cpu_int.h: what the files of the CPU device share: how an operation is cut into parts, and the
 * operations that have a file of their own.
 *
 *     cpu_run(d, cpu_parts(n_rows, 32), rows_part, &job);
 */
#ifndef VG_CPU_INT_H
#define VG_CPU_INT_H

#include <math.h>

#include "device/device.h"

static inline size_t cpu_parts(size_t n, size_t per_part)
{
    return (n + per_part - 1) / per_part;
}

static inline void cpu_run(vg_device *d, size_t n_parts, vg_part_fn *fn, void *arg)
{
    assert(n_parts <= UINT32_MAX);
    vg_pool_run(d->pool, (uint32_t)n_parts, fn, arg);
}

/* A thread's own scratch memory. */
static inline void *cpu_scratch(const vg_device *d, uint32_t thread)
{
    return d->scratch + thread * d->scratch_bytes;
}

void cpu_matmul(vg_device *d, const vg_matmul *m); /* cpu_matmul.c */

/* cpu_attend.c */
void cpu_rope(vg_device *d, float *x, const vg_rope *r);
void cpu_store(vg_device *d, const vg_cache *c, const vg_place *place, const float *k,
               const float *v, size_t n_rows);
void cpu_attend(vg_device *d, const vg_attention *a);
/* Bytes of scratch that each thread needs, and of the spans' states; false when they overflow. */
bool cpu_attend_sizes(const vg_device_opts *o, size_t *scratch, size_t *partial_bytes);
#endif

/* pool.h: a fixed set of threads that share out the parts of one piece of work.
 *
 *     vg_pool *p;
 *     VG_TRY(vg_pool_new(&p, 4, false, err));
 *     vg_pool_run(p, n_parts, work, &arg);
 *     vg_pool_free(p);
 */
#ifndef VG_POOL_H
#define VG_POOL_H

#include "base/base.h"

/* A pool of n_threads - 1 workers and the caller. vg_pool_run calls fn(arg, i, thread) for each
 * part i in 0..n_parts-1, each once, in any order on any thread, and returns when all are done.
 * Results must not depend on who runs a part; `thread`, 0..n_threads-1, is for scratch memory.
 * One thread at a time may call it, and no part may call it again. n_parts is below 2^31.
 *
 * `pin` ties worker i to the i-th of the fast cores (vg_os_fast_cpus), where there is one and the
 * system allows it; the caller, which belongs to the program, stays free. */
typedef struct vg_pool vg_pool;
typedef void vg_part_fn(void *arg, uint32_t part, uint32_t thread);
VG_NODISCARD vg_status vg_pool_new(vg_pool **out, uint32_t n_threads, bool pin, vg_err *err);
void vg_pool_free(vg_pool *p);
uint32_t vg_pool_threads(const vg_pool *p);
void vg_pool_run(vg_pool *p, uint32_t n_parts, vg_part_fn *fn, void *arg);

/* Workers that sleep now, n_threads - 1 in an idle pool. For tests. */
uint32_t vg_pool_asleep(const vg_pool *p);
#endif

/* selftest.h: proves on the CPU that runs them that the kernels of a table give the bits of the
 * plain C ones, and puts plain C in the place of those that do not.
 *
 *     vg_kern k = *vg_kern_pick(NULL);
 *     vg_selftest_set set = {.rows[VG_Q4_0] = true, .kv[VG_KVK_Q8] = true};
 *     VG_TRY(vg_selftest(&k, &set, tell, NULL, err));
 */
#ifndef VG_SELFTEST_H
#define VG_SELFTEST_H

#include "kern/kern.h"

/* What is used; the kernels of vectors always are. */
typedef struct vg_selftest_set {
    bool rows[VG_N_DTYPES], interleaved[VG_N_DTYPES]; /* weights of a type, in either layout */
    bool kv[VG_KVK_F32 + 1];                          /* caches of a kind */
} vg_selftest_set;

vg_selftest_set vg_selftest_all(void); /* everything there is */

/* Told once for each kernel, or each type of rows and kind of cache: "rows Q4_0", "rms_norm". */
typedef void vg_selftest_fn(void *user, const char *kernel, bool ok);

/* Runs the kernels of *k on small blocks, a few milliseconds in all. An entry of *k with a result
 * that differs in a bit is replaced by the plain C one. `fn` may be NULL. Errors: NO_MEMORY. */
VG_NODISCARD vg_status vg_selftest(vg_kern *k, const vg_selftest_set *set, vg_selftest_fn *fn,
                                   void *user, vg_err *err);
#endif

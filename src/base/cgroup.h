/* cgroup.h: what a Linux control group leaves this process, for os.h to count with.
 *
 *     double cpus = vg_cgroup_cpus("");
 *     if (cpus > 0) n = min(n, ceil(cpus));
 */
#ifndef VG_CGROUP_H
#define VG_CGROUP_H

#include "base/base.h"

/* The control group's limits (Linux), the tightest of this process's group and its parents. `root`
 * stands before /proc and /sys: "" but in tests. 0: no limit, or no control groups. */
double vg_cgroup_cpus(const char *root);
uint64_t vg_cgroup_memory_left(const char *root); /* limit minus use, page cache counted as free */
#endif

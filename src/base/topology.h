/* topology.h: the processors of a Linux machine as its /sys describes them, for os.h to choose
 * threads with. `root` stands before /sys: "" but in tests.
 *
 *     vg_topology t;
 *     vg_topology_read(&t, "", &allowed);
 *     n_threads = t.n_fast;
 */
#ifndef VG_TOPOLOGY_H
#define VG_TOPOLOGY_H

#include "base/base.h"

enum { VG_MAX_CPUS = 1024 }; /* processors with a higher number are not looked at */

typedef struct vg_cpuset {
    uint64_t bits[VG_MAX_CPUS / 64];
} vg_cpuset;

static inline bool vg_cpuset_has(const vg_cpuset *s, uint32_t cpu)
{
    return cpu < VG_MAX_CPUS && (s->bits[cpu / 64] >> cpu % 64 & 1);
}

static inline void vg_cpuset_add(vg_cpuset *s, uint32_t cpu)
{
    if (cpu < VG_MAX_CPUS) s->bits[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

/* The kernel's two ways to write a set: "0-3,8" and "00000000,0000010f". False, and *s is then
 * undefined, for anything else; an empty list is an empty set. */
bool vg_cpuset_parse_list(vg_cpuset *s, const char *text);
bool vg_cpuset_parse_mask(vg_cpuset *s, const char *text);

typedef struct vg_topology {
    uint32_t n_cpus; /* allowed and online */
    uint32_t n_fast; /* physical cores of the fast class among them; 0 only when n_cpus is 0 */
    uint32_t cpu[VG_MAX_CPUS]; /* [n_fast] one processor of each, the fastest first */
} vg_topology;

/* Physical cores: the processors that share a core count once. The fast class, among the allowed:
 * - where the kernel names the kinds (Intel: /sys/devices/cpu_core), the cores of that kind;
 * - else cores are ranked by cpu_capacity, or by cpuinfo_max_freq where all capacities are alike. A
 *   step down to less than 4/5 of the next faster core begins another class, and the slowest class
 *   is left out: of 4 + 4 phones the four big cores, of 1 + 4 + 4 the five upper ones. Smaller
 *   steps are bins of one kind of core.
 * What a file does not say, or says in no known way, makes no difference between cores. */
void vg_topology_read(vg_topology *t, const char *root, const vg_cpuset *allowed);
#endif

/* os_topology.c: which processors a thread that computes should run on.
 *
 * A matrix product gains nothing from a second hyper-thread and waits for the slowest core, so the
 * engine wants one thread a physical core of the fast class. Linux says in /sys which processors
 * share a core and how fast each is (the kernel's Documentation/ABI, sysfs-devices-system-cpu);
 * topology.h has the rule. In a container or an emulator files are missing, and a test may hand
 * over any tree: a file that cannot be read or understood is one that is not there, and with none
 * of them each allowed processor is a fast core. It never writes and never guesses from names. */
#include <stdio.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "base/cgroup.h"
#include "base/os.h"
#include "base/os_int.h"
#include "base/topology.h"

enum { PATH_BYTES = 4096, TEXT_BYTES = 8192 };

/* ---- sets ----------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number; what passes 32 bits counts as the largest. NULL when there is no digit. */
static const char *parse_number(const char *p, uint32_t *out)
{
    uint64_t v = 0;
    if (!is_digit(*p)) return NULL;
    for (; is_digit(*p); p++) v = VG_MIN(v * 10 + (uint64_t)(*p - '0'), (uint64_t)UINT32_MAX);
    *out = (uint32_t)v;
    return p;
}

bool vg_cpuset_parse_list(vg_cpuset *s, const char *text)
{
    *s = (vg_cpuset){0};
    const char *p = text;
    while (*p && *p != '\n') {
        uint32_t first, last;
        if (!(p = parse_number(p, &first))) return false;
        last = first;
        if (*p == '-' && !(p = parse_number(p + 1, &last))) return false;
        if (last < first) return false;
        for (uint32_t i = first; i <= last && i < VG_MAX_CPUS; i++) vg_cpuset_add(s, i);
        if (*p == ',' && is_digit(p[1])) p++;
        else if (*p && *p != '\n') return false;
    }
    return p[0] == '\0' || p[1] == '\0';
}

bool vg_cpuset_parse_mask(vg_cpuset *s, const char *text)
{
    *s = (vg_cpuset){0};
    size_t n = strlen(text);
    if (n > 0 && text[n - 1] == '\n') n--;
    uint32_t cpu = 0;
    for (size_t i = n; i-- > 0;) {
        char c = text[i];
        if (c == ',' && cpu > 0) continue;
        uint32_t digit = is_digit(c)             ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                : 16;
        if (digit == 16) return false;
        for (uint32_t b = 0; b < 4; b++, cpu++)
            if (digit >> b & 1) vg_cpuset_add(s, cpu);
    }
    return n > 0;
}

static uint32_t count(const vg_cpuset *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++) n += vg_cpuset_has(s, i);
    return n;
}

static vg_cpuset common(const vg_cpuset *a, const vg_cpuset *b)
{
    vg_cpuset c;
    for (size_t i = 0; i < VG_COUNT(c.bits); i++) c.bits[i] = a->bits[i] & b->bits[i];
    return c;
}

/* ---- files ---------------------------------------------------------------------------------- */

typedef bool parse_fn(vg_cpuset *s, const char *text);

/* The text of ROOT/sys/devices/FOLDER/NAME. A text that fills the buffer may have been cut. */
static bool read_file(const char *root, const char *folder, const char *name, char text[TEXT_BYTES])
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/sys/devices/%s/%s", root, folder, name);
    return n > 0 && (size_t)n < sizeof path && os_read_text(path, text, TEXT_BYTES) &&
           strlen(text) < TEXT_BYTES - 1;
}

static bool read_set(const char *root, const char *folder, const char *name, parse_fn *parse,
                     vg_cpuset *s)
{
    char text[TEXT_BYTES];
    return read_file(root, folder, name, text) && parse(s, text);
}

/* A number of each processor of the set; false unless all have one above 0. */
static bool read_speeds(const char *root, const vg_cpuset *cpus, const char *name,
                        uint32_t speed[VG_MAX_CPUS])
{
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++) {
        char folder[64], text[TEXT_BYTES];
        if (!vg_cpuset_has(cpus, i)) continue;
        snprintf(folder, sizeof folder, "system/cpu/cpu%u", i);
        if (!read_file(root, folder, name, text)) return false;
        const char *end = parse_number(text, &speed[i]);
        if (!end || (*end && *end != '\n') || speed[i] == 0) return false;
    }
    return true;
}

/* The processors that share a core with this one, and itself. */
static vg_cpuset read_siblings(const char *root, uint32_t cpu)
{
    static const struct {
        const char *name;
        parse_fn *parse;
    } file[] = {{"core_cpus_list", vg_cpuset_parse_list},
                {"thread_siblings_list", vg_cpuset_parse_list},
                {"thread_siblings", vg_cpuset_parse_mask}};
    char folder[64];
    snprintf(folder, sizeof folder, "system/cpu/cpu%u/topology", cpu);
    vg_cpuset s = {0};
    for (size_t i = 0; i < VG_COUNT(file); i++)
        if (read_set(root, folder, file[i].name, file[i].parse, &s) && vg_cpuset_has(&s, cpu))
            return s;
    s = (vg_cpuset){0};
    vg_cpuset_add(&s, cpu);
    return s;
}

/* ---- classes -------------------------------------------------------------------------------- */

/* The speed below which a core belongs to the slowest class of several; 0 when all are one class:
 * from the fastest down, each step finds the next slower speed. */
static uint32_t slowest_class(const vg_cpuset *cpus, const uint32_t speed[VG_MAX_CPUS])
{
    uint32_t above = 0, limit = 0; /* 0: nothing yet */
    for (uint32_t step = 0; step < VG_MAX_CPUS; step++) {
        uint32_t next = 0;
        for (uint32_t i = 0; i < VG_MAX_CPUS; i++)
            if (vg_cpuset_has(cpus, i) && speed[i] > next && (above == 0 || speed[i] < above))
                next = speed[i];
        if (next == 0) break;
        if (above > 0 && (uint64_t)next * 5 < (uint64_t)above * 4) limit = above;
        above = next;
    }
    return limit;
}

/* The processors of the fast class, and the speeds of all. */
static vg_cpuset find_fast(const char *root, const vg_cpuset *cpus, uint32_t speed[VG_MAX_CPUS])
{
    static const char *const measure[] = {"cpu_capacity", "cpufreq/cpuinfo_max_freq"};
    vg_cpuset kind, fast = {0};
    uint32_t limit = 0, found[VG_MAX_CPUS];
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++) speed[i] = 1;
    for (size_t m = 0; m < VG_COUNT(measure) && limit == 0; m++) {
        if (!read_speeds(root, cpus, measure[m], found)) continue;
        memcpy(speed, found, sizeof found);
        limit = slowest_class(cpus, speed);
    }
    if (read_set(root, "cpu_core", "cpus", vg_cpuset_parse_list, &kind)) {
        fast = common(cpus, &kind);
        if (count(&fast) > 0) return fast;
    }
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++)
        if (vg_cpuset_has(cpus, i) && speed[i] >= limit) vg_cpuset_add(&fast, i);
    return fast;
}

/* Puts a processor into the list, which is ordered by speed, then by number. */
static void insert(vg_topology *t, uint32_t cpu, const uint32_t speed[VG_MAX_CPUS])
{
    uint32_t at = t->n_fast++;
    for (; at > 0 && speed[t->cpu[at - 1]] < speed[cpu]; at--) t->cpu[at] = t->cpu[at - 1];
    t->cpu[at] = cpu;
}

void vg_topology_read(vg_topology *t, const char *root, const vg_cpuset *allowed)
{
    static const char *const there[] = {"online", "present", "possible"};
    uint32_t speed[VG_MAX_CPUS];
    vg_cpuset cpus = *allowed, s;
    *t = (vg_topology){0};
    for (size_t i = 0; i < VG_COUNT(there); i++) {
        if (!read_set(root, "system/cpu", there[i], vg_cpuset_parse_list, &s)) continue;
        s = common(&cpus, &s);
        if (count(&s) == 0) continue;
        cpus = s;
        break;
    }
    t->n_cpus = count(&cpus);
    vg_cpuset fast = find_fast(root, &cpus, speed), seen = {0};
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++) {
        if (!vg_cpuset_has(&fast, i) || vg_cpuset_has(&seen, i)) continue;
        insert(t, i, speed);
        s = read_siblings(root, i);
        for (size_t w = 0; w < VG_COUNT(s.bits); w++) seen.bits[w] |= s.bits[w];
    }
}

/* ---- this process --------------------------------------------------------------------------- */

/* Processors that the scheduler may put this process on; how many, also of those past the set. */
static uint32_t allowed_cpus(vg_cpuset *allowed)
{
    *allowed = (vg_cpuset){0};
#ifdef __linux__
    cpu_set_t set[8]; /* 8192 processors, the most that Linux can be built for */
    int n = sched_getaffinity(0, sizeof set, set) ? 0 : CPU_COUNT_S(sizeof set, set);
    for (uint32_t i = 0; i < VG_MAX_CPUS && n > 0; i++)
        if (CPU_ISSET_S(i, sizeof set, set)) vg_cpuset_add(allowed, i);
    if (n > 0) return (uint32_t)n;
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n_online = online > 0 ? (uint32_t)online : 1;
    for (uint32_t i = 0; i < n_online && i < VG_MAX_CPUS; i++) vg_cpuset_add(allowed, i);
    return n_online;
}

uint32_t vg_os_cpus(void)
{
    vg_cpuset allowed;
    uint32_t n = allowed_cpus(&allowed);
    double quota = vg_cgroup_cpus("");
    return quota > 0 && quota < n ? VG_MAX((uint32_t)quota, 1u) : n;
}

uint32_t vg_os_cores(void)
{
    vg_topology t;
    vg_cpuset allowed;
    uint32_t n = allowed_cpus(&allowed);
    vg_topology_read(&t, "", &allowed);
    if (t.n_fast > 0) n = t.n_fast;
    double quota = vg_cgroup_cpus("");
    /* 1.5 processors of quota let two threads run three quarters of the time: rounded up. */
    if (quota > 0 && quota < n) n = (uint32_t)quota + ((double)(uint32_t)quota < quota);
    return VG_MAX(n, 1u);
}

uint32_t vg_os_fast_cpus(uint32_t *cpu, uint32_t cap)
{
    vg_topology t;
    vg_cpuset allowed;
    allowed_cpus(&allowed);
    vg_topology_read(&t, "", &allowed);
    uint32_t n = VG_MIN(t.n_fast, cap);
    memcpy(cpu, t.cpu, n * sizeof *cpu);
    return n;
}

void vg_os_pin(uint32_t cpu)
{
#ifdef __linux__
    cpu_set_t set[8];
    CPU_ZERO_S(sizeof set, set);
    CPU_SET_S(cpu, sizeof set, set);
    if (sched_setaffinity(0, sizeof set, set)) return; /* offline by now, or not ours to choose */
#else
    VG_UNUSED(cpu);
#endif
}

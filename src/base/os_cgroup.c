/* os_cgroup.c: how much processor and memory a container allows this process.
 *
 * Linux control groups, version 2 (one tree) and version 1 (a tree per controller), as the kernel's
 * cgroup-v2.rst and cgroup-v1/memory.rst describe their files. A limit holds for a whole subtree,
 * so every group from ours up to the root of what is mounted is asked and the tightest answer
 * counts. A file that is absent or unreadable is no limit. It never writes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cgroup.h"
#include "base/os_int.h"

enum { PATH_BYTES = 4096, TEXT_BYTES = 16384 };

/* The number in DIR/NAME. False for "max", which is how version 2 says that there is no limit. */
static bool read_number(const char *dir, const char *name, int64_t *out)
{
    char path[PATH_BYTES + 64], text[TEXT_BYTES], *end;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!os_read_text(path, text, sizeof text)) return false;
    *out = strtoll(text, &end, 10);
    return end != text;
}

/* The number after a line's first word in DIR/memory.stat, 0 where there is none. */
static int64_t read_stat(const char *dir, const char *word)
{
    char path[PATH_BYTES + 64], text[TEXT_BYTES];
    snprintf(path, sizeof path, "%s/memory.stat", dir);
    if (!os_read_text(path, text, sizeof text)) return 0;
    size_t n = strlen(word);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, n) == 0 && line[n] == ' ') return strtoll(line + n, NULL, 10);
    }
    return 0;
}

static double cpus_of(const char *dir, bool v2)
{
    int64_t quota, period;
    if (!v2) {
        bool known = read_number(dir, "cpu.cfs_quota_us", &quota) &&
                     read_number(dir, "cpu.cfs_period_us", &period);
        return known && quota > 0 && period > 0 ? (double)quota / (double)period : 0;
    }
    char path[PATH_BYTES + 64], text[TEXT_BYTES];
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (!os_read_text(path, text, sizeof text)) return 0;
    bool known = sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) == 2;
    return known && quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* A limit near the largest number is version 1's way to say that there is none. A group that is
 * full has 1 byte left: 0 means "no limit". */
static double memory_of(const char *dir, bool v2)
{
    int64_t limit, used;
    if (!read_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes", &limit)) return 0;
    if (!read_number(dir, v2 ? "memory.current" : "memory.usage_in_bytes", &used)) return 0;
    if (limit >= INT64_MAX / 2) return 0;
    int64_t cache = read_stat(dir, v2 ? "file" : "total_cache");
    int64_t left = limit - used + VG_MIN(cache, used);
    return left > 0 ? (double)left : 1;
}

/* Asks the group `below` of the tree mounted at `mount` and all above it; keeps the tightest. */
static double tightest(const char *mount, const char *below, bool v2,
                       double (*ask)(const char *dir, bool v2))
{
    char dir[PATH_BYTES];
    int n = snprintf(dir, sizeof dir, "%s%s", mount, below);
    if (n < 0 || (size_t)n >= sizeof dir) return 0;
    double least = 0;
    for (size_t top = strlen(mount);;) {
        double limit = ask(dir, v2);
        if (limit > 0 && (least <= 0 || limit < least)) least = limit;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < top) return least;
        *slash = '\0';
    }
}

/* Whether a comma-separated list of controllers holds `name`. */
static bool lists(const char *list, size_t n, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < n;) {
        const char *comma = memchr(list + i, ',', n - i);
        size_t item = comma ? (size_t)(comma - list) - i : n - i;
        if (item == len && memcmp(list + i, name, len) == 0) return true;
        i += item + 1;
    }
    return false;
}

/* Goes through /proc/self/cgroup, whose lines are "ID:CONTROLLERS:PATH". */
static double each_tree(const char *root, const char *controller,
                        double (*ask)(const char *dir, bool v2))
{
    char path[PATH_BYTES], text[TEXT_BYTES], *rest = NULL;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!os_read_text(path, text, sizeof text)) return 0;
    double least = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *list = strchr(line, ':'), *below = list ? strchr(list + 1, ':') : NULL;
        if (!below) continue;
        bool v2 = below == list + 1;
        if (!v2 && !lists(list + 1, (size_t)(below - list) - 1, controller)) continue;
        below += 1;
        /* The path may be that of the host while the mount shows our group as its root: the root
         * of the mount is asked in any case. */
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s", root, v2 ? "" : "/",
                 v2 ? "" : controller);
        double limit = tightest(path, strcmp(below, "/") ? below : "", v2, ask);
        if (limit > 0 && (least <= 0 || limit < least)) least = limit;
    }
    return least;
}

double vg_cgroup_cpus(const char *root)
{
    return each_tree(root, "cpu", cpus_of);
}

uint64_t vg_cgroup_memory_left(const char *root)
{
    return (uint64_t)each_tree(root, "memory", memory_of);
}

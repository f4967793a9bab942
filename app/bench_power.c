/* Energy counters of Linux's powercap (Documentation/power/powercap in its source): a folder for
 * each zone, with its name, a counter in microjoules, and where the counter begins anew. Packages
 * are counted ("intel-rapl:0", which AMD uses too); the zones inside them ("intel-rapl:0:0") are
 * parts of the same energy, and "intel-rapl-mmio" tells it a second time. Where nothing can be
 * read, as without the right to, energy is not known. */
#include <dirent.h>
#include <stdio.h>

#include "app/bench.h"

static bool read_u64(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "r");
    unsigned long long v;
    bool ok = f && fscanf(f, "%llu", &v) == 1;
    if (ok) *out = v;
    if (f) fclose(f);
    return ok;
}

static bool is_package(const char *name)
{
    const char *colon = strchr(name, ':');
    return name[0] != '.' && colon && !strchr(colon + 1, ':') && !strstr(name, "mmio");
}

void bench_power_find(bench_power *p, const char *root)
{
    p->n = 0;
    DIR *d = opendir(root);
    if (!d) return;
    for (struct dirent *e; p->n < BENCH_COUNTERS_MAX && (e = readdir(d));) {
        char *path = p->path[p->n];
        uint64_t now;
        if (!is_package(e->d_name)) continue;
        int n = snprintf(path, sizeof p->path[0], "%s/%s/max_energy_range_uj", root, e->d_name);
        if (n < 0 || (size_t)n >= sizeof p->path[0]) continue;
        if (!read_u64(path, &p->range_uj[p->n])) p->range_uj[p->n] = UINT64_MAX;
        snprintf(path, sizeof p->path[0], "%s/%s/energy_uj", root, e->d_name);
        if (read_u64(path, &now)) p->n++;
    }
    closedir(d);
}

bench_energy bench_power_read(const bench_power *p)
{
    bench_energy e = {.known = p->n > 0};
    for (size_t i = 0; i < p->n; i++) e.known &= read_u64(p->path[i], &e.uj[i]);
    return e;
}

double bench_power_joules(const bench_power *p, const bench_energy *from, const bench_energy *to)
{
    double sum = 0;
    if (!from->known || !to->known) return -1;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t a = from->uj[i], b = to->uj[i];
        sum += b >= a ? (double)(b - a) : (double)(p->range_uj[i] - a) + (double)b;
    }
    return sum * 1e-6;
}

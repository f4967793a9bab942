/* The memory of another process, as Linux tells it: resident, and proportional (a page that several
 * processes map counts in parts), which says more where the model's file is mapped by others too.
 * Where the kernel does not let us look, or has no /proc, it is not known. */
#include <inttypes.h>
#include <stdio.h>

#include "app/bench_serve.h"

static uint64_t read_kb(const char *path, const char *key)
{
    char line[256];
    uint64_t kb = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = strlen(key);
    while (kb == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, "%" SCNu64, &kb) != 1) kb = 0;
    fclose(f);
    return kb * 1024;
}

void bench_process_memory(int64_t pid, uint64_t *rss_bytes, uint64_t *pss_bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/status", pid);
    *rss_bytes = read_kb(path, "VmRSS:");
    snprintf(path, sizeof path, "/proc/%" PRId64 "/smaps_rollup", pid);
    *pss_bytes = read_kb(path, "Pss:");
}

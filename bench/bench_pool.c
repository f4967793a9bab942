/* bench_pool.c: what it costs to hand out work that is nothing: nanoseconds of one vg_pool_run.
 *
 *     bench_pool [THREADS]
 *
 * In a row, as the operations of a step come, and after pauses that send the workers to sleep, as
 * the steps of an idle server come. Medians of many runs, and the worst of a hundred. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "base/pool.h"

enum { RUNS = 1001 };

static void nothing(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(arg);
    VG_UNUSED(part);
    VG_UNUSED(thread);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void bench(vg_pool *p, uint32_t n_parts, bool idle)
{
    uint64_t ns[RUNS];
    for (int i = 0; i < RUNS; i++) {
        if (idle) usleep(500);
        uint64_t begin = vg_os_now_ns();
        vg_pool_run(p, n_parts, nothing, NULL);
        ns[i] = vg_os_now_ns() - begin;
    }
    qsort(ns, RUNS, sizeof ns[0], by_size);
    printf("%u threads, %4u parts, %s: %6llu ns, 99%%: %6llu ns\n", vg_pool_threads(p), n_parts,
           idle ? "asleep  " : "in a row", (unsigned long long)ns[RUNS / 2],
           (unsigned long long)ns[RUNS - RUNS / 100]);
}

int main(int argc, char **argv)
{
    vg_pool *p = NULL;
    vg_err err;
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2;
    if (vg_pool_new(&p, n ? n : 1, false, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    for (uint32_t parts = 2; parts <= 512; parts *= 16)
        for (int idle = 0; idle < 2; idle++) bench(p, parts, idle);
    vg_pool_free(p);
    return 0;
}

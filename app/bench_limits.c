/* The limits of this machine: how fast memory is read, and how fast a core multiplies and adds,
 * with several numbers of threads at once. Each is the best of a few runs, since a limit is what
 * nothing passes: other programs only make a run slower. Reading is a plain sum over a buffer that
 * no cache holds, on large pages and asked for in advance, as weights are; the peaks are loops over
 * registers and the nearest cache in the operations of the kernels (src/kern/limits.inc). */
#include <stdio.h>

#include "app/bench.h"
#include "base/os.h"
#include "base/pool.h"
#include "kern/kern.h"

enum {
    RUNS = 5,
    BUFFER_BYTES = 512 << 20, /* where memory is short, a quarter of what is free */
    BUFFER_MIN_BYTES = 16 << 20,
    CHUNK_BYTES = 1 << 20, /* threads take turns, as with a matrix's rows */
    AHEAD_BYTES = 4 << 10
};

typedef struct work {
    const vg_kern *kern;
    const uint8_t *data;
    bool pin;
    size_t steps; /* of a part */
    double ops[BENCH_THREADS_MAX]; /* of a part */
    uint64_t sink[BENCH_THREADS_MAX];
} work;

static void read_part(void *arg, uint32_t part, uint32_t thread)
{
    work *w = arg;
    uint64_t sum[8] = {0};
    const uint64_t *p = (const uint64_t *)(const void *)(w->data + (size_t)part * CHUNK_BYTES);
    for (size_t i = 0; i < CHUNK_BYTES / sizeof *p; i += 8) {
        VG_PREFETCH((const void *)((uintptr_t)(p + i) + AHEAD_BYTES));
        for (size_t k = 0; k < 8; k++) sum[k] += p[i + k];
    }
    for (size_t k = 0; k < 8; k++) w->sink[thread] += sum[k];
}

static void int8_part(void *arg, uint32_t part, uint32_t thread)
{
    work *w = arg;
    VG_UNUSED(thread);
    w->ops[part] = w->kern->peak_int8(w->steps);
}

static void fp32_part(void *arg, uint32_t part, uint32_t thread)
{
    work *w = arg;
    VG_UNUSED(thread);
    w->ops[part] = w->kern->peak_fp32(w->steps);
}

/* The shortest time of a few runs, in seconds. */
static double best_time(vg_pool *pool, uint32_t n_parts, vg_part_fn *fn, work *w)
{
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
        uint64_t begin = vg_os_now_ns();
        vg_pool_run(pool, n_parts, fn, w);
        double s = (double)(vg_os_now_ns() - begin) * 1e-9;
        if (i == 0 || s < best) best = s;
    }
    return VG_MAX(best, 1e-9);
}

/* Billions of operations a second, one part a thread, in runs long enough for the clock and for the
 * threads to wake up in. */
static double peak(vg_pool *pool, vg_part_fn *fn, work *w)
{
    const double long_enough = 2e-3;
    uint32_t n = vg_pool_threads(pool);
    double seconds = 0, ops = 0;
    for (w->steps = 1 << 10; seconds < long_enough && w->steps < 1 << 24; w->steps *= 2)
        seconds = best_time(pool, n, fn, w);
    seconds = best_time(pool, n, fn, w);
    for (uint32_t i = 0; i < n; i++) ops += w->ops[i];
    return ops / seconds * 1e-9;
}

static vg_status measure(bench_limit *out, work *w, size_t bytes, vg_err *err)
{
    vg_pool *pool = NULL;
    VG_TRY(vg_pool_new(&pool, out->threads, w->pin, err));
    double seconds = best_time(pool, (uint32_t)(bytes / CHUNK_BYTES), read_part, w);
    out->read_gbs = (double)bytes / seconds * 1e-9;
    out->int8_gops = peak(pool, int8_part, w);
    out->fp32_gops = peak(pool, fp32_part, w);
    vg_pool_free(pool);
    return VG_OK;
}

vg_status bench_limits(bench_limit_list *out, uint32_t threads, bool all, const bench_opts *o,
                       vg_err *err)
{
    work w = {.kern = vg_kern_pick(o->isa), .pin = o->pin};
    if (!w.kern) return VG_FAIL(err, VG_E_USAGE, "this CPU does not run '%s'", o->isa);
    uint64_t free_bytes = vg_os_memory_bytes();
    size_t bytes = BUFFER_BYTES;
    while (free_bytes && bytes > free_bytes / 4 && bytes > BUFFER_MIN_BYTES) bytes /= 2;
    uint8_t *buffer = vg_os_pages_new(bytes);
    if (!buffer) return VG_FAIL_MEMORY(err, bytes);
    memset(buffer, 1, bytes); /* pages of zeros may all be one page */
    w.data = buffer;
    *out = (bench_limit_list){.buffer_bytes = bytes, .isa = w.kern->isa};
    vg_status st = VG_OK;
    for (uint32_t n = all ? 1 : threads; !st && n <= threads && out->n < BENCH_THREADS_MAX;) {
        out->at[out->n].threads = n;
        st = measure(&out->at[out->n], &w, bytes, err);
        out->n += !st;
        uint32_t step = n < 8 ? 1 : n;
        n = n < threads ? VG_MIN(n + step, threads) : threads + 1;
    }
    vg_os_pages_free(buffer, bytes);
    return st;
}

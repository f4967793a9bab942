/* How long loading takes: from nothing to an engine, and to the first token of a prompt of one
 * token. Warm: the file is in the page cache, because it has just been read. Cold: the system is
 * asked to forget the file first, and then asked how much of it is left, since it may decline (a
 * file that another program maps stays). The last load stays open, for what is measured next. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/bench.h"
#include "app/cli.h"
#include "base/os.h"

enum { WARM_LOADS_MAX = 3 };

/* The share of the file's pages that are in memory, 0..1. */
static double share_in_cache(int fd, size_t bytes)
{
    enum { PIECE = 1 << 16 };
    unsigned char here[PIECE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n_pages = (bytes + page - 1) / page, n_here = 0;
    unsigned char *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return 1;
    for (size_t i = 0; i < n_pages; i += PIECE) {
        size_t n = VG_MIN(n_pages - i, (size_t)PIECE);
        bool ok = mincore(map + i * page, VG_MIN(n * page, bytes - i * page), here) == 0;
        for (size_t k = 0; k < n; k++) n_here += ok ? here[k] & 1 : 1;
    }
    munmap(map, bytes);
    return (double)n_here / (double)n_pages;
}

/* Asks the system to drop the file from its cache; returns the share that is still there. */
static double drop_from_cache(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    double share = 1;
    off_t bytes = lseek(fd, 0, SEEK_END);
    /* Pages that are not yet written to the disk cannot be dropped. */
    if (bytes > 0 && fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0)
        share = share_in_cache(fd, (size_t)bytes);
    close(fd);
    return share;
}

/* Milliseconds to read the file through; negative when it cannot be read. */
static double read_through(const char *path)
{
    char piece[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    uint64_t begin = vg_os_now_ns();
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0) continue;
    double ms = (double)(vg_os_now_ns() - begin) * 1e-6;
    close(fd);
    return n < 0 ? -1 : ms;
}

/* The peak that the kernel reports begins anew. Where it cannot be told to, the peak is that of the
 * whole process, which before the first load is next to nothing. */
static void reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

static uint32_t largest(const bench_list *l)
{
    uint32_t max = 0;
    for (size_t i = 0; i < l->n; i++) max = VG_MAX(max, l->v[i]);
    return max;
}

static vg_engine_opts engine_opts(const bench_opts *o)
{
    vg_engine_opts e = {.n_threads = (uint32_t)o->threads, .pin = o->pin, .isa = o->isa};
    e.kv = cli_kv_type(o->kv);
    /* One token more than is timed: the sampled one at the end of a run. */
    uint32_t decoded = largest(&o->depth) + (uint32_t)o->decode;
    e.ctx_tok = VG_MAX(largest(&o->prefill), decoded) + 2;
    e.n_sessions = VG_MAX(largest(&o->batch), 1u);
    return e;
}

void bench_close(bench *b)
{
    for (size_t i = 0; b->session && i < b->n_sessions; i++) vg_session_free(b->session[i]);
    vg_mem_free(b->session);
    vg_engine_free(b->engine);
    vg_model_unref(b->model);
    b->session = NULL;
    b->engine = NULL;
    b->model = NULL;
}

static vg_status open_engine(bench *b, vg_err *err)
{
    vg_engine_opts e = engine_opts(b->opts);
    VG_TRY(vg_plan_make(b->model, &e, &b->plan, err));
    VG_TRY(vg_engine_new(&b->engine, b->model, &e, err));
    b->n_sessions = e.n_sessions;
    b->session = vg_mem_new(b->n_sessions * sizeof *b->session);
    if (!b->session) return VG_FAIL_MEMORY(err, b->n_sessions * sizeof *b->session);
    for (size_t i = 0; i < b->n_sessions; i++)
        VG_TRY(vg_session_new(&b->session[i], b->engine, NULL, err));
    return VG_OK;
}

static vg_status first_token(bench *b, vg_err *err)
{
    int32_t id = VG_MAX(b->info.bos, 0);
    vg_session *s = b->session[0];
    VG_TRY(vg_session_append(s, &id, 1, err));
    VG_TRY(vg_engine_step(b->engine, &s, 1, err));
    VG_TRY(vg_session_sample(s, &id, err));
    return vg_session_sync(s, NULL, 0, NULL, err);
}

static int on_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    bench *b = user;
    progress_show(&b->line, &(progress_now){.stage = "loading", .done = done_bytes,
                                            .total = total_bytes, .unit = "B"});
    return bench_stop(b);
}

static vg_status load_once(bench *b, double *load_ms, double *first_ms, vg_err *err)
{
    const vg_model_opts m = {.no_repack = b->opts->no_repack, .progress = on_progress, .user = b};
    bench_close(b);
    uint64_t begin = vg_os_now_ns();
    VG_TRY(cli_open_model(b->opts->model, &m, &b->model, err));
    vg_model_get_info(b->model, &b->info);
    VG_TRY(open_engine(b, err));
    *load_ms = (double)(vg_os_now_ns() - begin) * 1e-6;
    VG_TRY(first_token(b, err));
    *first_ms = (double)(vg_os_now_ns() - begin) * 1e-6;
    return VG_OK;
}

vg_status bench_load(bench *b, vg_err *err)
{
    bench_loads *l = &b->load;
    double load_ms[WARM_LOADS_MAX], first_ms[WARM_LOADS_MAX], read_ms[WARM_LOADS_MAX];
    l->cold_asked = b->opts->cold;
    reset_peak();
    if (b->opts->cold) {
        bench_progress(b, 0, 0, "dropping the file from the cache");
        l->cached_share = drop_from_cache(b->opts->model);
        l->cold_done = l->cached_share < 0.01;
    }
    VG_TRY(load_once(b, &l->cold_ms, &l->cold_first_ms, err));
    size_t n = VG_MIN((size_t)b->opts->repeat, (size_t)WARM_LOADS_MAX);
    for (; l->n_warm < n && !bench_stop(b); l->n_warm++) {
        VG_TRY(load_once(b, &load_ms[l->n_warm], &first_ms[l->n_warm], err));
        read_ms[l->n_warm] = b->opts->model ? read_through(b->opts->model) : -1;
    }
    l->warm_ms = bench_spread_of(load_ms, l->n_warm).median;
    l->warm_first_ms = bench_spread_of(first_ms, l->n_warm).median;
    l->read_ms = l->n_warm ? bench_spread_of(read_ms, l->n_warm).median : -1;
    b->isa = vg_engine_isa(b->engine);
    b->threads = vg_engine_threads(b->engine);
    snprintf(b->name, sizeof b->name, "%s", b->info.name);
    snprintf(b->arch, sizeof b->arch, "%s", b->info.arch);
    return VG_OK;
}

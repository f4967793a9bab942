/* Runs the levels: keeps as many requests under way as a closed loop has streams, or lets them
 * arrive as an open loop says, whatever the server does. Times of an open loop begin when a
 * request was due, not when it was sent, so that a server which stalls cannot hide it. Figures go
 * into a window, which the lines of --every show and empty into the level. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "app/bench_serve_net.h"
#include "app/cli.h"
#include "base/os.h"

enum { EVENTS_MAX = 256, SWEEP_NS = 50000000, SAMPLE_NS = 500000000, REST_NS = 100000000,
       REST_MAX_S = 5 };

typedef struct run {
    bench_serve *b;
    bench_net net;
    bench_conn *conn; /* [n_conns] */
    uint32_t *idle;   /* [n_conns] stack of connections without a request */
    uint32_t n_conns, n_idle;
    bench_level *level, *window;
    vg_buf prompt, body;
    uint64_t index, begin_ns, sweep_ns, sample_ns, line_ns, due_ns; /* due: of the next arrival */
    uint64_t n_arrived;
} run;

static double seconds_since(uint64_t from_ns, uint64_t now_ns)
{
    return (double)(now_ns - VG_MIN(from_ns, now_ns)) * 1e-9;
}

/* ---- figures -------------------------------------------------------------------------------- */

static void merge_hist(bench_hist *to, const bench_hist *from)
{
    if (from->n == 0) return;
    to->min = to->n == 0 ? from->min : fmin(to->min, from->min);
    to->max = to->n == 0 ? from->max : fmax(to->max, from->max);
    for (size_t i = 0; i < VG_COUNT(to->count); i++) to->count[i] += from->count[i];
    to->n += from->n;
    to->sum += from->sum;
}

/* Empties the window into the level. */
static void take_window(run *r)
{
    bench_level *l = r->level, *w = r->window;
    merge_hist(&l->first, &w->first);
    merge_hist(&l->gap, &w->gap);
    merge_hist(&l->whole, &w->whole);
    l->n_events += w->n_events;
    w->n_events = 0;
    bench_hist_reset(&w->first);
    bench_hist_reset(&w->gap);
    bench_hist_reset(&w->whole);
}

static void add_fault(run *r, bench_fault fault, const char *why)
{
    if (r->level->n_faults[fault]++ == 0)
        snprintf(r->level->fault[fault], sizeof r->level->fault[fault], "%s", why);
}

/* A request came to its end. */
static void account(run *r, bench_conn *c, uint64_t now_ns)
{
    bench_level *l = r->level;
    if (c->outcome == BENCH_DONE) {
        l->n_done++;
        bench_hist_add(&r->window->whole, seconds_since(c->begin_ns, now_ns) * 1e3);
    } else if (c->outcome == BENCH_CANCELLED) {
        l->n_cancelled++;
    } else {
        add_fault(r, c->fault, c->why);
    }
    l->n_usage += c->has_usage;
    l->prompt_tok += c->prompt_tok;
    l->generated_tok += c->has_usage ? c->generated_tok : c->n_events;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Of a level; 0: as many as the time allows. */
static uint64_t n_requests(const run *r)
{
    const bench_serve_opts *o = r->b->opts;
    if (o->requests > 0 || o->seconds > 0) return (uint64_t)o->requests;
    return r->level->rate > 0 ? 64 : 4 * (uint64_t)r->level->streams;
}

static bool more(const run *r, uint64_t now_ns)
{
    const bench_serve_opts *o = r->b->opts;
    uint64_t requests = n_requests(r);
    if (requests && r->level->n_started >= requests) return false;
    return o->seconds <= 0 || seconds_since(r->begin_ns, now_ns) < o->seconds;
}

/* A connection whose request has ended is free again, after a rest where it failed: a server that
 * refuses is not asked a thousand times a second. */
static void release(run *r, bench_conn *c, uint64_t now_ns)
{
    account(r, c, now_ns);
    c->resting = c->outcome == BENCH_FAILED;
    if (c->resting) {
        int s = VG_MIN(c->http.retry_after_s, (int)REST_MAX_S);
        c->resume_ns = now_ns + (s > 0 ? (uint64_t)s * 1000000000u : REST_NS);
    } else {
        r->idle[r->n_idle++] = (uint32_t)(c - r->conn);
    }
}

static void start(run *r, uint64_t begin_ns, uint64_t now_ns)
{
    bench_conn *c = &r->conn[r->idle[--r->n_idle]];
    bench_serve *b = r->b;
    bench_load_request(&b->load, r->index, r->level->n_started++, &c->request, &r->prompt);
    bench_target_body(&b->target, &b->load, (vg_str){r->prompt.data, r->prompt.n},
                      c->request.max_tok, &r->body);
    bench_target_request(&b->target, "POST", bench_target_path(&b->target),
                         (vg_str){r->body.data, r->body.n}, &c->out);
    if (r->prompt.failed || r->body.failed || c->out.failed) {
        bench_conn_fail(c, BENCH_FAULT_CONNECT, "no memory for the request");
    } else {
        bench_conn_send(&r->net, c, begin_ns, now_ns);
    }
    if (c->outcome != BENCH_RUNNING) release(r, c, now_ns);
}

/* Starts what is due. */
static void fill(run *r, uint64_t now_ns)
{
    bench_level *l = r->level;
    uint32_t n_most = l->rate > 0 ? r->n_conns : l->streams;
    if (l->rate <= 0) {
        while (r->n_idle > r->n_conns - n_most && more(r, now_ns)) start(r, now_ns, now_ns);
        return;
    }
    while (r->due_ns <= now_ns && more(r, now_ns)) {
        if (r->n_idle > 0) {
            start(r, r->due_ns, now_ns);
        } else {
            l->n_started++;
            add_fault(r, BENCH_FAULT_DROPPED, "as many as --in-flight were under way");
        }
        l->streams = VG_MAX(l->streams, r->n_conns - r->n_idle);
        double gap = bench_load_gap(&r->b->load, r->index, ++r->n_arrived, l->rate);
        r->due_ns += (uint64_t)(gap * 1e9);
    }
}

/* ---- what happens now and then --------------------------------------------------------------- */

static void sample_memory(run *r)
{
    uint64_t rss, pss;
    if (r->b->opts->pid <= 0) return;
    bench_process_memory(r->b->opts->pid, &rss, &pss);
    r->level->peak_rss_bytes = VG_MAX(r->level->peak_rss_bytes, rss);
    r->level->peak_pss_bytes = VG_MAX(r->level->peak_pss_bytes, pss);
}

/* Tokens until now, of requests that run as well. */
static uint64_t events_until_now(const run *r)
{
    return r->level->n_events + r->window->n_events;
}

/* A line of --every, of the time since the last one. */
static void print_line(run *r, uint64_t now_ns)
{
    char memory[32] = "";
    uint64_t rss = 0, pss = 0;
    const bench_level *l = r->level, *w = r->window;
    if (r->b->opts->pid > 0) bench_process_memory(r->b->opts->pid, &rss, &pss);
    double s = seconds_since(r->line_ns, now_ns);
    progress_end(&r->b->line);
    fprintf(stderr, "%6.0f s  in flight %u  done %llu  cancelled %llu  errors %llu  %.1f tok/s  "
            "first token p50 %.0f p99 %.0f ms  gap p50 %.1f p99 %.1f ms%s%s\n",
            seconds_since(r->begin_ns, now_ns), r->n_conns - r->n_idle,
            (unsigned long long)l->n_done, (unsigned long long)l->n_cancelled,
            (unsigned long long)bench_level_faults(l), (double)w->n_events / s,
            bench_hist_percentile(&w->first, 0.5), bench_hist_percentile(&w->first, 0.99),
            bench_hist_percentile(&w->gap, 0.5), bench_hist_percentile(&w->gap, 0.99),
            rss ? "  memory " : "", rss ? cli_bytes(rss, memory) : "");
    take_window(r);
    r->line_ns = now_ns;
}

static void show_progress(run *r, uint64_t now_ns)
{
    char stage[64], item[96];
    const bench_level *l = r->level;
    const bench_serve_opts *o = r->b->opts;
    bool timed = o->seconds > 0;
    if (l->rate > 0) snprintf(stage, sizeof stage, "%g requests/s", l->rate);
    else snprintf(stage, sizeof stage, "%u stream%s", l->streams, l->streams == 1 ? "" : "s");
    double s = seconds_since(r->begin_ns, now_ns);
    snprintf(item, sizeof item, "%llu done, %llu errors, %.1f tok/s", (unsigned long long)l->n_done,
             (unsigned long long)bench_level_faults(l),
             s > 0 ? (double)events_until_now(r) / s : 0);
    uint64_t n_ended = l->n_done + l->n_cancelled + bench_level_faults(l);
    progress_show(&r->b->line, &(progress_now){
        .stage = stage, .item = vg_str_from(item),
        .done = timed ? (uint64_t)(VG_MIN(s, o->seconds) * 1000) : n_ended,
        .total = timed ? (uint64_t)(o->seconds * 1000) : n_requests(r)});
}

/* Requests that nothing is heard of, rests that are over, memory, lines. */
static void sweep(run *r, uint64_t now_ns)
{
    const bench_serve_opts *o = r->b->opts;
    if (now_ns - r->sweep_ns < SWEEP_NS) return;
    r->sweep_ns = now_ns;
    for (uint32_t i = 0; i < r->n_conns; i++) {
        bench_conn *c = &r->conn[i];
        if (c->resting && now_ns >= c->resume_ns) {
            c->resting = false;
            r->idle[r->n_idle++] = i;
        } else if (c->outcome == BENCH_RUNNING && c->begin_ns &&
                   seconds_since(c->heard_ns, now_ns) > o->timeout) {
            bench_conn_fail(c, BENCH_FAULT_TIMEOUT, "nothing came in time (--timeout)");
            release(r, c, now_ns);
        }
    }
    if (now_ns - r->sample_ns >= SAMPLE_NS) {
        r->sample_ns = now_ns;
        sample_memory(r);
    }
    if (o->every > 0 && seconds_since(r->line_ns, now_ns) >= o->every) print_line(r, now_ns);
    show_progress(r, now_ns);
}

/* ---- levels --------------------------------------------------------------------------------- */

static int patience_ms(const run *r, uint64_t now_ns)
{
    uint64_t ns = SWEEP_NS;
    if (r->level->rate > 0 && more(r, now_ns))
        ns = r->due_ns > now_ns ? VG_MIN(ns, r->due_ns - now_ns) : 0;
    return (int)((ns + 999999) / 1000000);
}

/* Those that still run are given up; they are no faults of the server. */
static void abandon(run *r)
{
    for (uint32_t i = 0; i < r->n_conns; i++) {
        bench_conn *c = &r->conn[i];
        if (c->outcome != BENCH_RUNNING) continue;
        bench_conn_stop(c, BENCH_CANCELLED);
        account(r, c, vg_os_now_ns());
    }
}

static uint32_t busy(const run *r)
{
    return r->n_conns - r->n_idle;
}

static vg_status turn(run *r, uint64_t *now_ns, vg_err *err)
{
    struct epoll_event ev[EVENTS_MAX];
    int n = epoll_wait(r->net.epoll, ev, EVENTS_MAX, patience_ms(r, *now_ns));
    if (n < 0 && errno != EINTR) return VG_FAIL(err, VG_E_IO, "epoll_wait: %s", strerror(errno));
    *now_ns = vg_os_now_ns();
    for (int i = 0; i < n; i++) {
        bench_conn *c = ev[i].data.ptr;
        if (!c) r->b->cancelled |= interrupt_stops(r->b->it);
        else if (bench_conn_ready(&r->net, c, ev[i].events, *now_ns)) release(r, c, *now_ns);
    }
    sweep(r, *now_ns);
    return VG_OK;
}

static double cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u)) return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static vg_status run_level(run *r, size_t index, vg_err *err)
{
    bench_serve *b = r->b;
    vg_status st = VG_OK;
    double cpu = cpu_seconds();
    uint64_t now = vg_os_now_ns();
    r->index = index;
    r->level = &b->level[index];
    r->level->rate = b->rate[index];
    r->level->streams = b->streams[index];
    r->begin_ns = r->line_ns = r->sweep_ns = now;
    r->sample_ns = r->n_arrived = 0;
    r->due_ns = now;
    b->n_run = index + 1;
    for (fill(r, now); !st && !b->cancelled && (busy(r) > 0 || more(r, now)); fill(r, now))
        st = turn(r, &now, err);
    abandon(r);
    sample_memory(r);
    take_window(r);
    progress_end(&b->line);
    r->level->seconds = seconds_since(r->begin_ns, now);
    r->level->client_cpu_s = cpu_seconds() - cpu;
    return st;
}

static vg_status run_begin(run *r, vg_err *err)
{
    bench_serve *b = r->b;
    struct epoll_event ev = {.events = EPOLLIN};
    for (size_t i = 0; i < b->n_levels; i++)
        r->n_conns = VG_MAX(r->n_conns, b->rate[i] > 0 ? (uint32_t)b->opts->in_flight
                                                       : b->streams[i]);
    r->conn = vg_mem_new(r->n_conns * sizeof *r->conn);
    r->idle = vg_mem_new(r->n_conns * sizeof *r->idle);
    r->window = vg_mem_new(sizeof *r->window);
    if (!r->conn || !r->idle || !r->window)
        return VG_FAIL_MEMORY(err, r->n_conns * sizeof *r->conn);
    for (uint32_t i = 0; i < r->n_conns; i++) {
        bench_conn_init(&r->conn[i]);
        r->conn[i].outcome = BENCH_DONE;
        r->idle[r->n_idle++] = r->n_conns - 1 - i;
    }
    vg_buf_init(&r->prompt, SIZE_MAX / 4);
    vg_buf_init(&r->body, SIZE_MAX / 4);
    VG_TRY(bench_net_begin(&r->net, &b->target, err));
    r->net.window = r->window;
    if (epoll_ctl(r->net.epoll, EPOLL_CTL_ADD, b->it->fd, &ev))
        return VG_FAIL(err, VG_E_IO, "epoll: %s", strerror(errno));
    return VG_OK;
}

static void run_end(run *r)
{
    for (uint32_t i = 0; r->conn && i < r->n_conns; i++) bench_conn_clear(&r->conn[i]);
    bench_net_end(&r->net);
    vg_buf_clear(&r->prompt);
    vg_buf_clear(&r->body);
    vg_mem_free(r->conn);
    vg_mem_free(r->idle);
    vg_mem_free(r->window);
}

vg_status bench_serve_run(bench_serve *b, vg_err *err)
{
    run *r = vg_mem_new(sizeof *r);
    if (!r) return VG_FAIL_MEMORY(err, sizeof *r);
    r->b = b;
    r->net.epoll = -1;
    vg_status st = run_begin(r, err);
    for (size_t i = 0; !st && !b->cancelled && i < b->n_levels; i++) st = run_level(r, i, err);
    run_end(r);
    vg_mem_free(r);
    return st;
}

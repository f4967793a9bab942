/* bench_serve.h: what `verge bench serve` measures, and the parts that do it: the load, which
 * depends on the seed alone; the connections; the figures; printing and drawing.
 *
 *     VG_TRY(bench_target_read(&target, "http://127.0.0.1:8080", err));
 *     bench_load_request(&load, level, i, &request, &prompt);
 *     bench_hist_add(&hist, 12.5);
 *     double p99 = bench_hist_percentile(&hist, 0.99);
 */
#ifndef VG_BENCH_SERVE_H
#define VG_BENCH_SERVE_H

#include <sys/socket.h>

#include "app/bench_serve_http.h"
#include "app/interrupt.h"
#include "app/progress.h"

enum {
    BENCH_LEVELS_MAX = 16, BENCH_STREAMS_MAX = 4096, BENCH_IDLE_MAX = 65536,
    BENCH_RESULTS_MAX = 8, BENCH_ADDR_MAX = 8
};

typedef struct bench_serve_opts {
    const char *url, *streams_text, *rate_text, *api, *key, *model, *words_text, *tokens_text;
    const char *prompts, *text, *name, *plot, *compare;
    int64_t requests, shared, seed, in_flight, pid, idle;
    double seconds, cancel, every, timeout;
    bool no_ignore_eos, json;
} bench_serve_opts;

/* ---- times ---------------------------------------------------------------------------------- */

/* Counts of times by size, 64 steps to an octave: a percentile is within 0.6% of a time that was
 * measured, and an hour takes no more memory than a second. In milliseconds. */
enum { BENCH_HIST_STEPS = 64, BENCH_HIST_OCTAVES = 36 };
typedef struct bench_hist {
    uint64_t n, count[BENCH_HIST_STEPS * BENCH_HIST_OCTAVES]; /* from a microsecond */
    double sum, min, max;
} bench_hist;

void bench_hist_reset(bench_hist *h);
void bench_hist_add(bench_hist *h, double ms);
/* The smallest time that at least `share` of all do not pass; NaN where there is none. */
double bench_hist_percentile(const bench_hist *h, double share);
double bench_hist_mean(const bench_hist *h);

/* ---- load ----------------------------------------------------------------------------------- */

typedef struct bench_range {
    uint32_t min, max;
} bench_range;
/* "64" or "16-128". Errors: USAGE. */
VG_NODISCARD vg_status bench_range_read(const char *name, const char *text, uint32_t max,
                                        bench_range *out, vg_err *err);

typedef struct bench_line { /* of a file of prompts */
    vg_str prompt;
    uint32_t max_tok; /* 0: not told */
} bench_line;

typedef struct bench_load {
    uint64_t seed;
    bench_range words, tokens;
    uint32_t shared_words;
    double cancel;
    vg_arena *arena;  /* of the lines */
    vg_text source;   /* the text, or the file of lines: read before it is opened */
    bench_line *line; /* [n_lines] */
    size_t n_lines;
    vg_str text;      /* prompts are cut from it; empty: words of ours */
    size_t *word_at;  /* [n_words + 1] where its words begin */
    size_t n_words;
} bench_load;

typedef struct bench_request {
    uint32_t max_tok;
    uint32_t cancel_at; /* close the connection after so many tokens; UINT32_MAX: never */
} bench_request;

VG_NODISCARD vg_status bench_load_open(bench_load *l, const bench_serve_opts *o, vg_err *err);
void bench_load_close(bench_load *l);
/* Request i of a level: the same for a seed on every machine and against every server, and
 * different from each other. */
void bench_load_request(const bench_load *l, uint64_t level, uint64_t i, bench_request *out,
                        vg_buf *prompt);
/* The words that all prompts of a run share. */
void bench_load_shared(const bench_load *l, vg_buf *out);
/* Seconds from arrival i - 1 to arrival i of a Poisson process of `rate` a second. */
double bench_load_gap(const bench_load *l, uint64_t level, uint64_t i, double rate);

/* ---- server --------------------------------------------------------------------------------- */

typedef struct bench_target {
    char host[256], port[8], base[256]; /* base: the path before /v1 */
    char unix_path[108];                /* not empty: a socket in the file system */
    struct sockaddr_storage addr;
    socklen_t n_addr; /* 0: not looked up yet */
    const char *key, *model;
    char model_text[256];
    bool chat, ignore_eos, usage; /* what the server takes */
    char server[128];             /* what it says that it is */
} bench_target;

/* "http://host:port[/base]", "host:port" or "unix:/path". Errors: USAGE. */
VG_NODISCARD vg_status bench_target_read(bench_target *t, const char *url, vg_err *err);
/* Finds the address that answers, the model and the fields that the server takes, by asking it. */
VG_NODISCARD vg_status bench_target_ask(bench_target *t, const bench_load *l, double timeout_s,
                                        interrupt *it, vg_err *err);
/* A connection that has had one answer, and stays open. */
VG_NODISCARD vg_status bench_target_hold(bench_target *t, double timeout_s, interrupt *it, int *fd,
                                         vg_err *err);
void bench_target_request(const bench_target *t, const char *method, const char *path, vg_str body,
                          vg_buf *out);
/* The JSON of a request. */
void bench_target_body(const bench_target *t, const bench_load *l, vg_str prompt, uint32_t max_tok,
                       vg_buf *out);
const char *bench_target_path(const bench_target *t);

/* ---- results -------------------------------------------------------------------------------- */

#define BENCH_FAULT_LIST(X)                                                                        \
    X(BENCH_FAULT_CONNECT, "connect")     /* no connection */                                      \
    X(BENCH_FAULT_BUSY, "http_429")       /* too many requests */                                  \
    X(BENCH_FAULT_4XX, "http_4xx")                                                                 \
    X(BENCH_FAULT_5XX, "http_5xx")                                                                 \
    X(BENCH_FAULT_FORMAT, "format")       /* no HTTP, no events, no JSON */                        \
    X(BENCH_FAULT_EVENT, "error_event")   /* an error in the stream */                             \
    X(BENCH_FAULT_CUT, "cut")             /* the stream ended before its end */                    \
    X(BENCH_FAULT_TIMEOUT, "timeout")     /* nothing came for so long */                           \
    X(BENCH_FAULT_DROPPED, "dropped")     /* not sent: too many in flight */
#define BENCH_FAULT_ENUM(name, word) name,
typedef enum bench_fault { BENCH_FAULT_LIST(BENCH_FAULT_ENUM) BENCH_N_FAULTS } bench_fault;
#undef BENCH_FAULT_ENUM
extern const char *const bench_fault_word[BENCH_N_FAULTS];

typedef struct bench_level {
    double rate;      /* requests a second of an open loop; 0: a closed one */
    uint32_t streams; /* of a closed loop; else the most that were in flight */
    uint64_t n_started, n_done, n_cancelled, n_faults[BENCH_N_FAULTS];
    char fault[BENCH_N_FAULTS][BENCH_EVENT_ERROR]; /* the first message of each kind */
    uint64_t n_events, n_usage;          /* events with text; requests whose usage was told */
    uint64_t prompt_tok, generated_tok;  /* by the usage where told, else events */
    double seconds, client_cpu_s;
    uint64_t peak_rss_bytes, peak_pss_bytes; /* of the server; 0: not known */
    bench_hist first, gap, whole;        /* to the first token, between tokens, to the end */
} bench_level;

uint64_t bench_level_faults(const bench_level *l);

/* A result that is drawn: of this run, or read from a file. */
typedef struct bench_point {
    double streams, rate, per_s, first_ms[3], gap_ms[3], whole_ms[3]; /* p50, p95, p99 */
} bench_point;
typedef struct bench_curve {
    char name[128];
    bench_point point[BENCH_LEVELS_MAX];
    size_t n;
} bench_curve;

typedef struct bench_serve bench_serve;
struct bench_serve {
    const bench_serve_opts *opts;
    interrupt *it;
    progress line;
    bool cancelled;
    bench_target target;
    bench_load load;
    uint32_t streams[BENCH_LEVELS_MAX];
    double rate[BENCH_LEVELS_MAX];
    bench_level *level; /* [n_levels], of which n_run were measured */
    size_t n_levels, n_run;
    uint32_t n_idle_open; /* connections that were held open beside the levels */
    uint32_t n_idle_kept; /* of these, by the server until the end */
    uint64_t idle_bytes;  /* of the server's memory that they took; 0: not known */
};

/* Measures the levels one after the other; those that were measured stay when it is cancelled. */
VG_NODISCARD vg_status bench_serve_run(bench_serve *b, vg_err *err);

/* Resident and proportional memory of a process; 0: not known. */
void bench_process_memory(int64_t pid, uint64_t *rss_bytes, uint64_t *pss_bytes);

void bench_serve_print(const bench_serve *b);
VG_NODISCARD vg_status bench_serve_json(const bench_serve *b, vg_err *err);
void bench_serve_curve(const bench_serve *b, bench_curve *out);
/* Reads what bench_serve_json printed. Errors: those of reading, FORMAT. */
VG_NODISCARD vg_status bench_curve_read(const char *path, bench_curve *out, vg_err *err);
VG_NODISCARD vg_status bench_serve_plot(const bench_curve *c, size_t n, const char *path,
                                        vg_err *err);
#endif

/* against.c: Verge and a peer's llama-bench on the same file, taking turns.
 *
 *     against [OPTION]... VERGE PEER MODEL [WORK]...
 *
 * VERGE is this project's program, PEER the llama-bench of llama.cpp or ik_llama.cpp. Each work
 * runs as often as --runs says, one program after the other, so that what else the machine does
 * meets both; every run is a process of its own, tied to the same processors. Printed are medians,
 * ranges and the ratio of the medians. Work:
 *     ppN            prefill of N tokens                                      tokens/s
 *     tgN[@dD][@bB]  decode N tokens at depth D, by B sessions at once        tokens/s
 *                    (B > 1: by the peer's llama-batched-bench, --batched)
 *     load           the whole process: load, compute one token, end          ms
 *     memN           the peak memory of a process that prefills N tokens      MB
 * What a peer cannot do is told and left out. Nothing here knows how anything should turn out. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/os.h"

enum { ARGS_MAX = 64, RUNS_MAX = 100, OUTPUT_MAX = 1 << 22, WORDS_MAX = 4096 };

typedef struct options {
    const char *verge, *peer, *model, *batched, *kv, *verge_args, *peer_args;
    unsigned threads, runs;
    bool json;
    cpu_set_t cpus;
} options;

typedef enum work_kind { PREFILL, DECODE, LOAD, MEMORY } work_kind;

typedef struct work {
    const char *name;
    work_kind kind;
    unsigned tokens, depth, batch;
} work;

typedef struct result { /* of a process */
    char *out; /* [OUTPUT_MAX] its stdout */
    double ms, peak_mb;
    int status;
} result;

/* ---- processes ------------------------------------------------------------------------------- */

typedef struct command {
    bool reads_errors; /* what it prints to stderr is output too */
    char *arg[ARGS_MAX + 1];
    size_t n;
    char number[16][16];
    size_t n_numbers;
    char words[WORDS_MAX];
} command;

static void add(command *c, const char *arg)
{
    if (c->n == ARGS_MAX) exit((fputs("against: too many arguments\n", stderr), 2));
    c->arg[c->n++] = (char *)(uintptr_t)arg;
    c->arg[c->n] = NULL;
}

static void add_option(command *c, const char *name, unsigned value)
{
    char *text = c->number[c->n_numbers++ % VG_COUNT(c->number)];
    snprintf(text, sizeof c->number[0], "%u", value);
    add(c, name);
    add(c, text);
}

/* Words between blanks, no quoting. */
static void add_words(command *c, const char *words)
{
    char *save = NULL;
    snprintf(c->words, sizeof c->words, "%s", words);
    for (char *w = strtok_r(c->words, " ", &save); w; w = strtok_r(NULL, " ", &save)) add(c, w);
}

static void become(const command *c, int out, const cpu_set_t *cpus)
{
    int null = open("/dev/null", O_RDWR);
    if (sched_setaffinity(0, sizeof *cpus, cpus)) perror("against: sched_setaffinity");
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(c->reads_errors ? out : null, STDERR_FILENO);
    execvp(c->arg[0], c->arg);
    _exit(127);
}

static void run(const command *c, const options *o, result *r)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) exit((perror("against: pipe"), 1));
    uint64_t begin = vg_os_now_ns();
    pid_t pid = fork();
    if (pid < 0) exit((perror("against: fork"), 1));
    if (pid == 0) become(c, ends[1], &o->cpus);
    close(ends[1]);
    size_t n = 0;
    char rest[4096];
    for (ssize_t got = 1; got != 0;) {
        bool room = n < OUTPUT_MAX - 1;
        got = room ? read(ends[0], r->out + n, OUTPUT_MAX - 1 - n) : read(ends[0], rest, 4096);
        if (got < 0 && errno != EINTR) break;
        if (got > 0 && room) n += (size_t)got;
    }
    r->out[n] = '\0';
    close(ends[0]);
    struct rusage usage;
    while (wait4(pid, &r->status, 0, &usage) < 0 && errno == EINTR) continue;
    r->ms = (double)(vg_os_now_ns() - begin) * 1e-6;
    r->peak_mb = (double)usage.ru_maxrss * 1024e-6;
}

/* What the program says of itself when asked for help. */
static bool knows(const char *program, const char *option, const options *o, char *scratch)
{
    command c = {0};
    result r = {.out = scratch};
    add(&c, program);
    add(&c, "--help");
    run(&c, o, &r);
    return strstr(r.out, option) != NULL;
}

/* ---- reading what they print ----------------------------------------------------------------- */

/* Calls reader() with the JSON that begins at the first [ or {; false where there is none. */
static bool with_json(const char *text, double (*reader)(const vg_json *doc, char *note),
                      double *value, char *note)
{
    vg_arena *a = NULL;
    vg_json *doc;
    const char *begin = strpbrk(text, "[{");
    if (!begin || vg_arena_new(&a, 64 << 20, NULL)) return false;
    bool ok = vg_json_parse(a, begin, strlen(begin), &doc, NULL) == VG_OK;
    if (ok) *value = reader(doc, note);
    vg_arena_free(a);
    return ok && *value > 0;
}

enum { NOTE_PART = 100, NOTE_MAX = 2 * NOTE_PART };

static double number_of(const vg_json *object, const char *key)
{
    const vg_json *v = object ? vg_json_get(object, key) : NULL;
    return v && (v->kind == VG_JSON_FLOAT || v->kind == VG_JSON_INT) ? v->number : -1;
}

static vg_str text_of(const vg_json *object, const char *key)
{
    const vg_json *v = object ? vg_json_get(object, key) : NULL;
    return v && v->kind == VG_JSON_STRING ? v->str : VG_STR("?");
}

/* A note goes into JSON as it is. */
static void note_text(char note[NOTE_PART], const char *what, vg_str text)
{
    int n = snprintf(note, NOTE_PART, "%s%.*s", what, (int)VG_MIN(text.n, (size_t)60), text.p);
    for (int i = 0; i < n; i++)
        if (note[i] < 0x20 || note[i] > 0x7e || note[i] == '"' || note[i] == '\\') note[i] = '?';
}

static double read_verge(const vg_json *doc, char *note)
{
    const vg_json *rows = vg_json_get(doc, "results");
    note_text(note, "verge ", text_of(doc, "version"));
    note_text(note + strlen(note), ", ", text_of(doc, "isa"));
    return rows && rows->n ? number_of(rows->item[rows->n - 1], "tokens_per_s") : -1;
}

static double read_peer(const vg_json *doc, char *note)
{
    const vg_json *last = doc->kind == VG_JSON_ARRAY && doc->n ? doc->item[doc->n - 1] : NULL;
    note_text(note, "commit ", text_of(last, "build_commit"));
    return number_of(last, "avg_ts");
}

/* llama-batched-bench prints a table, PP, TG, B, N_KV, T_PP s, S_PP t/s, T_TG s, S_TG t/s and more,
 * between bars. The speed of decoding in its last row. */
static bool read_table(const char *text, double *value)
{
    enum { CELL = 8 };
    bool found = false;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *p = line;
        size_t n = strcspn(line, "\n");
        int cell = 0;
        for (; *p && p < line + n && cell < CELL; p++) cell += *p == '|';
        double v = cell == CELL ? strtod(p, NULL) : 0;
        if (v > 0) *value = v, found = true;
        line += n;
    }
    return found;
}

/* ---- the work -------------------------------------------------------------------------------- */

typedef struct side { /* one of the two programs */
    const char *name;
    double value[RUNS_MAX];
    size_t n;
    char note[NOTE_MAX];
    char why[200]; /* why it could not do the work */
} side;

static void command_verge(command *c, const work *w, const options *o)
{
    *c = (command){0};
    add(c, o->verge);
    add(c, w->kind == LOAD ? "run" : "bench");
    add(c, o->model);
    if (w->kind == LOAD) {
        add(c, "--raw"), add(c, "--greedy"), add(c, "--quiet");
        add_option(c, "-n", 1);
        add_option(c, "-c", 512);
    } else {
        add(c, "--json"), add(c, "--no-limits");
        add_option(c, "-r", 1);
        bool prompt = w->kind != DECODE;
        add_option(c, "-p", prompt ? w->tokens : 0);
        add_option(c, "-n", prompt ? 0 : w->tokens);
        add_option(c, "-d", w->depth);
        add_option(c, "-b", w->batch);
    }
    add_option(c, "-t", o->threads);
    add(c, "--kv"), add(c, o->kv);
    add_words(c, o->verge_args);
    if (w->kind == LOAD) add(c, "a");
}

/* False with a reason where the peer cannot do it. */
static bool command_peer(command *c, const work *w, const options *o, char *scratch, char *why)
{
    *c = (command){0};
    bool batched = w->batch > 1;
    add(c, batched ? o->batched : o->peer);
    if (batched && !o->batched) return snprintf(why, 200, "needs --batched PROGRAM"), false;
    add(c, "-m"), add(c, o->model);
    add_option(c, "-t", o->threads);
    if (batched) {
        c->reads_errors = true; /* ik_llama.cpp puts its table there */
        add_option(c, "-npp", VG_MAX(w->depth, 1u));
        add_option(c, "-ntg", w->tokens);
        add_option(c, "-npl", w->batch);
        add_option(c, "-c", (VG_MAX(w->depth, 1u) + w->tokens) * w->batch + 256);
    } else {
        add(c, "-o"), add(c, "json");
        add_option(c, "-r", 1);
        bool prompt = w->kind != DECODE, depth = w->depth > 0;
        bool has_depth = depth && knows(o->peer, "--n-depth", o, scratch);
        add_option(c, "-p", w->kind == LOAD ? 1 : prompt ? w->tokens : 0);
        add_option(c, "-n", prompt || (depth && !has_depth) ? 0 : w->tokens);
        if (depth && has_depth) add_option(c, "-d", w->depth);
        if (depth && !has_depth) {
            if (!knows(o->peer, "-gp <pp,tg>", o, scratch))
                return snprintf(why, 200, "has neither -d nor -gp"), false;
            char *pair = c->number[c->n_numbers++ % VG_COUNT(c->number)];
            snprintf(pair, sizeof c->number[0], "%u,%u", w->depth, w->tokens);
            add(c, "-gp"), add(c, pair);
        }
        if (w->kind == LOAD || w->kind == MEMORY) {
            bool flag = knows(o->peer, "--no-warmup", o, scratch);
            add(c, flag ? "--no-warmup" : "-w");
            if (!flag) add(c, "0");
        }
    }
    add_words(c, o->peer_args);
    return true;
}

/* One run of one program: its value, or a reason why there is none. */
static bool measure(const work *w, const options *o, side *s, bool is_peer, char *scratch)
{
    command c;
    result r = {.out = scratch};
    if (!is_peer) command_verge(&c, w, o);
    else if (!command_peer(&c, w, o, scratch, s->why)) return false;
    run(&c, o, &r);
    if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 0) {
        bool missing = WIFEXITED(r.status) && WEXITSTATUS(r.status) == 127;
        snprintf(s->why, sizeof s->why, missing ? "%.150s cannot be started" : "%.150s failed",
                 c.arg[0]);
        return false;
    }
    double value = 0;
    bool told = is_peer && w->batch > 1
                    ? read_table(r.out, &value)
                    : with_json(r.out, is_peer ? read_peer : read_verge, &value, s->note);
    if (w->kind == LOAD) value = r.ms;
    else if (w->kind == MEMORY) value = r.peak_mb;
    else if (!told) return snprintf(s->why, sizeof s->why, "printed no result"), false;
    s->value[s->n++] = value;
    return true;
}

/* ---- printing -------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const side *s)
{
    return s->n % 2 ? s->value[s->n / 2] : (s->value[s->n / 2 - 1] + s->value[s->n / 2]) / 2;
}

static const char *unit(const work *w)
{
    return w->kind == LOAD ? "ms" : w->kind == MEMORY ? "MB" : "tok/s";
}

static void print_side(const side *s)
{
    char text[64] = "-";
    if (s->n)
        snprintf(text, sizeof text, "%.1f (%.1f to %.1f)", median(s), s->value[0],
                 s->value[s->n - 1]);
    printf("  %-27s", text);
}

static void print_json_side(const char *name, const side *s)
{
    printf("\"%s\": ", name);
    if (!s->n) {
        printf("null");
        return;
    }
    printf("{\"median\": %.3f, \"min\": %.3f, \"max\": %.3f, \"runs\": %zu}", median(s),
           s->value[0], s->value[s->n - 1], s->n);
}

static void print_row(const work *w, const options *o, const side *verge, const side *peer,
                      bool first)
{
    bool both = verge->n && peer->n;
    if (o->json) {
        printf("%s{\"work\": \"%s\", \"unit\": \"%s\", ", first ? "" : ",\n ", w->name, unit(w));
        print_json_side("verge", verge);
        printf(", ");
        print_json_side("peer", peer);
        if (both) printf(", \"ratio\": %.4f}", median(verge) / median(peer));
        else printf(", \"ratio\": null}");
    } else {
        printf("%-14s %-6s", w->name, unit(w));
        print_side(verge);
        print_side(peer);
        if (both) printf("  %5.2f", median(verge) / median(peer));
        printf("\n");
    }
    if (!verge->n) fprintf(stderr, "against: %s: verge: %s\n", w->name, verge->why);
    if (!peer->n) fprintf(stderr, "against: %s: peer: %s\n", w->name, peer->why);
    fflush(stdout);
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* NULL: somebody asked. Returns the exit status. */
static int usage(const char *why, const char *arg)
{
    FILE *out = why ? stderr : stdout;
    if (why) fprintf(out, "against: %s%s\n", why, arg);
    fprintf(out,
            "Usage: against [OPTION]... VERGE PEER MODEL [WORK]...\n"
            "\n"
            "Runs VERGE and PEER, a llama-bench, in turns on MODEL; prints medians, ranges and\n"
            "ratios (VERGE to PEER). WORK is ppN, tgN, tgN@dD, tgN@bB, load, memN; without it:\n"
            "pp512 tg64 load mem512.\n"
            "\n"
            "  --threads N         threads of both, tied to as many processors [2]\n"
            "  --cpus LIST         these processors, as in 0,2,4 [the first N that are allowed]\n"
            "  --runs N            runs of each work [5]\n"
            "  --kv q8|f16|f32     Verge's cache [q8]; the peer's: --peer-args '-ctk q8_0 ...'\n"
            "  --peer-args WORDS   more arguments for the peer, split at blanks\n"
            "  --verge-args WORDS  the same for Verge\n"
            "  --batched PROGRAM   the peer's llama-batched-bench, for tgN@bB\n"
            "  --json              print JSON\n");
    return why ? 2 : 0;
}

static bool parse_work(const char *text, work *w)
{
    char *end = (char *)(uintptr_t)text;
    *w = (work){.name = text, .batch = 1};
    if (strcmp(text, "load") == 0) return w->kind = LOAD, true;
    if (strncmp(text, "pp", 2) == 0) w->kind = PREFILL, end += 2;
    else if (strncmp(text, "tg", 2) == 0) w->kind = DECODE, end += 2;
    else if (strncmp(text, "mem", 3) == 0) w->kind = MEMORY, end += 3;
    else return false;
    w->tokens = (unsigned)strtoul(end, &end, 10);
    while (w->kind == DECODE && end[0] == '@' && (end[1] == 'd' || end[1] == 'b')) {
        unsigned *field = end[1] == 'd' ? &w->depth : &w->batch;
        *field = (unsigned)strtoul(end + 2, &end, 10);
    }
    return *end == '\0' && w->tokens > 0 && w->batch > 0;
}

static bool choose_cpus(options *o, const char *list)
{
    cpu_set_t allowed;
    CPU_ZERO(&o->cpus);
    if (list) {
        for (char *p = (char *)(uintptr_t)list; *p; p += *p == ',') {
            char *end;
            unsigned long cpu = strtoul(p, &end, 10);
            if (end == p || cpu >= CPU_SETSIZE) return false;
            CPU_SET(cpu, &o->cpus);
            p = end;
        }
        return CPU_COUNT(&o->cpus) > 0;
    }
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return false;
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&o->cpus) < (int)o->threads; i++)
        if (CPU_ISSET(i, &allowed)) CPU_SET(i, &o->cpus);
    return true;
}

typedef struct arguments {
    const char *positional[ARGS_MAX];
    size_t n;
    const char *threads, *cpus, *runs;
} arguments;

/* NULL, or the argument that is wrong. */
static const char *read_arguments(options *o, arguments *a, int argc, char **argv)
{
    const struct {
        const char *name, **value;
    } list[] = {{"--threads", &a->threads}, {"--cpus", &a->cpus}, {"--runs", &a->runs},
                {"--kv", &o->kv}, {"--peer-args", &o->peer_args},
                {"--verge-args", &o->verge_args}, {"--batched", &o->batched}};
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
            continue;
        }
        while (k < VG_COUNT(list) && strcmp(argv[i], list[k].name) != 0) k++;
        if (k < VG_COUNT(list) && i + 1 < argc) *list[k].value = argv[++i];
        else if (argv[i][0] == '-' || a->n == ARGS_MAX) return argv[i];
        else a->positional[a->n++] = argv[i];
    }
    return NULL;
}

static void compare(const work *w, const options *o, char *scratch, side *verge, side *peer)
{
    bool verge_can = true, peer_can = true;
    for (unsigned i = 0; i < o->runs; i++) {
        if (verge_can) verge_can = measure(w, o, verge, false, scratch);
        if (peer_can) peer_can = measure(w, o, peer, true, scratch);
    }
    qsort(verge->value, verge->n, sizeof verge->value[0], by_size);
    qsort(peer->value, peer->n, sizeof peer->value[0], by_size);
}

/* Returns the exit status: 1 where a work has no ratio. */
static int compare_all(const options *o, const char *const *names, size_t n, char *scratch)
{
    char notes[2][NOTE_MAX] = {"?", "?"};
    int status = 0;
    if (o->json) printf("{\"results\": [\n ");
    else printf("%-14s %-6s  %-27s  %-27s  ratio\n", "work", "unit", "verge (range)",
                "peer (range)");
    for (size_t i = 0; i < n; i++) {
        work w;
        side verge = {0}, peer = {0};
        parse_work(names[i], &w);
        compare(&w, o, scratch, &verge, &peer);
        print_row(&w, o, &verge, &peer, i == 0);
        if (!verge.n || !peer.n) status = 1;
        if (*verge.note) memcpy(notes[0], verge.note, NOTE_MAX);
        if (*peer.note) memcpy(notes[1], peer.note, NOTE_MAX);
    }
    if (o->json)
        printf("],\n \"verge\": \"%s\", \"peer\": \"%s\", \"threads\": %u, \"runs\": %u}\n",
               notes[0], notes[1], o->threads, o->runs);
    else
        printf("\n%s, %s cache%s%s; peer: %s%s%s; %u threads on %d processors, "
               "medians of %u runs\n",
               notes[0], o->kv, *o->verge_args ? ", " : "", o->verge_args, notes[1],
               *o->peer_args ? ", " : "", o->peer_args, o->threads, CPU_COUNT(&o->cpus), o->runs);
    return fflush(stdout) ? 1 : status;
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"pp512", "tg64", "load", "mem512"};
    options o = {.kv = "q8", .peer_args = "", .verge_args = ""};
    arguments a = {.threads = "2", .runs = "5"};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(NULL, "");
    const char *wrong = read_arguments(&o, &a, argc, argv);
    if (wrong) return usage("unknown option or too many arguments: ", wrong);
    if (a.n < 3) return usage("VERGE, PEER or MODEL is missing", "");
    o.verge = a.positional[0], o.peer = a.positional[1], o.model = a.positional[2];
    o.threads = (unsigned)strtoul(a.threads, NULL, 10);
    o.runs = (unsigned)strtoul(a.runs, NULL, 10);
    if (o.threads < 1 || o.threads > 256) return usage("--threads: ", a.threads);
    if (o.runs < 1 || o.runs > RUNS_MAX) return usage("--runs: ", a.runs);
    if (!choose_cpus(&o, a.cpus)) return usage("--cpus: ", a.cpus ? a.cpus : "none");
    if (strlen(o.peer_args) >= WORDS_MAX || strlen(o.verge_args) >= WORDS_MAX)
        return usage("too many words", "");
    const char *const *names = a.n > 3 ? &a.positional[3] : usual;
    size_t n = a.n > 3 ? a.n - 3 : VG_COUNT(usual);
    work w;
    for (size_t i = 0; i < n; i++)
        if (!parse_work(names[i], &w)) return usage("no work: ", names[i]);
    char *scratch = vg_mem_new(OUTPUT_MAX);
    if (!scratch) return 1;
    int status = compare_all(&o, names, n, scratch);
    vg_mem_free(scratch);
    return status;
}

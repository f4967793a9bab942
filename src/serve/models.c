/* The models of a server. An entry is a name with a file; an instance is a model that was loaded,
 * with its engine thread, counted by those who use it. An entry points to its newest instance; an
 * older one lives until its last use ends. One model is loaded at a time, on a thread, in the order
 * of asking; where there is no room, loading waits for a use to end. */
#include "serve/models.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"

enum { MAX_MODELS = 1024, MAX_NAME = 200, MAX_PATH = 4096 };

const char *const vg_model_state_names[] = {"absent", "loading", "ready", "broken"};

typedef struct file_id {
    uint64_t device, inode, bytes;
    int64_t modified_ns;
} file_id;

typedef struct instance {
    vg_model *model;
    vg_sched *sched;
    vg_grammars grammars;
    uint64_t bytes;
    file_id file;
    uint32_t n_uses;
    uint64_t used_ns;     /* the last time */
    int64_t keep_alive_s; /* below 0: stays */
    struct instance *next; /* all of them */
} instance;

typedef struct entry {
    char name[MAX_NAME + 1];
    char path[MAX_PATH];  /* empty: in memory */
    const void *data;
    size_t n_data;
    bool of_store, gone;
    file_id file;         /* as last seen */
    instance *now;
    vg_err why;           /* the last load failed; code VG_OK: it did not */
    file_id broken;       /* the file that failed */
    uint64_t need_bytes;  /* of the last attempt, 0: unknown */
    bool wanted;          /* a use waits for it, or a newer file is there */
    bool loading;
} entry;

struct vg_use {
    vg_models *ms;
    entry *entry;
    instance *instance; /* NULL: it waits */
    vg_use_ready *ready;
    void *user;
    uint64_t begin_ns;
    double load_ms;
    vg_use *next; /* among those that wait */
};

/* What the loading thread works on; nobody else looks at it until it is posted. */
typedef struct load {
    vg_models *ms;
    entry *entry;
    pthread_t thread;
    vg_model_opts model_opts;
    vg_sched_opts sched;
    char path[MAX_PATH];
    const void *data;
    size_t n_data;
    uint64_t room_bytes, need_bytes; /* need: known once it was opened */
    file_id file;
    instance *made;
    vg_err err;
    atomic_uint permille;
    atomic_bool cancelled;
} load;

struct vg_models {
    vg_models_opts opts;
    char store[MAX_PATH];
    entry *entry[MAX_MODELS];
    size_t n;
    instance *instances;
    vg_use *waiting; /* the first one first */
    load *loading;
    vg_models_stats stats;
};

static void start_loading(vg_models *ms);

static void say(const vg_models *ms, const char *what, const entry *e, const char *why)
{
    char line[1024];
    if (!ms->opts.log) return;
    snprintf(line, sizeof line, "model %s: %s%s%s", e->name, what, why[0] ? ": " : "", why);
    ms->opts.log(ms->opts.log_user, line);
}

/* ---- files ---------------------------------------------------------------------------------- */

static bool same_file(const file_id *a, const file_id *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns;
}

static bool look(const char *path, file_id *out)
{
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) return false;
    *out = (file_id){(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
                     (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return true;
}

static bool is_name(vg_str s)
{
    if (s.n == 0 || s.n > MAX_NAME || s.p[0] == '.' || s.p[0] == '/') return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("._:/@+-", c)) return false;
        if (c == '\0') return false;
    }
    return true;
}

/* ---- entries -------------------------------------------------------------------------------- */

static entry *find(const vg_models *ms, vg_str name)
{
    for (size_t i = 0; i < ms->n; i++)
        if (name.n == 0 || vg_str_is(name, ms->entry[i]->name)) return ms->entry[i];
    return NULL;
}

static vg_status not_found(const vg_models *ms, vg_str name, vg_err *err)
{
    if (ms->n == 0) return VG_FAIL(err, VG_E_NOT_FOUND, "this server has no models");
    return VG_FAIL(err, VG_E_NOT_FOUND, "there is no model '%.*s'; there is '%s'%s",
                   VG_STR_ARG(name), ms->entry[0]->name, ms->n > 1 ? " and others" : "");
}

static vg_status add(vg_models *ms, vg_str name, entry **out, vg_err *err)
{
    if (!is_name(name))
        return VG_FAIL(err, VG_E_USAGE, "'%.*s' is no name for a model: letters, digits and "
                       "._:/@+- only, at most %d", VG_STR_ARG(name), MAX_NAME);
    if (find(ms, name))
        return VG_FAIL(err, VG_E_USAGE, "there are two models '%.*s'", VG_STR_ARG(name));
    if (ms->n == MAX_MODELS)
        return VG_FAIL(err, VG_E_LIMIT, "more than %d models", MAX_MODELS);
    entry *e = vg_mem_new(sizeof *e);
    if (!e) return VG_FAIL_MEMORY(err, sizeof *e);
    memcpy(e->name, name.p, name.n);
    ms->entry[ms->n++] = e;
    *out = e;
    return VG_OK;
}

vg_status vg_models_add_file(vg_models *ms, vg_str name, const char *path, vg_err *err)
{
    file_id id;
    entry *e = NULL;
    if (strlen(path) >= MAX_PATH)
        return VG_FAIL(err, VG_E_USAGE, "a path of more than %d characters", MAX_PATH - 1);
    if (!look(path, &id))
        return VG_FAIL(err, VG_E_NOT_FOUND, "%s: %s", path,
                       access(path, F_OK) ? strerror(errno) : "not a file");
    VG_TRY(add(ms, name, &e, err));
    snprintf(e->path, sizeof e->path, "%s", path);
    e->file = id;
    return VG_OK;
}

vg_status vg_models_add_memory(vg_models *ms, vg_str name, const void *data, size_t n, vg_err *err)
{
    entry *e = NULL;
    VG_TRY(add(ms, name, &e, err));
    e->data = data;
    e->n_data = n;
    e->file.bytes = n;
    return VG_OK;
}

/* "NAME.gguf", without hidden files and later parts of a set. */
static bool is_model_file(const char *file, vg_str *name)
{
    vg_str s = vg_str_from(file), end = VG_STR(".gguf");
    if (s.n <= end.n || memcmp(s.p + s.n - end.n, end.p, end.n) != 0) return false;
    *name = (vg_str){s.p, s.n - end.n};
    unsigned part, of;
    const char *dash = s.n > 20 ? s.p + s.n - end.n - 15 : NULL; /* -00002-of-00003 */
    if (dash && sscanf(dash, "-%5u-of-%5u.gguf", &part, &of) == 2 && part > 1) return false;
    return is_name(*name);
}

static vg_status scan_file(vg_models *ms, const char *file, vg_err *err)
{
    vg_str name;
    char path[MAX_PATH];
    file_id id;
    entry *e = NULL;
    if (!is_model_file(file, &name)) return VG_OK;
    int n = snprintf(path, sizeof path, "%s/%s", ms->store, file);
    if (n < 0 || (size_t)n >= sizeof path || !look(path, &id)) return VG_OK;
    e = find(ms, name);
    if (!e) {
        VG_TRY(add(ms, name, &e, err));
        e->of_store = true;
        snprintf(e->path, sizeof e->path, "%s", path);
    }
    if (!e->of_store) return VG_OK; /* one that was named on its own */
    e->file = id;
    e->gone = false;
    return VG_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_used(const vg_models *ms, const entry *e)
{
    for (const vg_use *u = ms->waiting; u; u = u->next)
        if (u->entry == e) return true;
    return e->loading || (e->now && e->now->n_uses > 0);
}

static void forget(vg_models *ms, size_t i);

vg_status vg_models_scan(vg_models *ms, vg_err *err)
{
    if (!ms->opts.store) return VG_OK;
    struct dirent **list = NULL;
    int n = scandir(ms->store, &list, NULL, by_name);
    if (n < 0)
        return VG_FAIL(err, VG_E_IO, "the store %s cannot be read: %s", ms->store, strerror(errno));
    for (size_t i = 0; i < ms->n; i++) ms->entry[i]->gone = ms->entry[i]->of_store;
    vg_status st = VG_OK;
    for (int i = 0; i < n && !st; i++) st = scan_file(ms, list[i]->d_name, err);
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
    for (size_t i = ms->n; i-- > 0;)
        if (!st && ms->entry[i]->gone && !is_used(ms, ms->entry[i])) forget(ms, i);
    return st;
}

vg_status vg_models_delete(vg_models *ms, vg_str name, vg_err *err)
{
    entry *e = name.n ? find(ms, name) : NULL;
    if (!e) return not_found(ms, name, err);
    if (!e->of_store)
        return VG_FAIL(err, VG_E_USAGE, "model %s is not of the store: it is not deleted", e->name);
    if (unlink(e->path))
        return VG_FAIL(err, VG_E_IO, "%s: %s", e->path, strerror(errno));
    return vg_models_scan(ms, err);
}

/* ---- instances ------------------------------------------------------------------------------ */

static void free_instance(vg_models *ms, instance *in)
{
    for (instance **at = &ms->instances; *at; at = &(*at)->next)
        if (*at == in) {
            *at = in->next;
            break;
        }
    for (size_t i = 0; i < ms->n; i++)
        if (ms->entry[i]->now == in) ms->entry[i]->now = NULL;
    ms->stats.used_bytes -= in->bytes;
    vg_sched_free(in->sched);
    vg_grammars_clear(&in->grammars);
    vg_model_unref(in->model);
    vg_mem_free(in);
}

static bool is_current(const vg_models *ms, const instance *in)
{
    for (size_t i = 0; i < ms->n; i++)
        if (ms->entry[i]->now == in) return true;
    return false;
}

static void forget(vg_models *ms, size_t i)
{
    entry *e = ms->entry[i];
    if (e->now) free_instance(ms, e->now);
    memmove(&ms->entry[i], &ms->entry[i + 1], (ms->n - i - 1) * sizeof *ms->entry);
    ms->n--;
    vg_mem_free(e);
}

/* Lets unused models go until `bytes` more fit the budget; false: not now. */
static bool make_room(vg_models *ms, uint64_t bytes)
{
    while (ms->stats.used_bytes + bytes > ms->opts.budget_bytes) {
        instance *oldest = NULL;
        for (instance *in = ms->instances; in; in = in->next)
            if (in->n_uses == 0 && (!oldest || in->used_ns < oldest->used_ns)) oldest = in;
        if (!oldest) return false;
        ms->stats.n_evicted++;
        free_instance(ms, oldest);
    }
    return true;
}

/* ---- loading -------------------------------------------------------------------------------- */

static int on_progress(void *user, uint64_t done, uint64_t total)
{
    load *l = user;
    atomic_store(&l->permille, total ? (unsigned)(done * 1000 / total) : 0);
    return atomic_load(&l->cancelled);
}

static vg_status open_and_plan(load *l, vg_plan *plan, vg_err *err)
{
    if (l->data)
        VG_TRY(vg_model_open_memory(&l->made->model, l->data, l->n_data, &l->model_opts, err));
    else VG_TRY(vg_model_open(&l->made->model, l->path, &l->model_opts, err));
    VG_TRY(vg_plan_make(l->made->model, &l->sched.engine, plan, err));
    if (plan->total_bytes > l->room_bytes)
        return VG_FAIL(err, VG_E_LIMIT,
                       "it needs %llu bytes, and the server's models may take %llu together",
                       (unsigned long long)plan->total_bytes,
                       (unsigned long long)l->room_bytes);
    return vg_sched_new(&l->made->sched, l->made->model, &l->sched, err);
}

static void loaded(void *arg);

static void *load_thread(void *arg)
{
    load *l = arg;
    vg_plan plan = {0};
    l->err.code = VG_OK;
    l->err.code = open_and_plan(l, &plan, &l->err);
    l->made->bytes = plan.total_bytes;
    l->need_bytes = plan.total_bytes;
    /* Without memory, or with a full queue, it is tried again until the server ends. */
    while (!atomic_load(&l->cancelled) && !l->ms->opts.post(l->ms->opts.post_user, loaded, l))
        usleep(20000);
    return NULL;
}

static void tell(vg_use *u, const vg_err *err)
{
    u->load_ms = (double)(vg_os_now_ns() - u->begin_ns) * 1e-6;
    if (u->ready) u->ready(u->user, u, err);
}

/* Gives every use that waits for e what came of it. A callback may free any use. */
static void settle(vg_models *ms, entry *e, const vg_err *err)
{
    for (;;) {
        vg_use **at = &ms->waiting;
        while (*at && (*at)->entry != e) at = &(*at)->next;
        vg_use *u = *at;
        if (!u) break;
        *at = u->next;
        if (!err->code) {
            u->instance = e->now;
            e->now->n_uses++;
        }
        tell(u, err);
    }
}

static void free_unloaded(instance *in)
{
    vg_sched_free(in->sched);
    vg_model_unref(in->model);
    vg_mem_free(in);
}

/* On the net thread: the loading thread is done. */
static void loaded(void *arg)
{
    load *l = arg;
    vg_models *ms = l->ms;
    entry *e = l->entry;
    instance *in = l->made, *old = e->now;
    pthread_join(l->thread, NULL);
    ms->loading = NULL;
    e->loading = e->wanted = false;
    e->why = l->err;
    bool grew = l->need_bytes > e->need_bytes;
    e->need_bytes = l->need_bytes;
    if (l->err.code) {
        free_unloaded(in);
        if (grew && l->need_bytes > l->room_bytes && l->need_bytes <= ms->opts.budget_bytes) {
            e->wanted = true; /* now that its size is known, others may have to go for it */
            vg_mem_free(l);
            start_loading(ms);
            return;
        }
        ms->stats.n_failed++;
        e->broken = l->file;
        say(ms, "cannot be loaded", e, l->err.msg);
    } else {
        ms->stats.n_loads++;
        ms->stats.used_bytes += in->bytes;
        in->file = l->file;
        in->used_ns = vg_os_now_ns();
        in->keep_alive_s = ms->opts.keep_alive_s > 0 ? ms->opts.keep_alive_s : -1;
        in->next = ms->instances;
        ms->instances = in;
        e->now = in;
        say(ms, old ? "replaced by its new file" : "loaded", e, "");
        if (old && old->n_uses == 0) free_instance(ms, old);
        make_room(ms, 0);
    }
    settle(ms, e, &l->err);
    vg_mem_free(l);
    start_loading(ms);
}

static vg_status begin_load(vg_models *ms, entry *e, vg_err *err)
{
    load *l = vg_mem_new(sizeof *l);
    instance *in = vg_mem_new(sizeof *in);
    if (!l || !in) {
        vg_mem_free(l);
        vg_mem_free(in);
        return VG_FAIL_MEMORY(err, sizeof *l);
    }
    *l = (load){.ms = ms, .entry = e, .sched = ms->opts.sched, .data = e->data,
                .n_data = e->n_data, .file = e->file, .made = in};
    l->room_bytes = ms->opts.budget_bytes - VG_MIN(ms->stats.used_bytes, ms->opts.budget_bytes);
    l->model_opts = (vg_model_opts){.keep_image = ms->opts.keep_image,
                                    .no_repack = ms->opts.no_repack, .progress = on_progress,
                                    .user = l};
    memcpy(l->path, e->path, sizeof l->path);
    e->loading = true;
    ms->loading = l;
    int bad = pthread_create(&l->thread, NULL, load_thread, l);
    if (!bad) return VG_OK;
    ms->loading = NULL;
    e->loading = false;
    vg_mem_free(in);
    vg_mem_free(l);
    return VG_FAIL(err, VG_E_IO, "no thread to load the model: %s", strerror(bad));
}

/* Begins to load the first model that is wanted and fits. */
static void start_loading(vg_models *ms)
{
    for (vg_use *u = ms->waiting; u && !ms->loading; u = u->next) u->entry->wanted = true;
    for (size_t i = 0; i < ms->n && !ms->loading; i++) {
        entry *e = ms->entry[i];
        vg_err err = {0};
        if (!e->wanted) continue;
        /* Where there is no room now, a use that ends tries again. */
        if (!make_room(ms, VG_MAX(e->file.bytes, e->need_bytes))) continue;
        if (!begin_load(ms, e, &err)) return;
        e->wanted = false;
        settle(ms, e, &err);
    }
}

/* ---- uses ----------------------------------------------------------------------------------- */

/* Whether the entry's file is another one than what is loaded. */
static bool has_changed(entry *e)
{
    file_id id;
    if (e->data || !look(e->path, &id)) return false;
    e->file = id;
    if (e->why.code && same_file(&id, &e->broken)) return false; /* it failed and is as it was */
    return e->now && !same_file(&id, &e->now->file);
}

vg_status vg_models_use(vg_models *ms, vg_str name, vg_use_ready *ready, void *user, vg_use **out,
                        vg_err *err)
{
    entry *e = find(ms, name);
    if (!e && ms->opts.store) {
        VG_TRY(vg_models_scan(ms, err));
        e = find(ms, name);
    }
    if (!e) return not_found(ms, name, err);
    if (!e->data && !e->now && !look(e->path, &e->file))
        return VG_FAIL(err, VG_E_NOT_FOUND, "model %s: its file is gone", e->name);
    if (!e->now && e->file.bytes > ms->opts.budget_bytes)
        return VG_FAIL(err, VG_E_LIMIT, "model %s has %llu bytes, and the server's models may take "
                       "%llu together", e->name, (unsigned long long)e->file.bytes,
                       (unsigned long long)ms->opts.budget_bytes);
    vg_use *u = vg_mem_new(sizeof *u);
    if (!u) return VG_FAIL_MEMORY(err, sizeof *u);
    *u = (vg_use){.ms = ms, .entry = e, .ready = ready, .user = user, .begin_ns = vg_os_now_ns()};
    *out = u;
    if (has_changed(e) && !e->loading) e->wanted = true;
    if (e->now) {
        u->instance = e->now;
        e->now->n_uses++;
        start_loading(ms);
        tell(u, &(vg_err){.code = VG_OK});
        return VG_OK;
    }
    vg_use **end = &ms->waiting;
    while (*end) end = &(*end)->next;
    *end = u;
    start_loading(ms);
    return VG_OK;
}

void vg_use_free(vg_use *u)
{
    if (!u) return;
    vg_models *ms = u->ms;
    instance *in = u->instance;
    for (vg_use **at = &ms->waiting; *at; at = &(*at)->next)
        if (*at == u) {
            *at = u->next;
            break;
        }
    vg_mem_free(u);
    if (!in) return;
    in->used_ns = vg_os_now_ns();
    if (--in->n_uses > 0) return;
    if (!is_current(ms, in) || in->keep_alive_s == 0) free_instance(ms, in);
    start_loading(ms);
}

vg_model *vg_use_model(const vg_use *u)
{
    return u->instance->model;
}

vg_sched *vg_use_sched(const vg_use *u)
{
    return u->instance->sched;
}

vg_grammars *vg_use_grammars(vg_use *u)
{
    return &u->instance->grammars;
}

vg_str vg_use_name(const vg_use *u)
{
    return vg_str_from(u->entry->name);
}

double vg_use_load_ms(const vg_use *u)
{
    return u->load_ms;
}

void vg_use_keep_alive(vg_use *u, int64_t seconds)
{
    u->instance->keep_alive_s = seconds;
}

vg_status vg_models_unload(vg_models *ms, vg_str name, vg_err *err)
{
    entry *e = name.n ? find(ms, name) : NULL;
    if (!e) return not_found(ms, name, err);
    instance *in = e->now;
    e->now = NULL;
    if (in && in->n_uses == 0) free_instance(ms, in);
    return VG_OK;
}

void vg_models_tick(vg_models *ms)
{
    uint64_t now = vg_os_now_ns();
    for (instance *in = ms->instances, *next; in; in = next) {
        next = in->next;
        bool over = in->keep_alive_s >= 0 &&
                    now - in->used_ns > (uint64_t)in->keep_alive_s * 1000000000;
        if (in->n_uses == 0 && over) free_instance(ms, in);
    }
}

/* ---- what is there -------------------------------------------------------------------------- */

static void describe(vg_models *ms, entry *e, vg_model_facts *out)
{
    *out = (vg_model_facts){.name = vg_str_from(e->name), .path = e->data ? NULL : e->path,
                            .file_bytes = e->file.bytes,
                            .modified_s = e->file.modified_ns / 1000000000, .expires_s = -1};
    if (e->now) {
        const instance *in = e->now;
        out->state = VG_MODEL_READY;
        out->model = in->model;
        out->sched = in->sched;
        out->memory_bytes = in->bytes;
        out->n_uses = in->n_uses;
        out->idle_s = in->n_uses ? 0 : (double)(vg_os_now_ns() - in->used_ns) * 1e-9;
        if (in->keep_alive_s >= 0) out->expires_s = (double)in->keep_alive_s - out->idle_s;
    } else if (e->loading) {
        out->state = VG_MODEL_LOADING;
        out->loaded = atomic_load(&ms->loading->permille) * 1e-3;
    } else if (e->why.code) {
        out->state = VG_MODEL_BROKEN;
        out->why = &e->why;
    }
}

size_t vg_models_count(const vg_models *ms)
{
    return ms->n;
}

void vg_models_get(vg_models *ms, size_t i, vg_model_facts *out)
{
    describe(ms, ms->entry[i], out);
}

vg_status vg_models_find(vg_models *ms, vg_str name, vg_model_facts *out, vg_err *err)
{
    entry *e = find(ms, name);
    if (!e) return not_found(ms, name, err);
    describe(ms, e, out);
    return VG_OK;
}

void vg_models_get_stats(const vg_models *ms, vg_models_stats *out)
{
    *out = ms->stats;
    out->budget_bytes = ms->opts.budget_bytes;
}

/* ---- life ----------------------------------------------------------------------------------- */

vg_status vg_models_new(vg_models **out, const vg_models_opts *opts, vg_err *err)
{
    vg_models *ms = vg_mem_new(sizeof *ms);
    if (!ms) return VG_FAIL_MEMORY(err, sizeof *ms);
    ms->opts = *opts;
    if (ms->opts.budget_bytes == 0) {
        uint64_t have = vg_os_memory_bytes();
        ms->opts.budget_bytes = have ? have / 10 * 9 : UINT64_MAX;
    }
    vg_status st = VG_OK;
    if (opts->store && strlen(opts->store) >= MAX_PATH)
        st = VG_FAIL(err, VG_E_USAGE, "a path of more than %d characters", MAX_PATH - 1);
    else if (opts->store) snprintf(ms->store, sizeof ms->store, "%s", opts->store);
    if (!st) st = vg_models_scan(ms, err);
    if (st) vg_models_free(ms);
    else *out = ms;
    return st;
}

void vg_models_free(vg_models *ms)
{
    if (!ms) return;
    if (ms->loading) { /* its message may be posted already; nobody will run it */
        load *l = ms->loading;
        atomic_store(&l->cancelled, true);
        pthread_join(l->thread, NULL);
        free_unloaded(l->made);
        vg_mem_free(l);
    }
    while (ms->instances) free_instance(ms, ms->instances);
    while (ms->n > 0) forget(ms, ms->n - 1);
    vg_mem_free(ms);
}

/* compress.c: the plan of a compression (which tensor gets which type) and its run: tensor by
 * tensor in the order of the file, a chunk of rows at a time, the chunk before being written
 * meanwhile. The types are fixed before the first byte, so the header is the same in a run that
 * goes on where another stopped, and so is every byte after it. What the rules are stands in mix.c,
 * which types fit into a size in solve.c. */
#include "compress/compress_int.h"
#include "model/gguf_write.h"
#include "model/model.h"

enum { ARENA_CAP_BYTES = 1 << 28, SAFE_NS = 2000000000 };

typedef unsigned long long ull; /* for printf */

/* ---- plan ------------------------------------------------------------------------------------ */

static double bits_of(uint32_t type)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    return 8.0 * info->bytes / info->block;
}

void compress_set_type(vg_compress_tensor *t, vg_dtype wanted)
{
    const vg_gguf_tensor *from = t->from;
    t->wanted = wanted;
    t->to = vg_mix_fit(wanted, from->dim[0]);
    bool both = vg_dtype_get(from->type)->quantised && vg_dtype_get(t->to)->quantised;
    t->kept = both && t->to != (vg_dtype)from->type && bits_of(t->to) >= bits_of(from->type);
    if (t->kept) t->to = (vg_dtype)from->type;
    t->copied = t->to == (vg_dtype)from->type;
    uint64_t row = 0;
    bool fits = vg_dtype_row_bytes(t->to, from->dim[0], &row);
    assert(fits);
    t->n_bytes = row * compress_rows(from);
}

static const vg_compress_rule *rule_of(const vg_compress_opts *o, vg_str name)
{
    for (size_t i = 0; i < o->n_rules; i++)
        if (vg_glob(o->rule[i].pattern, name)) return &o->rule[i];
    return NULL;
}

/* A rule that meets nothing is a mistake in its pattern. */
static vg_status check_rules(const vg_compress *c, vg_err *err)
{
    for (size_t r = 0; r < c->opts.n_rules; r++) {
        bool used = false;
        for (size_t i = 0; i < c->n && !used; i++) {
            const vg_gguf_tensor *t = c->tensor[i].from;
            used = vg_mix_takes(t) && vg_glob(c->opts.rule[r].pattern, t->name);
        }
        if (!used)
            return VG_FAIL(err, VG_E_USAGE, "the pattern '%.*s' meets no matrix of this model",
                           VG_STR_ARG(c->opts.rule[r].pattern));
    }
    return VG_OK;
}

/* The order of the file, in a calibration by rank. */
static void list_tensors(vg_compress *c)
{
    const vg_model *m = c->opts.n_calib ? c->opts.model : NULL;
    uint32_t last = m ? m->hp.n_layers + 1 : 0;
    size_t n = 0;
    for (uint32_t rank = 0; rank <= last; rank++) {
        for (size_t i = 0; i < c->n; i++) {
            const vg_gguf_tensor *t = vg_gguf_tensor_at(c->g, i);
            if (!m || fold_rank(m, t->name) == rank) c->tensor[n++].from = t;
        }
    }
}

static void choose_types(vg_compress *c)
{
    vg_mix_facts facts = vg_mix_facts_of(c->g);
    for (size_t i = 0; i < c->n; i++) {
        vg_compress_tensor *t = &c->tensor[i];
        vg_dtype wanted = (vg_dtype)t->from->type;
        if (vg_mix_takes(t->from)) {
            const vg_compress_rule *rule = rule_of(&c->opts, t->from->name);
            wanted = rule ? rule->type : vg_mix_type(c->opts.mix, &facts, t->from->name);
        }
        compress_set_type(t, wanted);
    }
}

/* A calibration copies a layer in whole 8 rows. */
static vg_status make_threads(vg_compress *c, vg_err *err)
{
    uint64_t widest = 0;
    bool calibrates = c->opts.n_calib > 0;
    for (size_t i = 0; i < c->n; i++) widest = VG_MAX(widest, c->tensor[i].from->dim[0]);
    if (widest > SIZE_MAX / sizeof(float) / 32)
        return VG_FAIL(err, VG_E_LIMIT, "rows of %llu weights", (ull)widest);
    widest = VG_MAX(widest * (calibrates ? 8 : 1), (uint64_t)PART_WEIGHTS);
    uint32_t n = c->opts.n_threads ? c->opts.n_threads : vg_os_cpus();
    VG_TRY(vg_pool_new(&c->pool, n, false, err));
    c->row_bytes = (size_t)widest * sizeof(float);
    c->n_rooms = calibrates ? N_ROOMS : 1;
    c->row = VG_ARENA_ARRAY(c->arena, float *, n);
    if (!c->row) return VG_FAIL_MEMORY(err, n * sizeof *c->row);
    for (uint32_t i = 0; i < n; i++) {
        c->row[i] = vg_os_pages_new(c->row_bytes * c->n_rooms);
        if (!c->row[i]) return VG_FAIL_MEMORY(err, c->row_bytes);
    }
    return VG_OK;
}

static uint64_t header_bytes(const vg_compress *c)
{
    uint64_t n = vg_gguf_file_bytes(c->g);
    for (size_t i = 0; i < c->n; i++) n -= VG_MIN(n, c->tensor[i].from->n_bytes);
    return n;
}

static vg_status plan(vg_compress *c, vg_err *err)
{
    c->n = vg_gguf_n_tensors(c->g);
    c->tensor = VG_ARENA_ARRAY(c->arena, vg_compress_tensor, c->n);
    if (!c->tensor && c->n) return VG_FAIL_MEMORY(err, c->n * sizeof *c->tensor);
    list_tensors(c);
    choose_types(c);
    VG_TRY(check_rules(c, err));
    VG_TRY(make_threads(c, err));
    c->file_type = c->opts.mix->file_type;
    c->kv = c->opts.kv;
    if (c->kv == VG_KV_AUTO && (!vg_kv_type_read(c->g, &c->kv) || c->kv == VG_KV_AUTO))
        c->kv = VG_KV_Q8;
    return VG_OK;
}

vg_status vg_compress_new(vg_compress **out, const vg_gguf *g, const vg_compress_opts *opts,
                          vg_err *err)
{
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, ARENA_CAP_BYTES, err));
    vg_compress *c = VG_ARENA_NEW(a, vg_compress);
    if (!c) {
        vg_arena_free(a);
        return VG_FAIL_MEMORY(err, sizeof *c);
    }
    c->g = g;
    c->opts = *opts;
    c->arena = a;
    c->quantiser = vg_quantiser_pick(NULL);
    c->calib_hash = vg_hash(opts->calib, opts->n_calib * sizeof *opts->calib);
    vg_status st = plan(c, err);
    if (st) vg_compress_free(c);
    else *out = c;
    return st;
}

void vg_compress_free(vg_compress *c)
{
    if (!c) return;
    uint32_t n = c->pool && c->row ? vg_pool_threads(c->pool) : 0;
    for (uint32_t i = 0; i < n; i++) vg_os_pages_free(c->row[i], c->row_bytes * c->n_rooms);
    vg_pool_free(c->pool);
    vg_arena_free(c->arena);
}

vg_status compress_report(vg_compress *c, const vg_compress_now *now, vg_err *err)
{
    bool stop = c->opts.progress && c->opts.progress(c->opts.user, now);
    return stop ? VG_FAIL(err, VG_E_CANCELLED, "stopped") : VG_OK;
}

/* ---- run ------------------------------------------------------------------------------------- */

typedef struct run {
    vg_compress *c;
    const char *path;
    vg_gguf_writer *writer;
    uint8_t *buf[2]; /* chunks on their way out */
    size_t buf_bytes;
    const uint8_t *full; /* what is to be written beside the next chunk */
    size_t full_bytes;
    vg_status failed; /* of writing */
    vg_err why;
    uint64_t safe_ns; /* when tensors were last made safe, or the run began */
    bool has_journal; /* that tells of some */
} run;

static void write_full(void *arg)
{
    run *r = arg;
    if (!r->failed && r->full_bytes)
        r->failed = vg_gguf_write(r->writer, r->full, r->full_bytes, &r->why);
    r->full_bytes = 0;
}

static vg_status flush(run *r, vg_err *err)
{
    write_full(r);
    if (r->failed && err) *err = r->why;
    return r->failed;
}

static vg_status report_at(vg_compress *c, const vg_gguf_tensor *t, vg_err *err)
{
    return compress_report(c, &(vg_compress_now){.stage = "quantising", .what = t->name,
                                                 .done = c->done, .total = c->total,
                                                 .unit = c->calib ? NULL : " weights"}, err);
}

static uint64_t n_weights(const vg_gguf_tensor *t)
{
    return t->dim[0] * compress_rows(t);
}

static vg_status copy_tensor(run *r, const vg_gguf_tensor *t, vg_err *err)
{
    enum { PIECE_BYTES = 1 << 24 };
    for (uint64_t at = 0; at < t->n_bytes; at += PIECE_BYTES) {
        size_t n = (size_t)VG_MIN(t->n_bytes - at, (uint64_t)PIECE_BYTES);
        VG_TRY(vg_gguf_write(r->writer, t->data + at, n, err));
        vg_gguf_drop(r->c->g, t->data + at, n);
        VG_TRY(report_at(r->c, t, err));
    }
    r->c->done += n_weights(t);
    return VG_OK;
}

static vg_status quantise_tensor(run *r, vg_compress_tensor *t, const fold *f, vg_err *err)
{
    uint64_t n_rows = compress_rows(t->from), step = walk_chunk(t->from);
    uint64_t to_bytes = t->n_bytes / n_rows, from_bytes = t->from->n_bytes / n_rows;
    encode_loss sum = {0};
    for (uint64_t first = 0, i = 0; first < n_rows; first += step, i++) {
        walk w = {.c = r->c, .from = t->from, .fold = *f, .to = t->to,
                  .first = first, .n_rows = VG_MIN(step, n_rows - first), .out = r->buf[i % 2],
                  .beside = r->full_bytes ? write_full : NULL, .arg = r};
        size_t from_n = (size_t)(w.n_rows * from_bytes);
        VG_TRY(walk_run(&w, &sum, err));
        if (r->failed) return flush(r, err);
        r->full = w.out;
        r->full_bytes = (size_t)(w.n_rows * to_bytes);
        vg_gguf_drop(r->c->g, t->from->data + first * from_bytes, from_n);
        VG_TRY(report_at(r->c, t->from, err));
    }
    t->loss = sum.loss;
    if (sum.sampled > 0) t->plain_error = sum.loss.error * sum.plain / sum.sampled;
    return flush(r, err);
}

static vg_status make_safe(run *r, size_t n_done, vg_err *err)
{
    VG_TRY(vg_gguf_sync(r->writer, err));
    VG_TRY(journal_write(r->c, r->path, n_done, err));
    r->safe_ns = vg_os_now_ns();
    r->has_journal = true;
    return VG_OK;
}

/* A stream that is kept may not be ahead of the tensors that are safe. */
static vg_status reach(run *r, const vg_gguf_tensor *t, size_t n_done, vg_err *err)
{
    calib *k = r->c->calib;
    if (!k) return VG_OK;
    if (calib_is_due(k, t)) {
        VG_TRY(make_safe(r, n_done, err));
        VG_TRY(calib_keep(k, err));
    }
    return calib_reach(k, t, err);
}

static vg_status all_tensors(run *r, size_t *n_done, vg_err *err)
{
    for (; *n_done < r->c->n; ++*n_done) {
        vg_compress_tensor *t = &r->c->tensor[*n_done];
        VG_TRY(reach(r, t->from, *n_done, err));
        uint64_t begin = vg_os_now_ns();
        if (begin - r->safe_ns > SAFE_NS) VG_TRY(make_safe(r, *n_done, err));
        const fold f = calib_fold(r->c->calib, t->from);
        if (t->copied && !f.col && !f.row) VG_TRY(copy_tensor(r, t->from, err));
        else VG_TRY(quantise_tensor(r, t, &f, err));
        if (!vg_gguf_intact(r->c->g)) return VG_FAIL(err, VG_E_IO, "the input was cut short");
        t->seconds = (double)(vg_os_now_ns() - begin) * 1e-9;
    }
    return VG_OK;
}

static bool is_set_here(const vg_gguf_kv *kv)
{
    return vg_str_is(kv->key, "general.file_type") || vg_str_starts(kv->key, VG_STR("split.")) ||
           vg_str_is(kv->key, "general.quantization_version") ||
           vg_str_is(kv->key, "general.alignment") || vg_str_is(kv->key, VG_KV_TYPE_KEY);
}

static void put_header(run *r)
{
    vg_compress *c = r->c;
    for (size_t i = 0; i < vg_gguf_n_kv(c->g); i++)
        if (!is_set_here(vg_gguf_kv_at(c->g, i)))
            vg_gguf_put_kv(r->writer, vg_gguf_kv_at(c->g, i));
    vg_gguf_put_u32(r->writer, "general.file_type", c->file_type);
    vg_gguf_put_u32(r->writer, "general.quantization_version", 2);
    vg_gguf_put_str(r->writer, VG_KV_TYPE_KEY, vg_str_from(vg_kv_type_name(c->kv)));
    for (size_t i = 0; i < c->n; i++) {
        const vg_compress_tensor *t = &c->tensor[i];
        vg_gguf_add_tensor(r->writer, t->from->name, t->to, t->from->n_dims, t->from->dim);
    }
}

/* The journal goes before the part does, so that it never tells of another one. */
static vg_status begin(run *r, size_t *n_done, vg_err *err)
{
    vg_compress *c = r->c;
    if (c->opts.resume) {
        vg_status st = journal_read(c, r->path, n_done, err);
        if (st && st != VG_E_NOT_FOUND) return st;
    }
    if (*n_done == 0) journal_remove(r->path);
    VG_TRY(*n_done ? vg_gguf_resume(&r->writer, r->path, err)
                   : vg_gguf_begin(&r->writer, r->path, err));
    put_header(r);
    if (*n_done) VG_TRY(vg_gguf_skip(r->writer, *n_done, err));
    for (size_t i = 0; i < *n_done; i++) c->done += n_weights(c->tensor[i].from);
    c->n_resumed = *n_done;
    r->has_journal = *n_done > 0;
    return VG_OK;
}

static vg_status make_buffers(run *r, vg_err *err)
{
    for (size_t i = 0; i < r->c->n; i++) {
        const vg_compress_tensor *t = &r->c->tensor[i];
        uint64_t n_rows = compress_rows(t->from), n = VG_MIN(n_rows, walk_chunk(t->from));
        if (t->copied && !r->c->opts.awq) continue;
        if (t->n_bytes / n_rows * n > SIZE_MAX / 2)
            return VG_FAIL(err, VG_E_LIMIT, "rows of %llu weights", (ull)t->from->dim[0]);
        r->buf_bytes = VG_MAX(r->buf_bytes, (size_t)(t->n_bytes / n_rows * n));
    }
    for (size_t i = 0; i < 2 && r->buf_bytes; i++) {
        r->buf[i] = vg_os_pages_new(r->buf_bytes);
        if (!r->buf[i]) return VG_FAIL_MEMORY(err, r->buf_bytes);
    }
    return VG_OK;
}

/* A run that was cancelled or that could not write leaves what it has, as safe as it can be; one
 * whose input is wrong would stop at the same place again. */
static void stop(run *r, size_t n_done, vg_status why)
{
    if (!r->writer) return;
    bool keep = why == VG_E_CANCELLED || (why == VG_E_IO && n_done > 0);
    if (keep && make_safe(r, n_done, NULL)) keep = r->has_journal;
    if (keep) {
        vg_gguf_keep(r->writer);
        return;
    }
    vg_gguf_abandon(r->writer);
    journal_remove(r->path);
}

static void count_total(vg_compress *c)
{
    c->done = 0;
    c->total = c->calib ? calib_work(c->calib) : 0;
    for (size_t i = 0; i < c->n; i++) c->total += n_weights(c->tensor[i].from);
}

/* What comes before the types are known for good. */
static vg_status prepare(vg_compress *c, const char *path, vg_err *err)
{
    if (c->opts.n_calib) VG_TRY(calib_begin(c, path, err));
    if (c->opts.size_bytes) VG_TRY(compress_solve(c, header_bytes(c), err));
    return VG_OK;
}

static vg_status write_file(vg_compress *c, const char *path, vg_err *err)
{
    run r = {.c = c, .path = path, .safe_ns = vg_os_now_ns()};
    size_t n_done = 0;
    count_total(c);
    vg_status st = make_buffers(&r, err);
    if (!st) st = begin(&r, &n_done, err);
    if (!st) st = all_tensors(&r, &n_done, err);
    if (st) {
        stop(&r, n_done, st);
    } else {
        st = vg_gguf_end(r.writer, err);
        journal_remove(path);
        calib_remove(path);
    }
    for (size_t i = 0; i < 2; i++) vg_os_pages_free(r.buf[i], r.buf_bytes);
    return st;
}

vg_status vg_compress_run(vg_compress *c, const char *path, vg_err *err)
{
    vg_status st = prepare(c, path, err);
    if (!st) st = write_file(c, path, err);
    calib_end(c);
    return st;
}

size_t vg_compress_n(const vg_compress *c)
{
    return c->n;
}

const vg_compress_tensor *vg_compress_at(const vg_compress *c, size_t i)
{
    return &c->tensor[i];
}

size_t vg_compress_resumed(const vg_compress *c)
{
    return c->n_resumed;
}

vg_kv_type vg_compress_kv(const vg_compress *c)
{
    return c->kv;
}

vg_compress_calib_info vg_compress_calib(const vg_compress *c)
{
    return c->calib_info;
}

const vg_compress_awq *vg_compress_awq_at(const vg_compress *c, size_t group)
{
    assert(group < VG_AWQ_GROUPS);
    return &c->awq[group];
}

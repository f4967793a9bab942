/* solve.c: the type of each matrix under a size of the whole file. Each is quantised to every
 * candidate, on some of its rows, and what that loses (squared error relative to the squared
 * weights) is measured. All begin with the smallest type; then, as long as bytes are left, the
 * matrix whose next type saves most loss a byte gets it: the greedy form of Lagrange's condition
 * that all matrices end at the same price of a byte. Losses of matrices are added as equals: each
 * stands between norms, so that its relative noise is what the model feels. */
#include "compress/compress_int.h"

#include <math.h>

enum { SAMPLE_WEIGHTS = 1 << 19, N_TYPES = 7 };

static const vg_dtype candidates[N_TYPES] = {VG_Q2_K, VG_Q3_K, VG_IQ4_XS, VG_Q4_K,
                                             VG_Q5_K, VG_Q6_K, VG_Q8_0};

typedef struct choice {
    vg_compress_tensor *tensor;
    double loss[N_TYPES];    /* infinite: no choice */
    uint64_t bytes[N_TYPES];
    vg_dtype type[N_TYPES];
    int at;
} choice;

/* Spread over the tensor, so that no part of it decides alone. */
static vg_status measure(vg_compress *c, const vg_compress_tensor *t, uint8_t *out, double *loss,
                         vg_err *err)
{
    uint64_t n_rows = compress_rows(t->from), pieces = 8;
    uint64_t rows = VG_MAX((uint64_t)SAMPLE_WEIGHTS / t->from->dim[0] / pieces, (uint64_t)1);
    encode_loss sum = {0};
    pieces = VG_MIN(pieces, (n_rows + rows - 1) / rows);
    for (uint64_t i = 0; i < pieces; i++) {
        uint64_t first = pieces == 1 ? 0 : (n_rows - VG_MIN(rows, n_rows)) * i / (pieces - 1);
        walk w = {.c = c, .from = t->from, .to = t->to, .first = first,
                  .n_rows = VG_MIN(rows, n_rows - first), .out = out};
        VG_TRY(walk_run(&w, &sum, err));
    }
    *loss = sum.loss.norm > 0 ? sum.loss.error / sum.loss.norm : 0;
    return VG_OK;
}

static vg_status measure_all(vg_compress *c, choice *x, uint8_t *out, vg_err *err)
{
    for (int k = 0; k < N_TYPES; k++) {
        compress_set_type(x->tensor, candidates[k]);
        x->type[k] = candidates[k];
        x->bytes[k] = x->tensor->n_bytes;
        x->loss[k] = 0;
        if (!x->tensor->copied) VG_TRY(measure(c, x->tensor, out, &x->loss[k], err));
        vg_compress_now now = {.stage = "choosing types", .what = x->tensor->from->name,
                               .done = (uint64_t)(x->tensor - c->tensor) * N_TYPES + (uint64_t)k,
                               .total = c->n * N_TYPES};
        VG_TRY(compress_report(c, &now, err));
    }
    return VG_OK;
}

/* The next type of x whose loss falls most a byte, within what is left; -1: none. */
static int next_type(const choice *x, uint64_t left, double *price)
{
    int best = -1;
    for (int k = 0; k < N_TYPES; k++) {
        if (x->bytes[k] <= x->bytes[x->at] || x->bytes[k] - x->bytes[x->at] > left) continue;
        double saved = (x->loss[x->at] - x->loss[k]) / (double)(x->bytes[k] - x->bytes[x->at]);
        if (saved <= *price) continue;
        *price = saved;
        best = k;
    }
    return best;
}

static void spend(choice *x, size_t n, uint64_t left)
{
    for (;;) {
        double price = 0;
        size_t who = n;
        int what = -1;
        for (size_t i = 0; i < n; i++) {
            int k = next_type(&x[i], left, &price);
            if (k >= 0) {
                who = i;
                what = k;
            }
        }
        if (what < 0) return;
        left -= x[who].bytes[what] - x[who].bytes[x[who].at];
        x[who].at = what;
    }
}

/* The smallest type of each; of equal sizes the one that loses less. */
static uint64_t begin_small(choice *x, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        for (int k = 1; k < N_TYPES; k++) {
            const choice *c = &x[i];
            bool smaller = c->bytes[k] < c->bytes[c->at];
            bool better = c->bytes[k] == c->bytes[c->at] && c->loss[k] < c->loss[c->at];
            if (smaller || better) x[i].at = k;
        }
        sum += x[i].bytes[x[i].at];
    }
    return sum;
}

/* The file is named after the type that most weights have. */
static void name_file(vg_compress *c)
{
    uint64_t weights[VG_N_DTYPES] = {0};
    uint32_t most = c->opts.mix->type;
    for (size_t i = 0; i < c->n; i++) {
        const vg_compress_tensor *t = &c->tensor[i];
        uint64_t n = t->from->dim[0] * compress_rows(t->from);
        weights[t->to] += n;
        if (weights[t->to] > weights[most]) most = t->to;
    }
    c->file_type = vg_mix_file_type((vg_dtype)most);
}

static bool is_free(const vg_compress *c, const vg_compress_tensor *t)
{
    bool takes = vg_mix_takes(t->from);
    for (size_t r = 0; takes && r < c->opts.n_rules; r++)
        takes = !vg_glob(c->opts.rule[r].pattern, t->from->name);
    return takes;
}

static vg_status choose(vg_compress *c, choice *x, uint64_t fixed, uint8_t *out, vg_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        vg_compress_tensor *t = &c->tensor[i];
        fixed += 32; /* what pads it */
        if (!is_free(c, t)) {
            fixed += t->n_bytes;
            continue;
        }
        x[n].tensor = t;
        VG_TRY(measure_all(c, &x[n++], out, err));
    }
    uint64_t least = fixed + begin_small(x, n);
    if (least > c->opts.size_bytes)
        return VG_FAIL(err, VG_E_USAGE,
                       "the smallest types need %llu bytes, more than the %llu asked",
                       (unsigned long long)least, (unsigned long long)c->opts.size_bytes);
    spend(x, n, c->opts.size_bytes - least);
    for (size_t i = 0; i < n; i++) compress_set_type(x[i].tensor, x[i].type[x[i].at]);
    return VG_OK;
}

vg_status compress_solve(vg_compress *c, uint64_t header_bytes, vg_err *err)
{
    choice *x = VG_ARENA_ARRAY(c->arena, choice, VG_MAX(c->n, (size_t)1));
    size_t out_bytes = 0;
    for (size_t i = 0; i < c->n; i++)
        out_bytes = VG_MAX(out_bytes, (size_t)VG_MAX(c->tensor[i].from->dim[0] * 4,
                                                     (uint64_t)SAMPLE_WEIGHTS));
    uint8_t *out = vg_os_pages_new(out_bytes);
    if (!x || !out) {
        vg_os_pages_free(out, out_bytes);
        return VG_FAIL_MEMORY(err, out_bytes);
    }
    c->done = 0;
    vg_status st = choose(c, x, header_bytes, out, err);
    vg_os_pages_free(out, out_bytes);
    if (!st) name_file(c);
    c->done = 0;
    return st;
}

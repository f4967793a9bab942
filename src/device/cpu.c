/* The CPU device: splits each operation into parts of a fixed size, over rows of weights, tokens or
 * heads, and hands the parts to the pool. A part writes what no other part writes, and which thread
 * runs it changes nothing: so the number of threads never shows in a result. The arithmetic is in
 * src/kern; nothing is computed here. */
#include <stdio.h>

#include "device/cpu_int.h"

enum { FLOATS_PER_PART = 4096, ALIGN = 64 };

/* ---- rows of tokens ------------------------------------------------------------------------- */

typedef struct embed_job {
    vg_device *d;
    const vg_tensor *w;
    const int32_t *tok;
    float scale, *out;
} embed_job;

static void embed_part(void *arg, uint32_t r, uint32_t thread)
{
    VG_UNUSED(thread);
    const embed_job *j = arg;
    float *out = j->out + r * j->w->n_in;
    vg_dequant_row(j->w->type, j->w->data, j->w->interleaved, j->w->n_rows, (size_t)j->tok[r], out,
                   j->w->n_in);
    if (j->scale < 1 || j->scale > 1) j->d->kern->scale(out, j->scale, j->w->n_in);
}

static void cpu_embed(vg_device *d, const vg_tensor *w, const int32_t *tok, size_t n_rows,
                      float scale, float *out)
{
    embed_job j = {d, w, tok, scale, out};
    cpu_run(d, n_rows, embed_part, &j);
}

typedef struct norm_job {
    vg_device *d;
    const float *x, *w, *b; /* b NULL: an RMS norm */
    float *out, eps;
    size_t n_rows, width, per_part;
} norm_job;

static void norm_part(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(thread);
    const norm_job *j = arg;
    size_t end = VG_MIN((part + 1) * j->per_part, j->n_rows);
    for (size_t r = part * j->per_part; r < end; r++) {
        const float *x = j->x + r * j->width;
        float *out = j->out + r * j->width;
        if (j->b) j->d->kern->layer_norm(x, j->w, j->b, out, j->width, j->eps);
        else j->d->kern->rms_norm(x, j->w, out, j->width, j->eps);
    }
}

static void cpu_layer_norm(vg_device *d, const float *x, const float *w, const float *b,
                           float *out, size_t n_rows, size_t width, float eps)
{
    norm_job j = {d, x, w, b, out, eps, n_rows, width, VG_MAX(FLOATS_PER_PART / width, (size_t)1)};
    cpu_run(d, cpu_parts(n_rows, j.per_part), norm_part, &j);
}

static void cpu_norm(vg_device *d, const float *x, const float *w, float *out, size_t n_rows,
                     size_t width, float eps)
{
    cpu_layer_norm(d, x, w, NULL, out, n_rows, width, eps);
}

/* ---- elements ------------------------------------------------------------------------------- */

typedef struct element_job {
    vg_device *d;
    float *x;
    const float *y;
    float s;
    size_t n;
} element_job;

static void add_part(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(thread);
    const element_job *j = arg;
    size_t at = (size_t)part * FLOATS_PER_PART, n = VG_MIN(j->n - at, (size_t)FLOATS_PER_PART);
    j->d->kern->add_scaled(j->x + at, j->y + at, j->s, n);
}

static void cpu_add_scaled(vg_device *d, float *x, const float *y, float s, size_t n)
{
    element_job j = {.d = d, .x = x, .y = y, .s = s, .n = n};
    cpu_run(d, cpu_parts(n, FLOATS_PER_PART), add_part, &j);
}

static void cpu_scale(vg_device *d, float *x, float s, size_t n)
{
    d->kern->scale(x, s, n);
}

static void cpu_softcap(vg_device *d, float *x, float cap, size_t n)
{
    d->kern->softcap(x, cap, n);
}

static void cpu_softmax(vg_device *d, float *x, size_t n_rows, size_t width)
{
    for (size_t r = 0; r < n_rows; r++) d->kern->softmax(x + r * width, width);
}

static void cpu_gather(vg_device *d, const float *x, const uint32_t *row, size_t n, size_t width,
                       float *out)
{
    VG_UNUSED(d);
    for (size_t i = 0; i < n; i++)
        memmove(out + i * width, x + row[i] * width, width * sizeof *out);
}

static void cpu_scatter_add(vg_device *d, const float *x, const uint32_t *row,
                            const float *weight, size_t n, size_t width, float *out)
{
    for (size_t i = 0; i < n; i++)
        d->kern->add_scaled(out + row[i] * width, x + i * width, weight[i], width);
}

static const vg_ops cpu_ops = {
    .name = "cpu",
    .embed = cpu_embed,
    .norm = cpu_norm,
    .layer_norm = cpu_layer_norm,
    .matmul = cpu_matmul,
    .rope = cpu_rope,
    .store = cpu_store,
    .attend = cpu_attend,
    .add_scaled = cpu_add_scaled,
    .scale = cpu_scale,
    .softcap = cpu_softcap,
    .softmax = cpu_softmax,
    .gather = cpu_gather,
    .scatter_add = cpu_scatter_add,
};

/* Bytes that a device takes from its arena. */
typedef struct sizes {
    size_t act;     /* activations of the largest matmul */
    size_t partial; /* states of attention */
    size_t scratch; /* of each thread, whole cache lines */
    size_t all;
} sizes;

static bool measure(const vg_device_opts *o, sizes *s)
{
    size_t attend;
    if (!cpu_attend_sizes(o, &attend, &s->partial) ||
        !vg_round_up(VG_MAX(vg_rows_scratch_bytes(o->max_in), attend), ALIGN, &s->scratch) ||
        !vg_mul(o->max_rows, vg_act_blocks(o->max_in) * sizeof(vg_act), &s->act) ||
        !vg_mul(o->n_threads, s->scratch, &s->all))
        return false;
    return vg_add(s->act, s->all, &s->all) && vg_add(s->partial, s->all, &s->all);
}

bool vg_device_bytes(const vg_device_opts *opts, size_t *bytes)
{
    sizes s = {0};
    bool fits = measure(opts, &s);
    *bytes = s.all;
    return fits;
}

static void note_kernel(void *user, const char *kernel, bool ok)
{
    vg_health *h = user;
    size_t n = strlen(h->failed);
    h->n_checked++;
    if (ok) return;
    snprintf(h->failed + n, sizeof h->failed - n, "%s%s", h->n_failed ? ", " : "", kernel);
    h->n_failed++;
}

static vg_status prove_kernels(vg_device *d, const vg_kern *kern, const vg_device_opts *opts,
                               vg_err *err)
{
    d->tested = *kern;
    d->kern = &d->tested;
    d->health = (vg_health){.isa = kern->isa};
    return vg_selftest(&d->tested, &opts->self_test, note_kernel, &d->health, err);
}

vg_status vg_device_cpu(vg_device **out, const vg_device_opts *opts, vg_err *err)
{
    const vg_kern *kern = opts->kern ? opts->kern : vg_kern_pick(opts->isa);
    if (!kern)
        return VG_FAIL(err, VG_E_USAGE, "this CPU has no instruction set '%s'", opts->isa);
    vg_device *d = vg_mem_new(sizeof *d);
    if (!d) return VG_FAIL_MEMORY(err, sizeof *d);
    sizes need = {0};
    bool fits = measure(opts, &need);
    d->scratch_bytes = need.scratch;
    d->ops = &cpu_ops;
    d->max_rows = opts->max_rows;
    d->max_in = opts->max_in;
    if (fits) d->act = vg_arena_alloc(opts->arena, need.act, ALIGN);
    if (fits) d->partial = vg_arena_alloc(opts->arena, need.partial, ALIGN);
    if (fits) d->scratch = vg_arena_alloc(opts->arena, opts->n_threads * need.scratch, ALIGN);
    bool whole = d->act && d->partial && d->scratch;
    vg_status st = whole ? vg_pool_new(&d->pool, opts->n_threads, opts->pin, err)
                         : VG_FAIL_MEMORY(err, need.all);
    if (!st) st = prove_kernels(d, kern, opts, err);
    if (st) vg_device_free(d);
    else *out = d;
    return st;
}

void vg_device_free(vg_device *d)
{
    if (!d) return;
    vg_pool_free(d->pool);
    vg_mem_free(d);
}

/* awq.c: scales that move weight between what an operation gives and what the next matrix makes of
 * it, so that columns that matter are rounded more finely: AWQ (Lin and others 2023,
 * arXiv:2306.00978). (x / s) (W diag(s))^T is the same for every s; with Q(W diag(s)) it is not.
 * 1 / s goes into what stands before: the norm's gain before q, k, v and before gate and up, the
 * rows of v before the attention's output, the rows of up before down.
 *
 * s = m^r / w^(1 - r), r = i / 18, with m the mean size of what comes into a column and w that of
 * its weights (AutoAWQ's form), over the root of its largest times its least. Of these and 1 the
 * one is tried whose weighted error is least on a sample of rows, without and with clipped weights;
 * the one stays whose block, as it will be, gives the least error on tokens of the text. */
#include <math.h>

#include "compress/calib_int.h"

enum {
    N_GRID = 19,
    TRIAL_TOK = 1024,         /* that decide */
    SAMPLE_WEIGHTS = 1 << 18, /* of a matrix that the grid is tried on, */
    N_PIECES = 8,             /* from so many places of it */
    W_COLS = 32,              /* columns whose largest weight is 1 for w */
    MAX_VIEWS = 3
};

struct awq {
    float *x, *want, *got; /* [n_tok, width] before a block, after it, after a trial of it */
    size_t n_tok, x_bytes;
    float *scale, *best;   /* [n_scales] of a trial, of the best one */
    double *w;             /* [n_scales] */
    float *products;       /* of a trial, as in inputs */
    float *importance;     /* [n_in] */
    float *col;            /* [n_in] scale by column */
    float *gram;           /* [n_in / 32, 32, 32] */
    uint8_t *pages;        /* [pages_bytes] a trial's matrices */
    size_t products_bytes, gram_bytes, pages_bytes;
};

/* Matrices that read the same, and what stands before them. */
typedef struct group {
    inputs *in;
    bool attention, clips;
    size_t view[MAX_VIEWS], n_views; /* of vg_layer, by number */
    vg_dtype to[MAX_VIEWS];
    size_t n_scales;          /* at most n_in: heads that share values share scales */
    size_t repeat, head;      /* column j has scale (j / head / repeat) * head + j % head */
} group;

static size_t scale_of(const group *g, size_t col)
{
    return col / g->head / g->repeat * g->head + col % g->head;
}

static vg_tensor *view_at(vg_layer *l, size_t i)
{
    return (vg_tensor *)(void *)l + i;
}

#define VIEW(name) (offsetof(vg_layer, name) / sizeof(vg_tensor))

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t widest(const calib *k)
{
    size_t n = 0;
    for (size_t slot = 0; slot < N_IN; slot++) n = VG_MAX(n, k->in[slot].n_in);
    return n;
}

/* Room for the scales of each input, which hold until the next layer. */
static vg_status new_scales(calib *k, vg_err *err)
{
    const size_t before = 2 * widest(k) + (size_t)k->model->hp.n_heads * k->model->hp.dim_k;
    for (size_t slot = 0; slot < N_IN; slot++) {
        inputs *in = &k->in[slot];
        in->scale = VG_ARENA_ARRAY(k->arena, float, in->n_in + 1);
        in->inverse = VG_ARENA_ARRAY(k->arena, float, 2 * before);
        in->gram = VG_ARENA_ARRAY(k->arena, float, in->n_in * CLIP_COLS + 1);
        if (!in->scale || !in->inverse || !in->gram)
            return VG_FAIL_MEMORY(err, in->n_in * CLIP_COLS * sizeof(float));
    }
    return VG_OK;
}

static vg_status new_pages(awq *a, vg_err *err)
{
    a->x = vg_os_pages_new(a->x_bytes);
    a->want = vg_os_pages_new(a->x_bytes);
    a->got = vg_os_pages_new(a->x_bytes);
    a->products = vg_os_pages_new(a->products_bytes);
    a->gram = vg_os_pages_new(a->gram_bytes);
    a->pages = vg_os_pages_new(a->pages_bytes);
    if (a->x && a->want && a->got && a->products && a->gram && a->pages) return VG_OK;
    return VG_FAIL_MEMORY(err, a->x_bytes + a->products_bytes + a->pages_bytes);
}

vg_status awq_new(calib *k, vg_err *err)
{
    awq *a = VG_ARENA_NEW(k->arena, awq);
    size_t n = widest(k);
    if (!a) return VG_FAIL_MEMORY(err, sizeof *a);
    k->awq = a;
    a->n_tok = VG_MIN(VG_MAX((size_t)TRIAL_TOK / k->seq_tok, (size_t)1) * k->seq_tok, k->n_tok);
    a->x_bytes = a->n_tok * k->model->hp.width * sizeof *a->x;
    a->products_bytes = vg_feedback_floats(n) * sizeof *a->products;
    a->gram_bytes = n * CLIP_COLS * sizeof *a->gram;
    a->pages_bytes = VG_MAX(k->pages_bytes, (size_t)1);
    a->scale = VG_ARENA_ARRAY(k->arena, float, n);
    a->best = VG_ARENA_ARRAY(k->arena, float, n);
    a->w = VG_ARENA_ARRAY(k->arena, double, n);
    a->importance = VG_ARENA_ARRAY(k->arena, float, n);
    a->col = VG_ARENA_ARRAY(k->arena, float, n);
    if (!a->scale || !a->best || !a->w || !a->importance || !a->col)
        return VG_FAIL_MEMORY(err, n * 6 * sizeof(float));
    VG_TRY(new_scales(k, err));
    return new_pages(a, err);
}

void awq_free(calib *k)
{
    awq *a = k->awq;
    if (!a) return;
    vg_os_pages_free(a->x, a->x_bytes);
    vg_os_pages_free(a->want, a->x_bytes);
    vg_os_pages_free(a->got, a->x_bytes);
    vg_os_pages_free(a->products, a->products_bytes);
    vg_os_pages_free(a->gram, a->gram_bytes);
    vg_os_pages_free(a->pages, a->pages_bytes);
}

/* ---- a scale's meaning ----------------------------------------------------------------------- */

/* What comes into the columns once they are divided by a scale; products NULL: not wanted. Returns
 * the importances' mean, which they are divided by. */
static double divide_inputs(const awq *a, const group *g, const float *scale, float *importance,
                            float *products)
{
    const inputs *in = g->in;
    double mean = 0;
    for (size_t i = 0; i < in->n_in; i++) {
        float s = scale[scale_of(g, i)];
        a->col[i] = s;
        importance[i] = in->importance[i] / (s * s);
        mean += (double)importance[i] / (double)in->n_in;
    }
    for (size_t i = 0; i < in->n_in; i++)
        importance[i] = fmaxf((float)((double)importance[i] / mean), 1e-9f);
    const float *from = in->products;
    for (size_t first = 0; from && products && first < in->n_in; first += VG_FEEDBACK_COLS) {
        size_t n = VG_MIN(in->n_in - first, (size_t)VG_FEEDBACK_COLS);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                products[i * n + j] = from[i * n + j] / (a->col[first + i] * a->col[first + j]);
        from += n * n;
        products += n * n;
    }
    return mean;
}

/* The squares of 32 columns on the diagonal of the products, of which only an upper half counts. */
static void cut_gram(const float *products, size_t n_in, float *gram)
{
    for (size_t first = 0; first < n_in; first += VG_FEEDBACK_COLS) {
        size_t n = VG_MIN(n_in - first, (size_t)VG_FEEDBACK_COLS);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i / CLIP_COLS * CLIP_COLS, end = j + CLIP_COLS; j < end; j++)
                gram[(first + i) * CLIP_COLS + j % CLIP_COLS] =
                    products[VG_MIN(i, j) * n + VG_MAX(i, j)];
        products += n * n;
    }
}

/* ---- the grid -------------------------------------------------------------------------------- */

/* Sampled rows of a group's matrices, a part being a piece of one. */
typedef struct sampling {
    const calib *k;
    const group *g;
    bool weighs; /* w is summed up, else an error is measured */
    double error[MAX_VIEWS * N_PIECES];
    float *sum;  /* [MAX_VIEWS * N_PIECES, n_in] */
} sampling;

static size_t sample_rows(const calib *k, const vg_tensor *t)
{
    size_t most = k->c->row_bytes / sizeof(float) / t->n_in;
    size_t n = VG_MAX((size_t)SAMPLE_WEIGHTS / N_PIECES / t->n_in, (size_t)1);
    return VG_MIN(VG_MIN(n, most), t->n_rows);
}

/* Sums of |w| over the largest of its 32 columns, by column. */
static void add_sizes(const float *x, size_t n, size_t n_in, float *sum)
{
    for (size_t r = 0; r < n; r++, x += n_in) {
        for (size_t first = 0; first < n_in; first += W_COLS) {
            size_t end = VG_MIN(first + W_COLS, n_in);
            float most = 0;
            for (size_t i = first; i < end; i++) most = fmaxf(most, fabsf(x[i]));
            for (size_t i = first; i < end && most > 0; i++) sum[i] += fabsf(x[i]) / most;
        }
    }
}

/* The weighted error of what the scaled rows come back as; x is scaled by the encoding. */
static double restored_error(const encoding *e, float *x, size_t n, const float *importance)
{
    uint8_t *blocks = encode_room(e->c, e->thread, ROOM_BLOCKS);
    float *y = encode_room(e->c, e->thread, ROOM_RESTORED);
    encode_loss ignored = {0};
    double sum = 0;
    encode_rows(e, 0, 0, x, n, blocks, &ignored);
    vg_dequant(e->to, blocks, y, n * e->n_in);
    for (size_t i = 0; i < n * e->n_in; i++) {
        double lost = ((double)x[i] - (double)y[i]) / (double)e->fold->col[i % e->n_in];
        sum += (double)importance[i % e->n_in] * lost * lost;
    }
    return sum;
}

static void sample_part(void *arg, uint32_t part, uint32_t thread)
{
    sampling *s = arg;
    const calib *k = s->k;
    size_t v = part / N_PIECES, piece = part % N_PIECES;
    const vg_tensor *t = view_at(&k->model->layer[k->n_done], s->g->view[v]);
    size_t n = sample_rows(k, t), first = (t->n_rows - n) * piece / (N_PIECES - 1);
    float *x = encode_room(k->c, thread, ROOM_WEIGHTS);
    s->error[part] = 0;
    if (!encode_widen(k->c->quantiser, t->type, t->data + first * t->row_bytes, x, n * t->n_in))
        return; /* layer_take has refused such weights */
    if (s->weighs) {
        add_sizes(x, n, t->n_in, s->sum + part * t->n_in);
        return;
    }
    const fold f = {.col = k->awq->col, .importance = k->awq->importance};
    const encoding e = {.c = k->c, .fold = &f, .to = s->g->to[v], .n_in = t->n_in,
                        .thread = thread};
    s->error[part] = restored_error(&e, x, n, s->g->in->importance);
}

/* The group's error with a scale, on the sample. */
static double grid_error(calib *k, const group *g, const float *scale)
{
    sampling s = {.k = k, .g = g};
    double sum = 0;
    divide_inputs(k->awq, g, scale, k->awq->importance, NULL);
    vg_pool_run(k->c->pool, (uint32_t)(g->n_views * N_PIECES), sample_part, &s);
    for (size_t i = 0; i < g->n_views * N_PIECES; i++) sum += s.error[i];
    return sum;
}

/* The mean size of each scale's weights. */
static void weigh(calib *k, const group *g)
{
    size_t n_in = g->in->n_in, n_parts = g->n_views * N_PIECES;
    awq *a = k->awq;
    sampling s = {.k = k, .g = g, .weighs = true, .sum = a->gram};
    memset(a->gram, 0, n_parts * n_in * sizeof *a->gram);
    memset(a->w, 0, g->n_scales * sizeof *a->w);
    vg_pool_run(k->c->pool, (uint32_t)n_parts, sample_part, &s);
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < n_in; i++) a->w[scale_of(g, i)] += (double)s.sum[p * n_in + i];
    double most = 0;
    for (size_t i = 0; i < g->n_scales; i++) most = fmax(most, a->w[i]);
    for (size_t i = 0; i < g->n_scales; i++) a->w[i] /= most > 0 ? most : 1;
}

/* Grid point i; false where it gives no sensible scale. */
static bool make_scale(const calib *k, const group *g, int i, float *scale)
{
    static const double most_apart = 1e4, least = 1e-4;
    double r = i / (double)(N_GRID - 1), low = INFINITY, high = 0, mean[2] = {0, 0};
    const awq *a = k->awq;
    for (size_t j = 0; j < g->n_scales; j++) scale[j] = 0;
    for (size_t j = 0; j < g->in->n_in; j++) {
        scale[scale_of(g, j)] += (float)(g->in->size[j] / (double)g->repeat);
        mean[0] += g->in->size[j] / (double)g->in->n_in;
    }
    for (size_t j = 0; j < g->n_scales; j++) mean[1] += a->w[j] / (double)g->n_scales;
    for (size_t j = 0; j < g->n_scales; j++) {
        double m = fmax((double)scale[j] / mean[0], least), w = fmax(a->w[j] / mean[1], least);
        double s = vg_exp_f64(r * vg_log_f64(m) - (1 - r) * vg_log_f64(w));
        scale[j] = (float)s;
        low = fmin(low, s);
        high = fmax(high, s);
    }
    if (!(low > 0 && high < INFINITY && high / low < most_apart * most_apart)) return false;
    for (size_t j = 0; j < g->n_scales; j++) scale[j] /= (float)sqrt(low * high);
    return true;
}

/* The grid's best into a->best; false where 1 is. */
static bool search_grid(calib *k, const group *g)
{
    awq *a = k->awq;
    bool found = false;
    weigh(k, g);
    for (size_t i = 0; i < g->n_scales; i++) a->scale[i] = 1;
    double least = grid_error(k, g, a->scale);
    for (int i = 0; i < N_GRID; i++) {
        if (!make_scale(k, g, i, a->scale)) continue;
        double error = grid_error(k, g, a->scale);
        if (!(error < least)) continue;
        least = error;
        found = true;
        memcpy(a->best, a->scale, g->n_scales * sizeof *a->best);
    }
    return found;
}

/* ---- trials ---------------------------------------------------------------------------------- */

typedef void block_fn(vg_layers *l, const vg_layer *layer, float *x, size_t n_tok);

static block_fn *block_of(const group *g)
{
    return g->attention ? vg_layers_attention : vg_layers_mlp;
}

/* The squared error of the block's output when the group's matrices are as they will be. */
static vg_status try_group(calib *k, const group *g, const float *scale, bool clips, double *error,
                           vg_err *err)
{
    awq *a = k->awq;
    const inputs *in = g->in;
    bool feeds = inputs_feed(in, 0) && !k->c->opts.no_importance, has_factors = true;
    vg_layer layer = k->now;
    size_t at = 0;
    VG_TRY(calib_report(k, err));
    divide_inputs(a, g, scale, a->importance, a->products);
    if (clips) cut_gram(a->products, in->n_in, a->gram);
    if (feeds) VG_TRY(vg_feedback_make(a->products, in->n_in, err));
    layer_trial trial = {.fold = {.col = a->col, .importance = a->importance,
                                  .gram = clips ? a->gram : NULL,
                                  .factors = feeds ? a->products : NULL,
                                  .has_factors = &has_factors, .n_factors = in->n_floats}};
    for (size_t v = 0; v < g->n_views; v++) {
        vg_tensor *view = view_at(&layer, g->view[v]);
        *view = *view_at(&k->model->layer[k->n_done], g->view[v]);
        trial.to = g->to[v];
        VG_TRY(layer_copy(k, view, &trial, a->pages + at, err));
        at += (view->n_rows * view->row_bytes + 63) / 64 * 64;
    }
    memcpy(a->got, a->x, a->x_bytes);
    block_of(g)(k->layers, &layer, a->got, a->n_tok);
    *error = 0;
    for (size_t i = 0; i < a->x_bytes / sizeof *a->x; i++) {
        double d = (double)a->got[i] - (double)a->want[i];
        *error += d * d;
    }
    return VG_OK;
}

/* The scale, or 1, and clipped weights, or not, that give the least error. */
static vg_status choose(calib *k, const group *g, vg_compress_awq *told, vg_err *err)
{
    awq *a = k->awq;
    bool found = search_grid(k, g), scaled = false, clipped = false;
    double least = INFINITY, plain = 0;
    for (int i = 0; i < 4; i++) {
        bool scales = i & 1, clips = i & 2;
        double error;
        if ((scales && !found) || (clips && !(g->clips && g->in->products))) continue;
        for (size_t j = 0; j < g->n_scales; j++) a->scale[j] = scales ? a->best[j] : 1;
        VG_TRY(try_group(k, g, a->scale, clips, &error, err));
        if (i == 0) plain = error;
        if (error >= least) continue;
        least = error;
        scaled = scales;
        clipped = clips;
    }
    for (size_t j = 0; j < g->n_scales; j++) a->scale[j] = scaled ? a->best[j] : 1;
    told->n_layers++;
    told->n_scaled += scaled;
    told->n_clipped += clipped;
    told->before += plain;
    told->after += least;
    for (size_t i = 0; i < a->x_bytes / sizeof *a->x; i++) {
        double d = (double)a->want[i] - (double)a->x[i];
        told->norm += d * d;
    }
    g->in->scaled = scaled;
    g->in->clipped = clipped;
    return VG_OK;
}

/* What was chosen becomes the input's own. `ones` stand before the scales in what is multiplied by
 * their inverse. */
static void take(calib *k, const group *g, size_t ones)
{
    awq *a = k->awq;
    inputs *in = g->in;
    if (in->scaled) {
        in->unit = divide_inputs(a, g, a->scale, a->importance, a->products);
        memcpy(in->importance, a->importance, in->n_in * sizeof *in->importance);
        if (in->products)
            memcpy(in->products, a->products, in->n_floats * sizeof *in->products);
        memcpy(in->scale, a->col, in->n_in * sizeof *in->scale);
        in->inverse_at = ones;
        for (size_t i = 0; i < ones; i++) in->inverse[i] = 1;
        for (size_t i = 0; i < g->n_scales; i++) in->inverse[ones + i] = 1 / a->scale[i];
    }
    if (in->clipped) cut_gram(in->products, in->n_in, in->gram);
}

enum { TOLD_QKV, TOLD_O, TOLD_UP, TOLD_DOWN }; /* of vg_compress_awq_at */

/* ---- groups ---------------------------------------------------------------------------------- */

/* The tensor of the file that a view lies in. */
static const vg_compress_tensor *tensor_of(const vg_compress *c, const vg_tensor *view)
{
    for (size_t i = 0; i < c->n; i++) {
        const vg_gguf_tensor *t = c->tensor[i].from;
        if (view->data >= t->data && view->data < t->data + t->n_bytes) return &c->tensor[i];
    }
    return NULL;
}

/* False where the view is missing or is not quantised in this run. */
static bool add_view(const calib *k, group *g, size_t number)
{
    const vg_tensor *view = view_at(&k->model->layer[k->n_done], number);
    const vg_compress_tensor *t = view->data ? tensor_of(k->c, view) : NULL;
    if (!t || t->copied || !vg_dtype_get(t->to)->quantised) return false;
    g->view[g->n_views] = number;
    g->to[g->n_views++] = t->to;
    return true;
}

/* Whether the rows of what stands before can be scaled without another loss. */
static bool can_fold(const calib *k, size_t number)
{
    const vg_tensor *view = view_at(&k->model->layer[k->n_done], number);
    const vg_compress_tensor *t = tensor_of(k->c, view);
    return t && !(t->copied && vg_dtype_get(t->to)->quantised);
}

static group new_group(calib *k, input_slot slot)
{
    inputs *in = &k->in[slot];
    return (group){.in = in, .attention = slot == IN_QKV || slot == IN_O, .clips = slot != IN_QKV,
                   .n_scales = in->n_in, .repeat = 1, .head = VG_MAX(in->n_in, (size_t)1)};
}

static vg_status one_group(calib *k, group *g, size_t ones, vg_compress_awq *told, vg_err *err)
{
    uint64_t begin = vg_os_now_ns();
    if (g->in->n_in % CLIP_COLS != 0) return VG_OK;
    VG_TRY(choose(k, g, told, err));
    take(k, g, ones);
    told->seconds += (double)(vg_os_now_ns() - begin) * 1e-9;
    return VG_OK;
}

static vg_status attention_groups(calib *k, vg_compress_awq *told, vg_err *err)
{
    const vg_hparams *hp = &k->model->hp;
    bool fused = hp->flags & A_FUSED;
    group qkv = new_group(k, IN_QKV), o = new_group(k, IN_O);
    if (add_view(k, &qkv, VIEW(q)) && add_view(k, &qkv, VIEW(k)) && add_view(k, &qkv, VIEW(v)))
        VG_TRY(one_group(k, &qkv, 0, &told[TOLD_QKV], err));
    o.head = hp->dim_v;
    o.repeat = hp->n_heads / hp->n_kv_heads;
    o.n_scales = (size_t)hp->n_kv_heads * hp->dim_v;
    size_t q_and_k = ((size_t)hp->n_heads + hp->n_kv_heads) * hp->dim_k;
    if (can_fold(k, VIEW(v)) && add_view(k, &o, VIEW(o)))
        VG_TRY(one_group(k, &o, fused ? q_and_k : 0, &told[TOLD_O], err));
    return VG_OK;
}

/* Experts keep theirs: their norm is also the router's, and some see too few tokens. */
static vg_status mlp_groups(calib *k, vg_compress_awq *told, vg_err *err)
{
    const vg_hparams *hp = &k->model->hp;
    group up = new_group(k, IN_UP), down = new_group(k, IN_DOWN);
    if (hp->flags & A_MOE) return VG_OK;
    if (add_view(k, &up, VIEW(gate)) && add_view(k, &up, VIEW(up)))
        VG_TRY(one_group(k, &up, 0, &told[TOLD_UP], err));
    if (can_fold(k, VIEW(up)) && add_view(k, &down, VIEW(down)))
        VG_TRY(one_group(k, &down, hp->flags & A_FUSED ? hp->n_ff : 0, &told[TOLD_DOWN], err));
    return VG_OK;
}

/* A layer that is done again, after a stop, was told of. */
static void tell(calib *k, const vg_compress_awq *told)
{
    vg_compress *c = k->c;
    if (k->n_done < c->n_awq_layers) return;
    c->n_awq_layers = k->n_done + 1;
    for (size_t i = 0; i < VG_AWQ_GROUPS; i++) {
        c->awq[i].n_layers += told[i].n_layers;
        c->awq[i].n_scaled += told[i].n_scaled;
        c->awq[i].n_clipped += told[i].n_clipped;
        c->awq[i].before += told[i].before;
        c->awq[i].after += told[i].after;
        c->awq[i].norm += told[i].norm;
        c->awq[i].seconds += told[i].seconds;
    }
}

void awq_before(calib *k)
{
    awq *a = k->awq;
    memcpy(a->x, k->x, a->x_bytes);
    for (size_t slot = 0; slot < N_IN; slot++) k->in[slot].scaled = k->in[slot].clipped = false;
}

vg_status awq_layer(calib *k, vg_err *err)
{
    awq *a = k->awq;
    vg_compress_awq told[VG_AWQ_GROUPS] = {{0}};
    vg_layers_watch(k->layers, false);
    memcpy(a->want, a->x, a->x_bytes);
    vg_layers_attention(k->layers, &k->now, a->want, a->n_tok);
    VG_TRY(attention_groups(k, told, err));
    memcpy(a->x, a->want, a->x_bytes);
    vg_layers_mlp(k->layers, &k->now, a->want, a->n_tok);
    VG_TRY(mlp_groups(k, told, err));
    tell(k, told);
    return VG_OK;
}

/* inputs.c: sums over what comes into matrices, by column and by pairs of columns that stand in one
 * run (feedback.h). A column's sum goes row by row, in floats over the rows of one call and in
 * doubles over calls, so it is the same for any number of threads, which share out the runs. */
#include <math.h>

#include "compress/calib_int.h"

enum { COLS = VG_FEEDBACK_COLS };

/* Fewer rows than this for each column of a run tell more of themselves than of the columns. */
enum { ROWS_OF_COLUMN = 2 };

static const float least_importance = 1e-6f; /* of the mean */

static size_t n_in_of(const vg_hparams *hp, input_slot slot)
{
    switch (slot) {
    case IN_QKV:
    case IN_UP:
    case IN_OUTPUT: return hp->width;
    case IN_O: return (size_t)hp->n_heads * hp->dim_v;
    case IN_DOWN: return hp->n_ff;
    case N_IN: break;
    }
    return 0;
}

vg_status inputs_new(calib *k, vg_err *err)
{
    const vg_hparams *hp = &k->model->hp;
    for (size_t slot = 0; slot < N_IN; slot++) {
        inputs *in = &k->in[slot];
        bool experts = hp->flags & A_MOE && (slot == IN_UP || slot == IN_DOWN);
        in->n_in = n_in_of(hp, (input_slot)slot);
        in->n_stack = experts ? hp->n_experts : 1;
        size_t n = in->n_in * in->n_stack;
        if (n == 0) continue;
        in->square = VG_ARENA_ARRAY(k->arena, double, n);
        in->size = VG_ARENA_ARRAY(k->arena, double, n);
        in->importance = VG_ARENA_ARRAY(k->arena, float, n);
        in->n_rows = VG_ARENA_ARRAY(k->arena, uint64_t, in->n_stack);
        in->has_factors = VG_ARENA_ARRAY(k->arena, bool, in->n_stack);
        if (!in->square || !in->size || !in->importance || !in->n_rows || !in->has_factors)
            return VG_FAIL_MEMORY(err, n * 3 * sizeof(double));
        if (k->c->opts.no_feedback) continue;
        in->n_floats = vg_feedback_floats(in->n_in);
        size_t bytes = in->n_stack * in->n_floats * sizeof *in->products;
        in->products = vg_os_pages_new(bytes);
        if (!in->products) return VG_FAIL_MEMORY(err, bytes);
    }
    return VG_OK;
}

void inputs_free(calib *k)
{
    for (size_t slot = 0; slot < N_IN; slot++) {
        inputs *in = &k->in[slot];
        vg_os_pages_free(in->products, in->n_stack * in->n_floats * sizeof *in->products);
    }
}

void inputs_begin(calib *k)
{
    for (size_t slot = 0; slot < N_IN; slot++) {
        inputs *in = &k->in[slot];
        if (!in->n_in) continue;
        memset(in->square, 0, in->n_stack * in->n_in * sizeof *in->square);
        memset(in->size, 0, in->n_stack * in->n_in * sizeof *in->size);
        memset(in->n_rows, 0, in->n_stack * sizeof *in->n_rows);
        if (in->products) memset(in->products, 0, in->n_stack * in->n_floats * sizeof(float));
    }
}

typedef struct adding {
    const float *x; /* [n_rows, n_in] */
    size_t n_rows, n_in;
    double *square, *size;
    float *products; /* NULL: none are kept */
} adding;

static void add_part(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(thread);
    const adding *a = arg;
    size_t first = (size_t)part * COLS, n = VG_MIN(a->n_in - first, (size_t)COLS);
    float square[COLS] = {0}, size[COLS] = {0};
    for (size_t r = 0; r < a->n_rows; r++) {
        const float *x = a->x + r * a->n_in + first;
        for (size_t i = 0; i < n; i++) {
            square[i] += x[i] * x[i];
            size[i] += fabsf(x[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        a->square[first + i] += (double)square[i];
        a->size[first + i] += (double)size[i];
    }
    if (a->products) vg_feedback_add(a->products, part, a->x, a->n_in, a->n_rows);
}

void inputs_add(calib *k, input_slot slot, size_t expert, const float *x, size_t n_rows)
{
    inputs *in = &k->in[slot];
    size_t at = expert * in->n_in, n_parts = (in->n_in + COLS - 1) / COLS;
    adding a = {.x = x, .n_rows = n_rows, .n_in = in->n_in, .square = in->square + at,
                .size = in->size + at};
    if (in->products) a.products = in->products + expert * in->n_floats;
    in->n_rows[expert] += n_rows;
    vg_pool_run(k->c->pool, (uint32_t)n_parts, add_part, &a);
}

bool inputs_feed(const inputs *in, size_t expert)
{
    return in->products && in->n_rows[expert] >= ROWS_OF_COLUMN * VG_MIN(in->n_in, (size_t)COLS);
}

/* Of one expert's columns. A column that this text leaves out may be another's, so none is 0; an
 * expert that no token came to has all columns alike. */
static void end_matrix(inputs *in, size_t expert)
{
    double n = (double)VG_MAX(in->n_rows[expert], (uint64_t)1), mean = 0;
    double *square = in->square + expert * in->n_in, *size = in->size + expert * in->n_in;
    float *importance = in->importance + expert * in->n_in;
    for (size_t i = 0; i < in->n_in; i++) {
        square[i] /= n;
        size[i] /= n;
        mean += square[i] / (double)in->n_in;
    }
    for (size_t i = 0; i < in->n_in; i++) {
        float v = mean > 0 ? (float)(square[i] / mean) : 1.0f;
        importance[i] = VG_MAX(v, least_importance);
    }
}

void inputs_end(calib *k)
{
    for (size_t slot = 0; slot < N_IN; slot++)
        for (size_t x = 0; k->in[slot].n_in && x < k->in[slot].n_stack; x++)
            end_matrix(&k->in[slot], x);
}

vg_status inputs_factor(calib *k, vg_err *err)
{
    for (size_t slot = 0; slot < N_IN; slot++) {
        inputs *in = &k->in[slot];
        for (size_t x = 0; in->products && x < in->n_stack; x++) {
            in->has_factors[x] = inputs_feed(in, x);
            if (in->has_factors[x])
                VG_TRY(vg_feedback_make(in->products + x * in->n_floats, in->n_in, err));
        }
    }
    return VG_OK;
}

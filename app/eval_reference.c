/* The logits of a reference model in a file, 16 bits each: a head that says of which tokens they
 * are, then a row for each scored position. A row has its largest logit, the step, the logarithm of
 * the sum of exp(logit - max) as it was before rounding, and the best token; codes count steps down
 * from the largest. Rounding moves a logit by at most half a step, a 131070th of the row's range.
 * The file appears when it is complete; one that is cut, or of another text, is refused. */
#include <errno.h>
#include <math.h>

#include "app/eval.h"

static const char magic[] = "VGLOGITS";

enum { CODE_MAX = 65535 };

static vg_status make_buffers(eval_reference *r, vg_err *err)
{
    size_t n = r->head.n_vocab;
    r->code = vg_mem_new(n * sizeof *r->code);
    r->logit = vg_mem_new(n * sizeof *r->logit);
    return r->code && r->logit ? VG_OK : VG_FAIL_MEMORY(err, n * sizeof *r->logit);
}

static uint64_t row_bytes(uint32_t n_vocab)
{
    return sizeof(eval_reference_row) + (uint64_t)n_vocab * sizeof(uint16_t);
}

/* ---- writing -------------------------------------------------------------------------------- */

vg_status eval_reference_create(eval_reference *r, const char *path,
                                const eval_reference_head *head, vg_err *err)
{
    *r = (eval_reference){.head = *head, .path = path, .out = {.fd = -1}};
    VG_TRY(make_buffers(r, err));
    VG_TRY(vg_new_file_begin(&r->out, path, err));
    return vg_new_file_put(&r->out, head, sizeof *head, err);
}

vg_status eval_reference_put(eval_reference *r, const eval_row *row, vg_err *err)
{
    size_t n = r->head.n_vocab;
    float min = row->max;
    for (size_t i = 0; i < n; i++) min = row->logit[i] < min ? row->logit[i] : min;
    eval_reference_row h = {.max = row->max, .step = (row->max - min) / CODE_MAX,
                            .log_sum = (float)row->log_sum, .top = row->top};
    float scale = h.step > 0 ? 1 / h.step : 0;
    if (!isfinite(scale)) scale = 0;
    for (size_t i = 0; i < n; i++) {
        float code = (row->max - row->logit[i]) * scale + 0.5f;
        r->code[i] = (uint16_t)VG_MIN((int32_t)code, CODE_MAX);
    }
    VG_TRY(vg_new_file_put(&r->out, &h, sizeof h, err));
    VG_TRY(vg_new_file_put(&r->out, r->code, n * sizeof *r->code, err));
    r->n_done++;
    return VG_OK;
}

vg_status eval_reference_finish(eval_reference *r, vg_err *err)
{
    assert(r->n_done == r->head.n_rows);
    return vg_new_file_end(&r->out, err);
}

void eval_reference_close(eval_reference *r)
{
    if (r->out.fd >= 0) vg_new_file_abandon(&r->out);
    if (r->in) fclose(r->in);
    vg_mem_free(r->code);
    vg_mem_free(r->logit);
    *r = (eval_reference){.out = {.fd = -1}};
}

/* ---- reading -------------------------------------------------------------------------------- */

static vg_status check_head(const eval_reference *r, const eval_reference_head *want, vg_err *err)
{
    const eval_reference_head *h = &r->head;
    if (memcmp(h->magic, magic, sizeof h->magic) != 0)
        return VG_FAIL(err, VG_E_FORMAT, "%s holds no logits of verge eval", r->path);
    if (h->version != want->version)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%s is of version %u, this build reads %u", r->path,
                       h->version, want->version);
    if (h->n_vocab != want->n_vocab)
        return VG_FAIL(err, VG_E_FORMAT, "%s is of a vocabulary of %u tokens, the model's has %u",
                       r->path, h->n_vocab, want->n_vocab);
    if (h->ctx_tok != want->ctx_tok || h->stride != want->stride || h->n_chunks != want->n_chunks ||
        h->n_rows != want->n_rows)
        return VG_FAIL(err, VG_E_FORMAT,
                       "%s is of %u chunks of %u tokens with stride %u, asked for are %u of %u "
                       "with stride %u: give the same --ctx, --chunks and --stride", r->path,
                       h->n_chunks, h->ctx_tok, h->stride, want->n_chunks, want->ctx_tok,
                       want->stride);
    if (h->token_hash != want->token_hash)
        return VG_FAIL(err, VG_E_FORMAT,
                       "%s is of another text, or of one that another tokenizer cut", r->path);
    return VG_OK;
}

vg_status eval_reference_open(eval_reference *r, const char *path,
                              const eval_reference_head *want, vg_err *err)
{
    *r = (eval_reference){.path = path, .out = {.fd = -1}};
    r->in = fopen(path, "rb");
    if (!r->in)
        return VG_FAIL(err, errno == ENOENT ? VG_E_NOT_FOUND : VG_E_IO, "%s: %s", path,
                       strerror(errno));
    if (fread(&r->head, sizeof r->head, 1, r->in) != 1)
        return VG_FAIL(err, VG_E_FORMAT, "%s holds no logits of verge eval", path);
    VG_TRY(check_head(r, want, err));
    uint64_t bytes = sizeof r->head + r->head.n_rows * row_bytes(r->head.n_vocab);
    long long end = fseeko(r->in, 0, SEEK_END) ? -1 : (long long)ftello(r->in);
    if (end < 0 || (uint64_t)end != bytes || fseeko(r->in, (off_t)sizeof r->head, SEEK_SET))
        return VG_FAIL(err, VG_E_FORMAT, "%s has %lld bytes, its head speaks of %llu", path, end,
                       (unsigned long long)bytes);
    return make_buffers(r, err);
}

vg_status eval_reference_next(eval_reference *r, eval_row *row, vg_err *err)
{
    eval_reference_row h;
    size_t n = r->head.n_vocab;
    if (fread(&h, sizeof h, 1, r->in) != 1 || fread(r->code, sizeof *r->code, n, r->in) != n)
        return VG_FAIL(err, VG_E_IO, "%s: row %llu cannot be read", r->path,
                       (unsigned long long)r->n_done);
    if (!isfinite(h.max) || !isfinite(h.step) || h.step < 0 || !isfinite(h.log_sum) || h.top >= n)
        return VG_FAIL(err, VG_E_FORMAT, "%s: row %llu holds no logits", r->path,
                       (unsigned long long)r->n_done);
    for (size_t i = 0; i < n; i++) r->logit[i] = h.max - h.step * (float)r->code[i];
    r->n_done++;
    *row = (eval_row){.logit = r->logit, .max = h.max, .log_sum = (double)h.log_sum, .top = h.top};
    return VG_OK;
}

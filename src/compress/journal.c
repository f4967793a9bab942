/* journal.c: what a run that was stopped had done: PATH.journal, beside PATH.part. It is a small
 * file, written anew each time (whole or not at all) after the tensors that it tells of are safe on
 * the disk, and holds for one plan alone: the same input, types and version. */
#include "compress/compress_int.h"

#include <stdio.h>

static const char magic[8] = "vgjourn3";

typedef struct head {
    char magic[8];
    uint64_t plan, n_done, check; /* check: a hash of the entries */
    uint64_t n_awq_layers;
    vg_compress_awq awq[VG_AWQ_GROUPS];
} head;

typedef struct entry {
    double error, norm, plain, seconds;
} entry;

static vg_status journal_path(const char *path, char out[VG_PATH_BYTES], vg_err *err)
{
    int n = snprintf(out, VG_PATH_BYTES, "%s.journal", path);
    return n > 0 && n < VG_PATH_BYTES ? VG_OK
                                      : VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
}

static uint64_t add(uint64_t h, const void *p, size_t n)
{
    uint64_t both[2] = {h, vg_hash(p, n)};
    return vg_hash(both, sizeof both);
}

uint64_t compress_input_hash(const vg_compress *c)
{
    uint64_t h = vg_hash(vg_version(), strlen(vg_version()));
    for (uint32_t i = 0; i < vg_gguf_n_parts(c->g); i++) {
        vg_file_stamp s = vg_gguf_stamp(c->g, i);
        const uint64_t facts[] = {s.n_bytes, s.modified_ns};
        h = add(h, facts, sizeof facts);
    }
    return h;
}

uint64_t journal_plan(const vg_compress *c)
{
    const vg_compress_opts *o = &c->opts;
    uint64_t h = compress_input_hash(c);
    const uint64_t how[] = {c->file_type, c->kv, c->calib_hash, o->calib_tok, o->awq,
                            o->no_feedback, o->no_importance};
    h = add(h, how, sizeof how);
    for (size_t i = 0; i < c->n; i++) {
        const vg_compress_tensor *t = &c->tensor[i];
        const uint64_t facts[] = {t->to, t->from->type, t->n_bytes, t->from->n_bytes};
        h = add(h, t->from->name.p, t->from->name.n);
        h = add(h, facts, sizeof facts);
    }
    return h;
}

vg_status journal_read(vg_compress *c, const char *path, size_t *n_done, vg_err *err)
{
    char name[VG_PATH_BYTES];
    vg_file f;
    head h = {0};
    VG_TRY(journal_path(path, name, err));
    VG_TRY(vg_file_map(&f, name, err));
    if (f.n >= sizeof h) memcpy(&h, f.data, sizeof h);
    bool ok = memcmp(h.magic, magic, sizeof magic) == 0 && h.n_done <= c->n &&
              f.n == sizeof h + h.n_done * sizeof(entry) &&
              vg_hash(f.data + sizeof h, f.n - sizeof h) == h.check;
    vg_status st = VG_OK;
    if (!ok) st = VG_FAIL(err, VG_E_FORMAT, "%s: damaged; run again without --resume", name);
    else if (h.plan != journal_plan(c))
        st = VG_FAIL(err, VG_E_FORMAT,
                     "%s: it belongs to a run with another input, other options or another "
                     "version; run again without --resume", name);
    for (uint64_t i = 0; !st && i < h.n_done; i++) {
        entry e;
        memcpy(&e, f.data + sizeof h + i * sizeof e, sizeof e);
        c->tensor[i].loss = (vg_quantise_loss){e.error, e.norm};
        c->tensor[i].plain_error = e.plain;
        c->tensor[i].seconds = e.seconds;
    }
    if (!st) {
        *n_done = (size_t)h.n_done;
        c->n_awq_layers = (uint32_t)h.n_awq_layers;
        memcpy(c->awq, h.awq, sizeof c->awq);
    }
    vg_file_unmap(&f);
    return st;
}

vg_status journal_write(const vg_compress *c, const char *path, size_t n_done, vg_err *err)
{
    char name[VG_PATH_BYTES];
    vg_buf b;
    VG_TRY(journal_path(path, name, err));
    vg_buf_init(&b, sizeof(head) + n_done * sizeof(entry));
    head h = {.plan = journal_plan(c), .n_done = n_done, .n_awq_layers = c->n_awq_layers};
    memcpy(h.awq, c->awq, sizeof h.awq);
    memcpy(h.magic, magic, sizeof magic);
    vg_buf_add(&b, &h, sizeof h);
    for (size_t i = 0; i < n_done; i++) {
        const vg_compress_tensor *t = &c->tensor[i];
        entry e = {t->loss.error, t->loss.norm, t->plain_error, t->seconds};
        vg_buf_add(&b, &e, sizeof e);
    }
    vg_status st = vg_buf_check(&b, "the journal", err);
    vg_new_file f = {.fd = -1};
    if (!st) {
        h.check = vg_hash(b.data + sizeof h, b.n - sizeof h);
        memcpy(b.data, &h, sizeof h);
        st = vg_new_file_begin(&f, name, err);
    }
    if (!st) {
        st = vg_new_file_put(&f, b.data, b.n, err);
        if (st) vg_new_file_abandon(&f);
        else st = vg_new_file_end(&f, err);
    }
    vg_buf_clear(&b);
    return st;
}

void journal_remove(const char *path)
{
    char name[VG_PATH_BYTES];
    if (!journal_path(path, name, NULL)) remove(name);
}

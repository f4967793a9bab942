/* inspect_selftest.c: runs the kernels of every instruction set that this CPU has against the plain
 * C ones, and prints which may be used: those of a model's types, or all there are. A model's
 * matrices are tried in both layouts, because it may be run with --no-repack. */
#include <stdio.h>

#include "app/inspect.h"
#include "app/json_print.h"
#include "kern/selftest.h"

typedef struct printer {
    vg_buf *json; /* NULL: text */
    const char *isa;
    size_t n, n_failed;
} printer;

static void print_kernel(void *user, const char *kernel, bool ok)
{
    printer *p = user;
    if (p->json) {
        vg_json_begin(p->json, NULL, '{');
        vg_json_text(p->json, "isa", p->isa);
        vg_json_text(p->json, "kernel", kernel);
        vg_json_bool(p->json, "ok", ok);
        vg_json_end(p->json, '}');
    } else {
        printf("%-8s %-24s %s\n", p->isa, kernel, ok ? "ok" : "FELL BACK to plain C");
    }
    p->n++;
    p->n_failed += !ok;
}

/* The types of a model's matrices, in both layouts, and all kinds of cache. */
static vg_status read_set(const char *path, vg_selftest_set *set, vg_err *err)
{
    vg_model *m = NULL;
    vg_model_opts opts = {.no_repack = true};
    VG_TRY(vg_model_open(&m, path, &opts, err));
    memset(set->rows, 0, sizeof set->rows);
    for (size_t i = 0; i < vg_model_n_views(m); i++) {
        const vg_tensor *t = vg_model_view(m, i);
        if (t->data && t->n_rows > 1) set->rows[t->type] = true;
    }
    memcpy(set->interleaved, set->rows, sizeof set->rows);
    vg_model_unref(m);
    return VG_OK;
}

vg_status inspect_self_test(const char *path, bool json, bool *ok, vg_err *err)
{
    enum { CAP_BYTES = 1 << 20 };
    vg_selftest_set set = vg_selftest_all();
    if (path) VG_TRY(read_set(path, &set, err));
    vg_buf b;
    vg_buf_init(&b, CAP_BYTES);
    printer p = {.json = json ? &b : NULL};
    vg_json_begin(&b, NULL, '{');
    vg_json_begin(&b, "kernels", '[');
    vg_status st = VG_OK;
    const vg_kern *const *k = vg_kern_all();
    if (k[1]) k++; /* plain C is what the others are held against */
    for (; *k && !st; k++) {
        vg_kern table = **k;
        p.isa = table.isa;
        st = vg_selftest(&table, &set, print_kernel, &p, err);
    }
    vg_json_end(&b, ']');
    vg_json_count(&b, "failed", p.n_failed);
    vg_json_end(&b, '}');
    if (json) st = json_print(&b, st, err);
    else if (!st) printf("%zu of %zu kernels give the bits of plain C.\n", p.n - p.n_failed, p.n);
    vg_buf_clear(&b);
    *ok = p.n_failed == 0;
    return st;
}

/* compress_print.c: the end of `verge compress`. Tensors of the layers are told together by their
 * name and types; the error is what the quantisation lost of the weights, the root of the squared
 * error over the root of the squared weights. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/compress.h"
#include "app/json_print.h"

enum { MAX_GROUPS = 256, JSON_CAP_BYTES = 1 << 28 };

typedef struct group { /* tensors of one name, whatever the layer, and the same types */
    const vg_compress_tensor *first;
    size_t n;
    uint64_t bytes;
    vg_quantise_loss loss;
    double plain_error, seconds;
} group;

static vg_str without_layer(vg_str name)
{
    if (!vg_str_starts(name, VG_STR("blk."))) return name;
    size_t i = 4;
    while (i < name.n && name.p[i] != '.') i++;
    i += i < name.n;
    return (vg_str){name.p + i, name.n - i};
}

static bool same_group(const vg_compress_tensor *a, const vg_compress_tensor *b)
{
    return a->to == b->to && a->from->type == b->from->type && a->wanted == b->wanted &&
           a->copied == b->copied &&
           vg_str_eq(without_layer(a->from->name), without_layer(b->from->name));
}

/* The root of the squared error over the root of the squares. */
static double lost(double error, double norm)
{
    return norm > 0 ? sqrt(error / norm) : 0;
}

/* Beyond MAX_GROUPS the last one takes the rest. */
static size_t collect(const vg_compress *c, group *g)
{
    size_t n = 0;
    for (size_t i = 0; i < vg_compress_n(c); i++) {
        const vg_compress_tensor *t = vg_compress_at(c, i);
        size_t k = 0;
        while (k < n && !same_group(g[k].first, t)) k++;
        k = VG_MIN(k, (size_t)MAX_GROUPS - 1);
        if (k == n) g[n++] = (group){.first = t};
        g[k].n++;
        g[k].bytes += t->n_bytes;
        g[k].loss.error += t->loss.error;
        g[k].loss.norm += t->loss.norm;
        g[k].plain_error += t->plain_error;
        g[k].seconds += t->seconds;
    }
    return n;
}

static const char *type_name(vg_dtype type)
{
    return vg_dtype_get(type)->name;
}

static const char *note_of(const vg_compress_tensor *t, char out[64])
{
    out[0] = '\0';
    if (t->kept)
        snprintf(out, 64, "  kept: %s is not smaller", type_name(t->wanted));
    else if (t->to != t->wanted)
        snprintf(out, 64, "  %s does not fit rows of %" PRIu64, type_name(t->wanted),
                 t->from->dim[0]);
    return out;
}

/* After a calibration: what a search without it would have lost, and what was lost. */
static void print_lost(const group *g, bool calibrated)
{
    if (g->plain_error > 0) printf(" %7.3f%%", 100 * lost(g->plain_error, g->loss.norm));
    else if (calibrated) printf(" %8s", "");
    printf(" %7.3f%%", 100 * lost(g->loss.error, g->loss.norm));
}

static void print_groups(const compress_result *r)
{
    group g[MAX_GROUPS];
    size_t n = collect(r->c, g);
    char size[32], note[64];
    bool calibrated = vg_compress_calib(r->c).n_tok > 0;
    printf("%-28s %4s %-7s    %-7s %9s %8s%s %8s\n", "tensors", "", "from", "to", "size",
           calibrated ? "plain" : "error", calibrated ? "    error" : "", "seconds");
    for (size_t i = 0; i < n; i++) {
        const vg_compress_tensor *t = g[i].first;
        vg_str name = without_layer(t->from->name);
        cli_print_clean(name.p, VG_MIN(name.n, (size_t)60));
        printf("%*s %4zu %-7s", (int)(name.n < 28 ? 28 - name.n : 0), "", g[i].n,
               type_name((vg_dtype)t->from->type));
        printf(t->copied ? " %3s%7s" : " -> %s%-7s", "", t->copied ? "" : type_name(t->to));
        printf(" %9s", cli_bytes(g[i].bytes, size));
        if (t->copied) printf("%*s", calibrated ? 18 : 9, "");
        else print_lost(&g[i], calibrated);
        printf(" %8.2f%s\n", g[i].seconds, note_of(t, note));
    }
}

static const char *const awq_groups[VG_AWQ_GROUPS] = {"attn_q, attn_k, attn_v", "attn_output",
                                                      "ffn_gate, ffn_up", "ffn_down"};

/* Of the blocks' outputs. */
static void print_awq(const vg_compress *c)
{
    printf("\n%-28s %6s %6s %7s %8s %8s %8s\n", "AWQ", "layers", "scaled", "clipped", "before",
           "after", "seconds");
    for (size_t i = 0; i < VG_AWQ_GROUPS; i++) {
        const vg_compress_awq *a = vg_compress_awq_at(c, i);
        if (a->n_layers)
            printf("%-28s %6zu %6zu %7zu %7.3f%% %7.3f%% %8.2f\n", awq_groups[i], a->n_layers,
                   a->n_scaled, a->n_clipped, 100 * lost(a->before, a->norm),
                   100 * lost(a->after, a->norm), a->seconds);
    }
}

static void print_text(const compress_result *r, uint64_t out_bytes, vg_quantise_loss loss)
{
    char before[32], after[32];
    print_groups(r);
    if (vg_compress_calib(r->c).awq) print_awq(r->c);
    printf("\n%s: %s of %s (%.1f%%), error %.3f%%, %.1f s\n", r->path, cli_bytes(out_bytes, after),
           cli_bytes(r->in_bytes, before),
           100.0 * (double)out_bytes / (double)VG_MAX(r->in_bytes, (uint64_t)1),
           100 * lost(loss.error, loss.norm), r->seconds);
    vg_compress_calib_info calib = vg_compress_calib(r->c);
    if (calib.n_tok)
        printf("calibrated with %zu tokens in %.1f s; errors are of what the matrices give, not of "
               "the weights\n", calib.n_tok, calib.seconds);
    if (vg_compress_resumed(r->c))
        printf("%zu of %zu tensors were there from the run before\n", vg_compress_resumed(r->c),
               vg_compress_n(r->c));
}

static void put_awq(vg_buf *b, const vg_compress *c)
{
    vg_json_begin(b, "awq", '[');
    for (size_t i = 0; i < VG_AWQ_GROUPS; i++) {
        const vg_compress_awq *a = vg_compress_awq_at(c, i);
        vg_json_begin(b, NULL, '{');
        vg_json_text(b, "tensors", awq_groups[i]);
        vg_json_count(b, "layers", a->n_layers);
        vg_json_count(b, "scaled", a->n_scaled);
        vg_json_count(b, "clipped", a->n_clipped);
        vg_json_real(b, "before", lost(a->before, a->norm));
        vg_json_real(b, "after", lost(a->after, a->norm));
        vg_json_round(b, "seconds", a->seconds, 6);
        vg_json_end(b, '}');
    }
    vg_json_end(b, ']');
}

static void put_tensor(vg_buf *b, const vg_compress_tensor *t)
{
    vg_json_begin(b, NULL, '{');
    vg_json_str(b, "name", t->from->name);
    vg_json_text(b, "from", type_name((vg_dtype)t->from->type));
    vg_json_text(b, "to", type_name(t->to));
    vg_json_text(b, "wanted", type_name(t->wanted));
    vg_json_count(b, "bytes", t->n_bytes);
    vg_json_real(b, "error", lost(t->loss.error, t->loss.norm));
    if (t->plain_error > 0) vg_json_real(b, "plain_error", lost(t->plain_error, t->loss.norm));
    vg_json_round(b, "seconds", t->seconds, 6);
    vg_json_end(b, '}');
}

static void put_target(vg_buf *b, const compress_target *t)
{
    char text[120];
    if (!t->name) return;
    plan_advice_text(&t->advice, text, sizeof text);
    vg_json_begin(b, "target", '{');
    vg_json_text(b, "name", t->name);
    vg_json_text(b, "step", plan_step_names[t->advice.step]);
    vg_json_text(b, "advice", text);
    vg_json_count(b, "ctx", t->use.ctx_tok);
    vg_json_count(b, "users", t->use.n_users);
    vg_json_count(b, "room_bytes", (uint64_t)t->room_bytes);
    vg_json_count(b, "planned_bytes", (uint64_t)t->planned_bytes);
    vg_json_end(b, '}');
}

static vg_status print_json(const compress_result *r, uint64_t out_bytes, vg_quantise_loss loss,
                            vg_err *err)
{
    vg_compress_calib_info calib = vg_compress_calib(r->c);
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "output", r->path);
    vg_json_count(&b, "input_bytes", r->in_bytes);
    vg_json_count(&b, "output_bytes", out_bytes);
    vg_json_text(&b, "kv", cli_kv_word(vg_compress_kv(r->c)));
    put_target(&b, r->target);
    vg_json_real(&b, "error", lost(loss.error, loss.norm));
    vg_json_round(&b, "seconds", r->seconds, 6);
    vg_json_count(&b, "calib_tokens", calib.n_tok);
    vg_json_round(&b, "calib_seconds", calib.seconds, 6);
    if (calib.awq) put_awq(&b, r->c);
    vg_json_count(&b, "resumed", vg_compress_resumed(r->c));
    vg_json_begin(&b, "tensors", '[');
    for (size_t i = 0; i < vg_compress_n(r->c); i++) put_tensor(&b, vg_compress_at(r->c, i));
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

vg_status compress_print(const compress_result *r, bool json, vg_err *err)
{
    vg_file f;
    VG_TRY(vg_file_map(&f, r->path, err));
    uint64_t out_bytes = f.n;
    vg_file_unmap(&f);
    vg_quantise_loss loss = {0};
    for (size_t i = 0; i < vg_compress_n(r->c); i++) {
        loss.error += vg_compress_at(r->c, i)->loss.error;
        loss.norm += vg_compress_at(r->c, i)->loss.norm;
    }
    if (json) return print_json(r, out_bytes, loss, err);
    print_text(r, out_bytes, loss);
    return VG_OK;
}

/* Two fields of llama-server that are small languages: "samplers", the order of samplers by names
 * or by letters, and "logit_bias", pairs or a map, of ids or of texts. The order of our samplers is
 * fixed, and is llama-server's default: a list that leaves some out turns them off, one in another
 * order is refused. */
#include <math.h>
#include <stdio.h>

#include "serve/llama_int.h"

typedef enum sampler {
    PENALTIES,
    DRY,
    TOP_N_SIGMA,
    TOP_K,
    TYPICAL,
    TOP_P,
    MIN_P,
    XTC,
    TEMPERATURE,
    N_SAMPLERS
} sampler;

static const struct {
    const char *name, *other_name;
    char letter;
} samplers[N_SAMPLERS] = {
    [PENALTIES] = {"penalties", "penalties", 'e'},
    [DRY] = {"dry", "dry", 'd'},
    [TOP_N_SIGMA] = {"top_n_sigma", "top-n-sigma", 's'},
    [TOP_K] = {"top_k", "top-k", 'k'},
    [TYPICAL] = {"typ_p", "typical_p", 'y'},
    [TOP_P] = {"top_p", "top-p", 'p'},
    [MIN_P] = {"min_p", "min-p", 'm'},
    [XTC] = {"xtc", "xtc", 'x'},
    [TEMPERATURE] = {"temperature", "temp", 't'},
};

static void turn_off(vg_sampling *s, const bool used[N_SAMPLERS])
{
    if (!used[PENALTIES]) {
        s->repeat_penalty = 1;
        s->presence_penalty = s->frequency_penalty = 0;
    }
    if (!used[DRY]) s->dry_multiplier = 0;
    if (!used[TOP_K]) s->top_k = 0;
    if (!used[TYPICAL]) s->typical_p = 1;
    if (!used[TOP_P]) s->top_p = 1;
    if (!used[MIN_P]) s->min_p = 0;
    if (!used[TEMPERATURE]) s->temp = 1;
}

static sampler find_sampler(const vg_json *list, size_t i)
{
    int k = 0;
    bool by_letter = list->kind == VG_JSON_STRING;
    for (; k < N_SAMPLERS; k++) {
        if (by_letter && samplers[k].letter == list->str.p[i]) break;
        if (by_letter || list->item[i]->kind != VG_JSON_STRING) continue;
        vg_str name = list->item[i]->str;
        if (vg_str_is(name, samplers[k].name) || vg_str_is(name, samplers[k].other_name)) break;
    }
    return (sampler)k;
}

vg_status vg_llama_samplers(vg_sampling *s, const vg_json *list, vg_err *err)
{
    bool used[N_SAMPLERS] = {false};
    int last = -1;
    if (list->kind != VG_JSON_ARRAY && list->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE, "samplers: must be an array of names, or letters");
    size_t n = list->kind == VG_JSON_STRING ? list->str.n : list->n;
    for (size_t i = 0; i < n; i++) {
        sampler k = find_sampler(list, i);
        if (k == N_SAMPLERS)
            return VG_FAIL(err, VG_E_UNSUPPORTED, "samplers: not supported: number %zu", i);
        if ((int)k <= last)
            return VG_FAIL(err, VG_E_UNSUPPORTED,
                           "samplers: not supported: an order other than penalties, dry, "
                           "top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature");
        used[k] = true;
        last = (int)k;
    }
    turn_off(s, used);
    return VG_OK;
}

/* ---- logit_bias ------------------------------------------------------------------------------ */

static vg_status read_amount(const vg_json *v, float *out, vg_err *err)
{
    if (v->kind == VG_JSON_BOOL && !v->boolean) {
        *out = -INFINITY;
        return VG_OK;
    }
    vg_status st = vg_field_real(v, -1e9, 1e9, out, err);
    return st ? vg_err_context(err, st, "logit_bias: a bias") : VG_OK;
}

/* A key of the map: an id in decimal digits, or a text. */
static void read_key(vg_str key, vg_ask_bias *b)
{
    int64_t id = 0;
    bool digits = key.n > 0 && key.n < 10;
    for (size_t i = 0; i < key.n && digits; i++) {
        digits = key.p[i] >= '0' && key.p[i] <= '9';
        id = id * 10 + (key.p[i] - '0');
    }
    b->id = digits ? (int32_t)id : -1;
    b->text = digits ? (vg_str){0} : key;
}

static vg_status read_pair(const vg_json *pair, vg_ask_bias *b, vg_err *err)
{
    if (pair->kind != VG_JSON_ARRAY || pair->n != 2)
        return VG_FAIL(err, VG_E_USAGE, "logit_bias: must be pairs of a token and a bias");
    if (pair->item[0]->kind == VG_JSON_STRING) {
        *b = (vg_ask_bias){.id = -1, .text = pair->item[0]->str};
    } else {
        int64_t id = 0;
        vg_status st = vg_field_int(pair->item[0], 0, INT32_MAX, &id, err);
        if (st) return vg_err_context(err, st, "logit_bias: a token");
        *b = (vg_ask_bias){.id = (int32_t)id};
    }
    return read_amount(pair->item[1], &b->add, err);
}

vg_status vg_llama_bias(vg_request *r, const vg_json *v, vg_err *err)
{
    if (v->kind != VG_JSON_ARRAY && v->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "logit_bias: must be an array of pairs, or an object");
    vg_ask_bias *bias = VG_ARENA_ARRAY(r->arena, vg_ask_bias, v->n + 1);
    if (!bias) return VG_FAIL_MEMORY(err, v->n * sizeof *bias);
    for (size_t i = 0; i < v->n; i++) {
        if (v->kind == VG_JSON_ARRAY) {
            VG_TRY(read_pair(v->item[i], &bias[i], err));
        } else {
            read_key(v->key[i], &bias[i]);
            VG_TRY(read_amount(v->item[i], &bias[i].add, err));
        }
        if (bias[i].id < 0 && !bias[i].text.n)
            return VG_FAIL(err, VG_E_USAGE, "logit_bias: an empty text is no token");
    }
    r->bias = bias;
    r->n_bias = v->n;
    return VG_OK;
}

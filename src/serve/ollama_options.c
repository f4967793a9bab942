/* Ollama's "options" and "keep_alive". The table has every option of its API and of its Python
 * client: what changes an answer is honoured or refused by name; what only says how to compute it
 * (threads, batch, GPU layers) is the server's to decide, and passes.
 *
 * A context that is larger than the served one is not cut in silence: the request says what it
 * needs, and the error comes from the place that knows what there is. */
#include <math.h>

#include "serve/ollama_int.h"

typedef struct options {
    vg_request *request;
    int64_t num_ctx, num_predict, seed, top_k, repeat_last_n, mirostat;
    float mirostat_tau, mirostat_eta, tfs_z;
    bool penalize_newline;
    vg_sampling s;
} options;

void vg_ollama_defaults(vg_request *r)
{
    r->n = 1;
    r->sampling = (vg_sampling){.temp = 0.8f, .top_k = 40, .top_p = 0.9f, .repeat_penalty = 1};
}

static vg_status read_stop(void *into, const vg_json *v, vg_err *err)
{
    return vg_fields_stops(((options *)into)->request, v, err);
}

#define AT(member) .at = offsetof(options, member)
#define WORKING .kind = VG_FIELD_UNUSED /* it says how to compute, not what */
static const vg_field option_fields[] = {
    {"num_ctx", VG_FIELD_INT, AT(num_ctx), .min = 0, .max = UINT32_MAX},
    {"num_predict", VG_FIELD_INT, AT(num_predict), .min = -2, .max = UINT32_MAX},
    {"seed", VG_FIELD_INT, AT(seed), .min = -0x1p63, .max = 0x1p63},
    {"temperature", VG_FIELD_REAL, AT(s.temp), .min = 0, .max = 1000},
    {"top_k", VG_FIELD_INT, AT(top_k), .min = -1, .max = INT32_MAX},
    {"top_p", VG_FIELD_REAL, AT(s.top_p), .min = 0, .max = 1},
    {"min_p", VG_FIELD_REAL, AT(s.min_p), .min = 0, .max = 1},
    {"typical_p", VG_FIELD_REAL, AT(s.typical_p), .min = 0, .max = 1},
    {"repeat_last_n", VG_FIELD_INT, AT(repeat_last_n), .min = -1, .max = INT32_MAX},
    {"repeat_penalty", VG_FIELD_REAL, AT(s.repeat_penalty), .min = 0.01, .max = 100},
    {"presence_penalty", VG_FIELD_REAL, AT(s.presence_penalty), .min = -100, .max = 100},
    {"frequency_penalty", VG_FIELD_REAL, AT(s.frequency_penalty), .min = -100, .max = 100},
    {"mirostat", VG_FIELD_INT, AT(mirostat), .min = 0, .max = 2},
    {"mirostat_tau", VG_FIELD_REAL, AT(mirostat_tau), .min = 0.01, .max = 100},
    {"mirostat_eta", VG_FIELD_REAL, AT(mirostat_eta), .min = 0.0001, .max = 10},
    {"stop", VG_FIELD_OTHER, .read = read_stop},
    {"tfs_z", VG_FIELD_REAL, AT(tfs_z), .min = 0, .max = 1},
    {"penalize_newline", VG_FIELD_BOOL, AT(penalize_newline)},
    {"vocab_only", VG_FIELD_REFUSED, .why = "a request's answer needs the weights"},
    {"logits_all", VG_FIELD_REFUSED, .why = "ask for logprobs and top_logprobs"},
    {"embedding_only", VG_FIELD_REFUSED, .why = "ask /api/embed"},
    {"num_keep", WORKING}, /* of a context shift, which there is none: the answer ends there */
    {"num_batch", WORKING},
    {"num_gpu", WORKING},
    {"main_gpu", WORKING},
    {"num_thread", WORKING},
    {"numa", WORKING},
    {"low_vram", WORKING},
    {"f16_kv", WORKING},
    {"use_mmap", WORKING},
    {"use_mlock", WORKING},
    {"draft_num_predict", WORKING},
};

/* "Keep nothing" is not "keep all", which is what 0 means to the sampler. */
static float share(float p)
{
    return p > 0 ? p : 1e-9f;
}

static vg_status take_mirostat(const options *o, vg_sampling *s, vg_err *err)
{
    if (o->mirostat == 1)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "options.mirostat: not supported: version 1; 2 is");
    if (o->mirostat == 2) {
        s->mirostat_tau = o->mirostat_tau;
        s->mirostat_eta = o->mirostat_eta;
    }
    return VG_OK;
}

static vg_status take_options(const options *o, vg_request *r, vg_err *err)
{
    vg_sampling s = o->s;
    if (o->tfs_z != 1)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "options.tfs_z: not supported: tail free sampling");
    if (!o->penalize_newline)
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "options.penalize_newline: not supported: false");
    VG_TRY(take_mirostat(o, &s, err));
    s.top_k = o->top_k > 0 ? (uint32_t)o->top_k : 0;
    s.top_p = share(s.top_p);
    s.typical_p = share(s.typical_p);
    s.penalty_last_n = o->repeat_last_n < 0 ? UINT32_MAX : (uint32_t)o->repeat_last_n;
    if (o->repeat_last_n == 0) {
        s.repeat_penalty = 1;
        s.presence_penalty = s.frequency_penalty = 0;
    }
    s.seed = (uint64_t)o->seed;
    r->sampling = s;
    r->has_seed = o->seed >= 0;
    r->has_max_tok = o->num_predict > 0;
    r->max_tok = r->has_max_tok ? (uint32_t)o->num_predict : 0;
    r->ctx_tok = (uint32_t)o->num_ctx;
    return VG_OK;
}

vg_status vg_ollama_options(vg_request *r, const vg_json *v, vg_err *err)
{
    options o = {.request = r, .seed = -1, .top_k = r->sampling.top_k, .num_predict = -1,
                 .repeat_last_n = 64, .mirostat_tau = 5, .mirostat_eta = 0.1f, .tfs_z = 1,
                 .penalize_newline = true, .s = r->sampling};
    o.s.typical_p = 1;
    VG_TRY(vg_fields_read(v, "options.", option_fields, VG_COUNT(option_fields), &o, err));
    return take_options(&o, r, err);
}

/* ---- keep_alive ------------------------------------------------------------------------------ */

/* Seconds of a unit at s[0..*n), or 0. */
static double unit_seconds(const char *s, size_t n, size_t *n_unit)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"\xce\xbcs", 1e-6},
                 {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
    for (size_t i = 0; i < VG_COUNT(units); i++) {
        *n_unit = strlen(units[i].name);
        if (*n_unit <= n && !memcmp(s, units[i].name, *n_unit)) return units[i].seconds;
    }
    return 0;
}

/* "1h30m", "-1s", "1.5h"; a number alone is seconds. */
static bool read_duration(vg_str s, double *seconds)
{
    bool negative = s.n && s.p[0] == '-';
    size_t at = s.n && (s.p[0] == '-' || s.p[0] == '+');
    double sum = 0;
    if (at == s.n) return false;
    while (at < s.n) {
        size_t from = at;
        while (at < s.n && strchr("0123456789.", s.p[at]) && s.p[at]) at++;
        double value, unit = 1;
        if (!vg_double_read((vg_str){s.p + from, at - from}, &value)) return false;
        if (at < s.n || from > 1) {
            size_t n_unit = 0;
            unit = unit_seconds(s.p + at, s.n - at, &n_unit);
            if (unit == 0) return false;
            at += n_unit;
        }
        sum += value * unit;
    }
    *seconds = negative ? -sum : sum;
    return true;
}

vg_status vg_ollama_keep_alive(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    double seconds = v->number;
    if (v->kind == VG_JSON_STRING) {
        if (!read_duration(v->str, &seconds))
            return VG_FAIL(err, VG_E_USAGE,
                           "\"%.*s\" is no duration such as \"5m\", \"1h30m\" or \"-1\"",
                           VG_STR_ARG(v->str));
    } else if (v->kind != VG_JSON_INT && v->kind != VG_JSON_FLOAT) {
        return VG_FAIL(err, VG_E_USAGE, "must be a duration such as \"5m\", or seconds");
    }
    r->has_keep_alive = true;
    r->keep_alive_s = seconds < 0 || seconds > 1e15 ? -1 : (int64_t)ceil(seconds);
    return VG_OK;
}

/* Samplers: from logits to one token. The candidates are a heap, so that a sampler which keeps the
 * best few never sorts a whole vocabulary; ties go to the lower id, and all probabilities are
 * computed in double with our own exp, so the same seed draws the same tokens on every machine.
 *
 * Order: bias, repetition penalties, DRY, a grammar's mask; greedy ends here; then mirostat 2, or
 * top-k, typical, top-p, min-p; then temperature and the draw. */
#include <float.h>
#include <math.h>

#include "infer/sample.h"
#include "kern/kern.h"

enum { DEFAULT_LAST_N = 64, DEFAULT_DRY_ALLOWED = 2, MAX_DRY_EXPONENT = 200 };

/* ---- options --------------------------------------------------------------------------------- */

static vg_status check_range(const char *name, float v, float min, float max, vg_err *err)
{
    if (v >= min && v <= max) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "%s is %g, not within %g to %g", name, (double)v, (double)min,
                   (double)max);
}

static vg_status check_id(const char *name, int32_t id, uint32_t n_vocab, vg_err *err)
{
    if (id >= 0 && (uint32_t)id < n_vocab) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "%s for token %d, outside the vocabulary of %u", name, id,
                   n_vocab);
}

static vg_status check(const vg_sampling *o, uint32_t n_vocab, vg_err *err)
{
    VG_TRY(check_range("temp", o->temp, 0, 1000, err));
    VG_TRY(check_range("top_p", o->top_p, 0, 1, err));
    VG_TRY(check_range("min_p", o->min_p, 0, 1, err));
    VG_TRY(check_range("typical_p", o->typical_p, 0, 1, err));
    if (o->repeat_penalty != 0)
        VG_TRY(check_range("repeat_penalty", o->repeat_penalty, 0.01f, 100, err));
    VG_TRY(check_range("presence_penalty", o->presence_penalty, -100, 100, err));
    VG_TRY(check_range("frequency_penalty", o->frequency_penalty, -100, 100, err));
    VG_TRY(check_range("dry_multiplier", o->dry_multiplier, 0, 1000, err));
    if (o->dry_base != 0) VG_TRY(check_range("dry_base", o->dry_base, 1, 100, err));
    VG_TRY(check_range("mirostat_tau", o->mirostat_tau, 0, 100, err));
    VG_TRY(check_range("mirostat_eta", o->mirostat_eta, 0, 10, err));
    for (size_t i = 0; i < o->n_bias; i++) {
        VG_TRY(check_id("logit bias", o->bias[i].id, n_vocab, err));
        if (isnan(o->bias[i].add) || o->bias[i].add >= INFINITY)
            return VG_FAIL(err, VG_E_USAGE, "logit bias %g for token %d", (double)o->bias[i].add,
                           o->bias[i].id);
    }
    for (size_t i = 0; i < o->n_dry_breakers; i++)
        VG_TRY(check_id("DRY breaker", o->dry_breakers[i], n_vocab, err));
    return VG_OK;
}

static void set_defaults(vg_sampling *o)
{
    if (o->top_p <= 0) o->top_p = 1;
    if (o->typical_p <= 0) o->typical_p = 1;
    if (o->repeat_penalty <= 0) o->repeat_penalty = 1;
    if (o->penalty_last_n == 0) o->penalty_last_n = DEFAULT_LAST_N;
    if (o->dry_base <= 0) o->dry_base = 1.75f;
    if (o->dry_allowed == 0) o->dry_allowed = DEFAULT_DRY_ALLOWED;
    if (o->mirostat_eta <= 0) o->mirostat_eta = 0.1f;
}

vg_status vg_sampler_init(vg_sampler *s, const vg_sampling *opts, uint32_t n_vocab, vg_arena *a,
                          vg_err *err)
{
    *s = (vg_sampler){0};
    if (opts) s->opts = *opts;
    vg_sampling *o = &s->opts;
    VG_TRY(check(o, n_vocab, err));
    set_defaults(o);
    if (o->n_bias) {
        vg_bias *bias = VG_ARENA_ARRAY(a, vg_bias, o->n_bias);
        if (!bias) return VG_FAIL_MEMORY(err, o->n_bias);
        memcpy(bias, o->bias, o->n_bias * sizeof *bias);
        o->bias = bias;
    }
    if (o->n_dry_breakers) {
        s->breaker = VG_ARENA_ARRAY(a, uint64_t, n_vocab / 64 + 1);
        if (!s->breaker) return VG_FAIL_MEMORY(err, n_vocab / 8);
        for (size_t i = 0; i < o->n_dry_breakers; i++)
            s->breaker[o->dry_breakers[i] / 64] |= (uint64_t)1 << o->dry_breakers[i] % 64;
    }
    o->dry_breakers = NULL; /* the bits say it all */
    s->rng = o->seed;
    s->mirostat_mu = 2 * (double)o->mirostat_tau;
    return VG_OK;
}

/* splitmix64 (Steele 2014): one 64-bit state, every seed is a good one. */
static double random_unit(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* ---- the heap -------------------------------------------------------------------------------- */

/* What comes first in a heap: the highest logit or p, then the lowest id; or the opposite. */
typedef enum order { BEST_LOGIT, BEST_P, WORST_LOGIT } order;

static bool before(const vg_candidate *a, const vg_candidate *b, order by)
{
    double x = by == BEST_P ? a->p : (double)a->logit, y = by == BEST_P ? b->p : (double)b->logit;
    bool better = x > y || (!(x < y) && a->id < b->id);
    return by == WORST_LOGIT ? !better : better;
}

static void sift_down(vg_candidate *c, size_t n, size_t at, order by)
{
    vg_candidate moving = c[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&c[child + 1], &c[child], by)) child++;
        if (!before(&c[child], &moving, by)) break;
        c[at] = c[child];
    }
    c[at] = moving;
}

static void heapify(vg_candidate *c, size_t n, order by)
{
    for (size_t i = n / 2; i-- > 0;) sift_down(c, n, i, by);
}

/* Moves the first of heap c[0..n) to c[n-1] and returns it; the heap is then c[0..n-1). */
static const vg_candidate *pop(vg_candidate *c, size_t n, order by)
{
    vg_candidate first = c[0];
    c[0] = c[n - 1];
    c[n - 1] = first;
    sift_down(c, n - 1, 0, by);
    return &c[n - 1];
}

/* After `kept` pops from n candidates: brings the popped ones to the front, best first. */
static size_t keep_popped(vg_candidate *c, size_t n, size_t kept)
{
    for (size_t i = 0; i < kept; i++) {
        vg_candidate popped = c[n - 1 - i];
        if (n - 1 - i > i) {
            c[n - 1 - i] = c[i];
            c[i] = popped;
        }
    }
    return kept;
}

/* ---- probabilities --------------------------------------------------------------------------- */

/* p of each candidate, from logits divided by temp. */
static void softmax(vg_candidate *c, size_t n, double temp)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) max = VG_MAX(max, (double)c[i].logit);
    for (size_t i = 0; i < n; i++) {
        double x = ((double)c[i].logit - max) / temp;
        c[i].p = x > -700 ? vg_exp_f64(x) : 0;
        sum += c[i].p;
    }
    for (size_t i = 0; i < n; i++) c[i].p /= sum;
}

/* The most probable ones until they hold p of the mass (nucleus sampling). */
static size_t keep_top_p(vg_candidate *c, size_t n, double p)
{
    if (p >= 1) return n;
    softmax(c, n, 1);
    heapify(c, n, BEST_LOGIT);
    double mass = 0;
    size_t kept = 0;
    while (kept < n && (kept == 0 || mass < p)) mass += pop(c, n - kept++, BEST_LOGIT)->p;
    return keep_popped(c, n, kept);
}

/* Those at least min_p times as probable as the best one. */
static size_t keep_min_p(vg_candidate *c, size_t n, double min_p)
{
    if (min_p <= 0) return n;
    softmax(c, n, 1);
    double max = 0;
    for (size_t i = 0; i < n; i++) max = VG_MAX(max, c[i].p);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].p >= min_p * max) c[kept++] = c[i];
    return kept;
}

/* Those whose surprise is nearest to the distribution's entropy, until they hold p of the mass. */
static size_t keep_typical(vg_candidate *c, size_t n, double p)
{
    if (p >= 1) return n;
    softmax(c, n, 1);
    double entropy = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].p > 0) entropy -= c[i].p * vg_log_f64(c[i].p);
    /* The heap wants the nearest first: its key is minus the distance. */
    for (size_t i = 0; i < n; i++)
        c[i].p = c[i].p > 0 ? -fabs(-vg_log_f64(c[i].p) - entropy) : -INFINITY;
    heapify(c, n, BEST_P);
    double max = -INFINITY, sum = 0, mass = 0;
    for (size_t i = 0; i < n; i++) max = VG_MAX(max, (double)c[i].logit);
    for (size_t i = 0; i < n; i++) sum += vg_exp_f64(VG_MAX((double)c[i].logit - max, -700.0));
    size_t kept = 0;
    while (kept < n && (kept == 0 || mass < p)) {
        const vg_candidate *best = pop(c, n - kept++, BEST_P);
        mass += vg_exp_f64(VG_MAX((double)best->logit - max, -700.0)) / sum;
    }
    return keep_popped(c, n, kept);
}

static int32_t draw(const vg_candidate *c, size_t n, uint64_t *rng, double *p)
{
    double u = random_unit(rng), mass = 0;
    size_t chosen = n; /* rounding may leave the sum below u: then the last possible one */
    for (size_t i = 0; i < n; i++) {
        if (c[i].p <= 0) continue;
        chosen = i;
        mass += c[i].p;
        if (u < mass) break;
    }
    assert(chosen < n);
    if (p) *p = c[chosen].p;
    return c[chosen].id;
}

/* Mirostat 2 (Basu 2020, algorithm 2): keeps what surprises by at most mu bits, draws, and moves mu
 * by the error of the drawn token's surprise, measured in the whole distribution. */
static int32_t mirostat(vg_sampler *s, vg_candidate *c, size_t n)
{
    const double ln2 = 0.69314718055994530942;
    softmax(c, n, (double)s->opts.temp);
    double best = 0, sum = 0;
    for (size_t i = 0; i < n; i++) best = VG_MAX(best, c[i].p);
    double floor_p = vg_exp_f64(VG_MAX(-s->mirostat_mu * ln2, -700.0));
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].p < floor_p && c[i].p < best) continue;
        sum += c[i].p;
        c[kept++] = c[i];
    }
    for (size_t i = 0; i < kept; i++) c[i].p /= sum;
    double p;
    int32_t id = draw(c, kept, &s->rng, &p);
    double surprise = -vg_log_f64(p * sum) / ln2;
    s->mirostat_mu -= (double)s->opts.mirostat_eta * (surprise - (double)s->opts.mirostat_tau);
    return id;
}

/* ---- penalties ------------------------------------------------------------------------------- */

static bool has_penalties(const vg_sampling *o)
{
    return o->repeat_penalty < 1 || o->repeat_penalty > 1 || o->presence_penalty != 0 ||
           o->frequency_penalty != 0;
}

/* Repetition (Keskar 2019), presence and frequency, over the last n tokens of the timeline. The
 * candidates' p, which means nothing yet, counts how often each token stands there. */
static void penalise(const vg_sampling *o, const vg_draw *d, float *logit)
{
    if (!has_penalties(o)) return;
    size_t n = VG_MIN(d->n_timeline, (size_t)o->penalty_last_n);
    const int32_t *last = d->timeline + d->n_timeline - n;
    vg_candidate *c = d->cand;
    for (size_t i = 0; i < n; i++) c[last[i]].p = 0;
    for (size_t i = 0; i < n; i++) c[last[i]].p += 1;
    for (size_t i = 0; i < n; i++) {
        float *x = &logit[last[i]];
        double count = c[last[i]].p;
        if (count <= 0) continue; /* done already */
        if (*x > 0) *x /= o->repeat_penalty;
        else *x *= o->repeat_penalty;
        *x -= (float)count * o->frequency_penalty + o->presence_penalty;
        c[last[i]].p = 0;
    }
}

static bool is_breaker(const vg_sampler *s, int32_t id)
{
    return s->breaker && s->breaker[id / 64] >> id % 64 & 1;
}

/* match[i] = how many tokens before and at last[i] equal those at the end of last[0..n): the
 * Z-algorithm on the reversed timeline, O(n). A match ends before a breaker, of which the first
 * from the end stands at distance `limit`. */
static void match_lengths(const int32_t *last, size_t n, size_t limit, uint32_t *match)
{
    size_t left = 0, right = 0; /* the matched window of the reversed text that ends furthest */
    for (size_t r = 1; r < n; r++) {
        size_t z = r < right ? VG_MIN(right - r, (size_t)match[n - 1 - (r - left)]) : 0;
        while (r + z < n && last[n - 1 - z] == last[n - 1 - r - z]) z++;
        match[n - 1 - r] = (uint32_t)z;
        if (r + z > right) {
            left = r;
            right = r + z;
        }
    }
    for (size_t i = 0; i + 1 < n; i++) match[i] = VG_MIN(match[i], (uint32_t)limit);
}

/* DRY ("don't repeat yourself"): a token that would lengthen a repetition of m tokens loses
 * multiplier * base^(m - allowed). Breakers themselves are never penalised, or a list would lose
 * its line breaks. */
static void dry(const vg_sampler *s, const vg_draw *d, float *logit)
{
    const vg_sampling *o = &s->opts;
    vg_candidate *c = d->cand;
    if (o->dry_multiplier <= 0) return;
    size_t n = o->dry_last_n ? VG_MIN(d->n_timeline, (size_t)o->dry_last_n) : d->n_timeline;
    const int32_t *last = d->timeline + d->n_timeline - n;
    size_t limit = 0;
    while (limit < n && !is_breaker(s, last[n - 1 - limit])) limit++;
    if (n < 2 || limit < o->dry_allowed) return;
    match_lengths(last, n, limit, d->match);
    for (size_t i = 0; i < n; i++) c[last[i]].p = 0;
    for (size_t i = 0; i + 1 < n; i++) { /* the longest match before each next token */
        double *longest = &c[last[i + 1]].p;
        if (d->match[i] >= o->dry_allowed && !is_breaker(s, last[i + 1]))
            *longest = VG_MAX(*longest, (double)d->match[i]);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        double *longest = &c[last[i + 1]].p;
        if (*longest <= 0) continue;
        double exponent = VG_MIN(*longest - o->dry_allowed, (double)MAX_DRY_EXPONENT);
        double penalty = (double)o->dry_multiplier * vg_pow_f64((double)o->dry_base, exponent);
        logit[last[i + 1]] -= (float)VG_MIN(penalty, 1e30);
        *longest = 0;
    }
}

/* ---- the best of a vocabulary ---------------------------------------------------------------- */

enum { LANES = 8, SCAN = 8 * LANES }; /* logits that are passed over together */

static float largest(const float x[SCAN])
{
    float most[LANES];
    for (size_t i = 0; i < LANES; i++) most[i] = -INFINITY;
    for (size_t i = 0; i < SCAN; i += LANES)
        for (size_t k = 0; k < LANES; k++) most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
    for (size_t k = 1; k < LANES; k++) most[0] = VG_MAX(most[0], most[k]);
    return most[0];
}

static bool is_allowed(const vg_draw *d, size_t i)
{
    return !d->allowed || (d->allowed[i / 64] >> i % 64 & 1);
}

/* The k best logits, best first; where fewer are allowed, all of them by id. Most of a vocabulary
 * is looked at once, as floats: what is not above the worst of the k best so far is passed over. */
static size_t take_best(const vg_draw *d, size_t k, vg_candidate *c)
{
    size_t n = 0;
    float least = -INFINITY; /* of the k best, once there are k */
    for (size_t i = 0; i < d->n_vocab; i++) {
        if (i % SCAN == 0 && i + SCAN <= d->n_vocab && !(largest(d->logits + i) > least)) {
            i += SCAN - 1;
            continue;
        }
        float x = VG_MIN(d->logits[i], FLT_MAX);
        if (!(x > least) || !is_allowed(d, i)) continue;
        vg_candidate found = {x, (int32_t)i, 0};
        if (n < k) {
            c[n++] = found;
            if (n == k) heapify(c, n, WORST_LOGIT);
        } else {
            c[0] = found;
            sift_down(c, n, 0, WORST_LOGIT);
        }
        if (n == k) least = c[0].logit;
    }
    if (n < k) return n;
    for (size_t m = n; m > 1; m--) pop(c, m, WORST_LOGIT);
    return n;
}

/* Whether nothing changes the logits. */
static bool is_untouched(const vg_sampling *o)
{
    return o->n_bias == 0 && !has_penalties(o) && o->dry_multiplier <= 0;
}

static const char FORBID_BIAS[] = "the logit bias forbids every token";
static const char FORBID_BOTH[] = "the logit bias forbids every token that the grammar allows";

/* ---- one token ------------------------------------------------------------------------------- */

/* All tokens that are neither forbidden nor masked, in the order of their ids; a narrow mask costs
 * little. */
static size_t list_all(const vg_draw *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_vocab; i++) {
        if (d->allowed && i % 64 == 0 && d->allowed[i / 64] == 0) {
            i += 63;
            continue;
        }
        if (!is_allowed(d, i) || !(d->logits[i] > -INFINITY)) continue;
        /* A bias may have carried it to infinity. */
        d->cand[n++] = (vg_candidate){VG_MIN(d->logits[i], FLT_MAX), (int32_t)i, 0};
    }
    return n;
}

/* The same draw of logits with bias and penalties, which change few of them. */
static vg_draw touch(const vg_sampler *s, const vg_draw *d)
{
    vg_draw touched = *d;
    const vg_sampling *o = &s->opts;
    if (is_untouched(o)) return touched;
    memcpy(d->touched, d->logits, d->n_vocab * sizeof *d->touched);
    for (size_t i = 0; i < o->n_bias; i++) d->touched[o->bias[i].id] += o->bias[i].add;
    penalise(o, d, d->touched);
    dry(s, d, d->touched);
    touched.logits = d->touched;
    return touched;
}

vg_status vg_sampler_draw(vg_sampler *s, const vg_draw *d, int32_t *id, vg_err *err)
{
    const vg_sampling *o = &s->opts;
    vg_candidate *c = d->cand;
    bool is_greedy = o->temp <= 0, by_mirostat = !is_greedy && o->mirostat_tau > 0;
    size_t k = is_greedy ? 1 : by_mirostat ? 0 : o->top_k, n = 0;
    vg_draw touched = touch(s, d);
    if (k > 0 && k < d->n_vocab) n = take_best(&touched, k, c);
    else n = list_all(&touched);
    if (n == 0) return VG_FAIL(err, VG_E_NUMERIC, "%s", d->allowed ? FORBID_BOTH : FORBID_BIAS);
    if (is_greedy) {
        *id = c[0].id;
        return VG_OK;
    }
    if (by_mirostat) {
        *id = mirostat(s, c, n);
        return VG_OK;
    }
    n = keep_typical(c, n, (double)o->typical_p);
    n = keep_top_p(c, n, (double)o->top_p);
    n = keep_min_p(c, n, (double)o->min_p);
    softmax(c, n, (double)o->temp);
    *id = draw(c, n, &s->rng, NULL);
    return VG_OK;
}

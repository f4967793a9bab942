/* Tests of src/infer/sample.c against a second sampler, written plainly over sorted lists from the
 * published definitions. Both draw by walking the same kind of list with the same generator, so
 * each single token must agree, not only their frequencies. */
#include "test.h"

#include <float.h>
#include <math.h>

#include "infer/sample.h"

enum { MAX_VOCAB = 64, MAX_TIME = 256 };

/* ---- the reference --------------------------------------------------------------------------- */

typedef struct ref_token {
    int32_t id;
    double logit, p, key;
} ref_token;

typedef struct ref {
    vg_sampling o;
    uint64_t rng;
    double mu;
    ref_token list[MAX_VOCAB];
    size_t n;
    double edge; /* how near the last draw came to its neighbour, in probability */
} ref;

static double ref_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z = z ^ (z >> 31);
    return (double)(z >> 11) / 9007199254740992.0;
}

static int by_key(const void *a, const void *b)
{
    const ref_token *x = a, *y = b;
    if (x->key > y->key) return -1;
    if (x->key < y->key) return 1;
    return x->id < y->id ? -1 : 1;
}

static void ref_softmax(ref *r, double temp)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < r->n; i++) max = fmax(max, r->list[i].logit);
    for (size_t i = 0; i < r->n; i++) sum += exp((r->list[i].logit - max) / temp);
    for (size_t i = 0; i < r->n; i++)
        r->list[i].p = exp((r->list[i].logit - max) / temp) / sum;
}

static void ref_keep_mass(ref *r, double mass)
{
    qsort(r->list, r->n, sizeof r->list[0], by_key);
    double sum = 0;
    size_t kept = 0;
    do sum += r->list[kept++].p;
    while (kept < r->n && sum < mass);
    r->n = kept;
}

static void ref_penalties(ref *r, double *logit, size_t n_vocab, const int32_t *t, size_t n)
{
    double repeat = r->o.repeat_penalty > 0 ? (double)r->o.repeat_penalty : 1;
    size_t last = r->o.penalty_last_n ? r->o.penalty_last_n : 64;
    for (size_t id = 0; id < n_vocab; id++) {
        size_t count = 0;
        for (size_t i = n > last ? n - last : 0; i < n; i++) count += t[i] == (int32_t)id;
        if (count == 0) continue;
        logit[id] = logit[id] > 0 ? logit[id] / repeat : logit[id] * repeat;
        logit[id] -= (double)count * (double)r->o.frequency_penalty;
        logit[id] -= (double)r->o.presence_penalty;
    }
}

static bool ref_breaks(const ref *r, int32_t id)
{
    for (size_t i = 0; i < r->o.n_dry_breakers; i++)
        if (r->o.dry_breakers[i] == id) return true;
    return false;
}

static void ref_dry(ref *r, double *logit, size_t n_vocab, const int32_t *t, size_t n)
{
    if (r->o.dry_multiplier <= 0) return;
    size_t allowed = r->o.dry_allowed ? r->o.dry_allowed : 2;
    double base = r->o.dry_base > 0 ? (double)r->o.dry_base : 1.75;
    size_t from = r->o.dry_last_n && r->o.dry_last_n < n ? n - r->o.dry_last_n : 0;
    size_t longest[MAX_VOCAB] = {0};
    for (size_t next = from + 1; next < n; next++) { /* would t[next] repeat what followed? */
        size_t m = 0;
        while (m < next - from && t[next - 1 - m] == t[n - 1 - m] && !ref_breaks(r, t[n - 1 - m]))
            m++;
        if (m > longest[t[next]]) longest[t[next]] = m;
    }
    for (size_t id = 0; id < n_vocab; id++)
        if (longest[id] >= allowed && !ref_breaks(r, (int32_t)id))
            logit[id] -= (double)r->o.dry_multiplier * pow(base, (double)(longest[id] - allowed));
}

static int32_t ref_pick(ref *r, double *p)
{
    double u = ref_random(&r->rng), sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        double before = sum;
        sum += r->list[i].p;
        if (u >= sum && i + 1 < r->n) continue;
        r->edge = fmin(before > 0 ? u - before : 1, i + 1 < r->n ? sum - u : 1);
        if (p) *p = r->list[i].p;
        return r->list[i].id;
    }
    return -1;
}

static int32_t ref_mirostat(ref *r)
{
    ref_softmax(r, (double)r->o.temp);
    size_t kept = 0;
    double best = 0, sum = 0, p, eta = r->o.mirostat_eta > 0 ? (double)r->o.mirostat_eta : 0.1;
    for (size_t i = 0; i < r->n; i++) best = fmax(best, r->list[i].p);
    for (size_t i = 0; i < r->n; i++)
        if (-log2(r->list[i].p) <= r->mu || r->list[i].p >= best) {
            sum += r->list[i].p;
            r->list[kept++] = r->list[i];
        }
    r->n = kept;
    for (size_t i = 0; i < kept; i++) r->list[i].p /= sum;
    int32_t id = ref_pick(r, &p);
    r->mu -= eta * (-log2(p * sum) - (double)r->o.mirostat_tau);
    return id;
}

static void ref_filter(ref *r, size_t n_vocab)
{
    const vg_sampling *o = &r->o;
    for (size_t i = 0; i < r->n; i++) r->list[i].key = r->list[i].logit;
    /* Where there are no more than k tokens in all, they stay in the order of their ids. */
    if (o->top_k > 0 && o->top_k < n_vocab && o->top_k <= r->n) {
        qsort(r->list, r->n, sizeof r->list[0], by_key);
        r->n = o->top_k;
    }
    if (o->typical_p > 0 && o->typical_p < 1) {
        double entropy = 0;
        ref_softmax(r, 1);
        for (size_t i = 0; i < r->n; i++) entropy -= r->list[i].p * log(r->list[i].p);
        for (size_t i = 0; i < r->n; i++)
            r->list[i].key = -fabs(-log(r->list[i].p) - entropy);
        ref_keep_mass(r, (double)o->typical_p);
    }
    if (o->top_p > 0 && o->top_p < 1) {
        ref_softmax(r, 1);
        for (size_t i = 0; i < r->n; i++) r->list[i].key = r->list[i].p;
        ref_keep_mass(r, (double)o->top_p);
    }
    if (o->min_p > 0) {
        double best = 0;
        size_t kept = 0;
        ref_softmax(r, 1);
        for (size_t i = 0; i < r->n; i++) best = fmax(best, r->list[i].p);
        for (size_t i = 0; i < r->n; i++)
            if (r->list[i].p >= (double)o->min_p * best) r->list[kept++] = r->list[i];
        r->n = kept;
    }
}

static int32_t ref_draw(ref *r, const float *logits, size_t n_vocab, const int32_t *t, size_t n)
{
    double logit[MAX_VOCAB];
    for (size_t i = 0; i < n_vocab; i++) logit[i] = (double)logits[i];
    for (size_t i = 0; i < r->o.n_bias; i++) logit[r->o.bias[i].id] += (double)r->o.bias[i].add;
    ref_penalties(r, logit, n_vocab, t, n);
    ref_dry(r, logit, n_vocab, t, n);
    r->n = 0;
    r->edge = 1;
    for (size_t i = 0; i < n_vocab; i++)
        if (logit[i] > -INFINITY) r->list[r->n++] = (ref_token){(int32_t)i, logit[i], 0, logit[i]};
    if (r->o.temp <= 0) {
        qsort(r->list, r->n, sizeof r->list[0], by_key);
        return r->list[0].id;
    }
    if (r->o.mirostat_tau > 0) return ref_mirostat(r);
    ref_filter(r, n_vocab);
    ref_softmax(r, (double)r->o.temp);
    return ref_pick(r, NULL);
}

/* ---- both side by side ----------------------------------------------------------------------- */

typedef struct pair {
    vg_arena *arena;
    vg_sampler s;
    ref r;
    vg_candidate cand[MAX_VOCAB];
    float touched[MAX_VOCAB];
    uint32_t match[MAX_TIME];
} pair;

static void pair_begin(pair *p, const vg_sampling *o, uint32_t n_vocab)
{
    vg_err err;
    TEST_OK(vg_arena_new(&p->arena, 1 << 20, &err));
    TEST_OK(vg_sampler_init(&p->s, o, n_vocab, p->arena, &err));
    p->r = (ref){.o = *o, .rng = o->seed, .mu = 2 * (double)o->mirostat_tau};
}

static int32_t pair_draw(pair *p, const float *logits, size_t n_vocab, const int32_t *t, size_t n)
{
    vg_err err;
    int32_t id = -1;
    vg_draw d = {logits, n_vocab, t, n, p->cand, p->touched, p->match, NULL};
    TEST_OK(vg_sampler_draw(&p->s, &d, &id, &err));
    int32_t want = ref_draw(&p->r, logits, n_vocab, t, n);
    /* The sampler keeps logits as floats, the reference as doubles: within 1e-5 of the border
     * between two tokens either may be right. */
    if (id != want && p->r.edge > 1e-5)
        fail_msg("token %d, the reference draws %d (%g from its neighbour)", id, want, p->r.edge);
    return id;
}

static double uniform(uint64_t *rng, double from, double to)
{
    return from + (to - from) * ref_random(rng);
}

static void random_logits(uint64_t *rng, float *logits, size_t n)
{
    for (size_t i = 0; i < n; i++) logits[i] = (float)uniform(rng, -4, 4);
}

/* Draws a whole timeline with fresh logits for each token. */
static void compare(const vg_sampling *o, uint64_t seed, size_t n_vocab, size_t n_steps)
{
    pair p;
    float logits[MAX_VOCAB];
    int32_t t[MAX_TIME];
    uint64_t rng = seed;
    pair_begin(&p, o, (uint32_t)n_vocab);
    for (size_t n = 0; n < n_steps; n++) {
        random_logits(&rng, logits, n_vocab);
        t[n] = pair_draw(&p, logits, n_vocab, t, n);
    }
    if (fabs(p.s.mirostat_mu - p.r.mu) > 1e-3)
        fail_msg("mu is %g, the reference's %g", p.s.mirostat_mu, p.r.mu);
    vg_arena_free(p.arena);
}

enum { ROUNDS = 40, STEPS = 200 };

static void each_sampler_alone(void **state)
{
    VG_UNUSED(state);
    static const int32_t breakers[] = {1, 5};
    static const vg_bias bias[] = {{2, 3}, {4, -INFINITY}, {2, -1}, {0, -2.5f}};
    static const vg_sampling alone[] = {
        {.temp = 0},
        {.temp = 1},
        {.temp = 0.3f},
        {.temp = 5},
        {.temp = 1, .top_k = 1},
        {.temp = 1, .top_k = 5},
        {.temp = 1, .top_k = 1000},
        {.temp = 1, .top_p = 0.5f},
        {.temp = 1, .top_p = 0.95f},
        {.temp = 1, .top_p = 1e-9f},
        {.temp = 1, .top_p = 1},
        {.temp = 1, .min_p = 0.05f},
        {.temp = 1, .min_p = 0.5f},
        {.temp = 1, .min_p = 1},
        {.temp = 1, .typical_p = 0.2f},
        {.temp = 1, .typical_p = 0.9f},
        {.temp = 1, .repeat_penalty = 1.5f},
        {.temp = 0, .repeat_penalty = 1.5f},
        {.temp = 1, .repeat_penalty = 0.5f, .penalty_last_n = 3},
        {.temp = 1, .presence_penalty = 1.5f, .penalty_last_n = 5},
        {.temp = 1, .frequency_penalty = 0.75f},
        {.temp = 1, .frequency_penalty = -0.25f, .presence_penalty = -0.5f},
        {.temp = 0.1f, .dry_multiplier = 0.8f},
        {.temp = 0.1f, .dry_multiplier = 0.8f, .dry_base = 1.2f, .dry_allowed = 1},
        {.temp = 0.1f, .dry_multiplier = 2, .dry_allowed = 1, .dry_last_n = 9},
        {.temp = 0.1f, .dry_multiplier = 2, .dry_allowed = 1, .dry_breakers = breakers,
         .n_dry_breakers = 2},
        {.temp = 1, .mirostat_tau = 2},
        {.temp = 0.7f, .mirostat_tau = 1, .mirostat_eta = 0.5f},
        {.temp = 0, .mirostat_tau = 1},
        {.temp = 1, .bias = bias, .n_bias = 4},
        {.temp = 0, .bias = bias, .n_bias = 4},
    };
    for (size_t i = 0; i < VG_COUNT(alone); i++)
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            vg_sampling o = alone[i];
            o.seed = seed;
            compare(&o, 1000 * i + seed, 6 + seed % 20, STEPS);
        }
}

static float maybe(uint64_t *rng, double from, double to)
{
    return ref_random(rng) < 0.5 ? 0 : (float)uniform(rng, from, to);
}

static void all_samplers_together(void **state)
{
    VG_UNUSED(state);
    for (uint64_t round = 0; round < 1000; round++) {
        uint64_t rng = round;
        uint32_t n_vocab = 1 + (uint32_t)uniform(&rng, 0, MAX_VOCAB - 1);
        int32_t breaker = (int32_t)uniform(&rng, 0, n_vocab);
        /* Token 0 is never forbidden, so that something is left. */
        vg_bias bias[2] = {{(int32_t)uniform(&rng, 0, n_vocab), (float)uniform(&rng, -3, 3)},
                           {(int32_t)(n_vocab - 1), n_vocab > 1 ? -INFINITY : 1}};
        vg_sampling o = {.temp = (float)uniform(&rng, 0.1, 2),
                         .top_k = (uint32_t)maybe(&rng, 1, n_vocab + 3),
                         .top_p = maybe(&rng, 0.1, 1),
                         .min_p = maybe(&rng, 0, 0.3),
                         .typical_p = maybe(&rng, 0.2, 1),
                         .repeat_penalty = maybe(&rng, 0.5, 2),
                         .presence_penalty = maybe(&rng, -1, 1),
                         .frequency_penalty = maybe(&rng, -0.1, 0.5),
                         .penalty_last_n = (uint32_t)maybe(&rng, 1, 100),
                         .dry_multiplier = maybe(&rng, 0.1, 2),
                         .dry_base = maybe(&rng, 1, 2),
                         .dry_allowed = (uint32_t)maybe(&rng, 1, 4),
                         .dry_last_n = (uint32_t)maybe(&rng, 1, 100),
                         .dry_breakers = &breaker,
                         .n_dry_breakers = round % 2,
                         .mirostat_tau = round % 4 == 0 ? maybe(&rng, 0.5, 4) : 0,
                         .mirostat_eta = maybe(&rng, 0.01, 1),
                         .bias = bias,
                         .n_bias = round % 3,
                         .seed = round};
        compare(&o, round, n_vocab, 100);
    }
}

/* Few values and a period make long repetitions, and DRY's matches overlap themselves. */
static void dry_on_repetitive_timelines(void **state)
{
    VG_UNUSED(state);
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t rng = round;
        int32_t t[MAX_TIME], breaker = 2;
        size_t n = 1 + (size_t)uniform(&rng, 0, 60), period = 1 + (size_t)uniform(&rng, 0, 6);
        for (size_t i = 0; i < n; i++)
            t[i] = i < period || ref_random(&rng) < 0.05 ? (int32_t)uniform(&rng, 0, 3)
                                                         : t[i - period];
        vg_sampling o = {.temp = 1, .dry_multiplier = 0.5f, .dry_base = 1.1f, .dry_allowed = 1,
                         .dry_breakers = &breaker, .n_dry_breakers = round % 2, .seed = round};
        pair p;
        pair_begin(&p, &o, 4);
        float logits[4] = {0};
        for (int i = 0; i < 50; i++) pair_draw(&p, logits, 4, t, n);
        vg_arena_free(p.arena);
    }
}

static void ties_go_to_the_lower_id(void **state)
{
    VG_UNUSED(state);
    float logits[8] = {1, 3, 3, 0, 3, 2, 2, 3};
    static const vg_sampling greedy = {.temp = 0}, two = {.temp = 1, .top_k = 2},
                             all = {.temp = 1, .top_p = 0.45f}, typical = {.temp = 1,
                                                                          .typical_p = 0.4f};
    const vg_sampling *const o[] = {&greedy, &two, &all, &typical};
    for (size_t k = 0; k < VG_COUNT(o); k++) {
        pair p;
        pair_begin(&p, o[k], 8);
        for (int i = 0; i < 300; i++) {
            int32_t id = pair_draw(&p, logits, 8, NULL, 0);
            if (k == 0) assert_int_equal(id, 1);
            if (k == 1) assert_true(id == 1 || id == 2);
        }
        vg_arena_free(p.arena);
    }
}

static void same_seed_same_tokens(void **state)
{
    VG_UNUSED(state);
    int32_t first[100];
    size_t n_other = 0;
    for (int round = 0; round < 3; round++) {
        vg_sampling o = {.temp = 1, .top_p = 0.9f, .seed = round < 2 ? 42 : 43};
        pair p;
        float logits[MAX_VOCAB];
        uint64_t rng = 7;
        pair_begin(&p, &o, 30);
        for (int i = 0; i < 100; i++) {
            random_logits(&rng, logits, 30);
            int32_t id = pair_draw(&p, logits, 30, NULL, 0);
            if (round == 0) first[i] = id;
            if (round == 1) assert_int_equal(id, first[i]);
            if (round == 2) n_other += id != first[i];
        }
        vg_arena_free(p.arena);
    }
    assert_true(n_other > 30);
}

static void frequencies_follow_the_probabilities(void **state)
{
    VG_UNUSED(state);
    enum { N = 200000, K = 8 };
    float logits[K];
    double expected[K], sum = 0, chi2 = 0;
    size_t count[K] = {0};
    for (int i = 0; i < K; i++) {
        logits[i] = (float)i / 3;
        sum += exp(i / 3.0);
    }
    for (int i = 0; i < K; i++) expected[i] = N * exp(i / 3.0) / sum;
    for (uint64_t seed = 0; seed < 4; seed++) { /* four seeds share the draws */
        vg_sampling o = {.temp = 1, .seed = seed};
        pair p;
        pair_begin(&p, &o, K);
        for (int i = 0; i < N / 4; i++) count[pair_draw(&p, logits, K, NULL, 0)]++;
        vg_arena_free(p.arena);
    }
    for (int i = 0; i < K; i++)
        chi2 += ((double)count[i] - expected[i]) * ((double)count[i] - expected[i]) / expected[i];
    /* 7 degrees of freedom: a fair generator passes 24.3 once in a thousand seeds. */
    if (chi2 > 24.3) fail_msg("chi-square is %g", chi2);
}

static void extreme_logits(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_bias up = {1, FLT_MAX}, forbid[2] = {{0, -INFINITY}, {1, -INFINITY}};
    const struct {
        float logits[2];
        vg_sampling o;
        int32_t want;
    } cases[] = {
        {{1e30f, -1e30f}, {.temp = 0.01f}, 0},
        {{-INFINITY, -5}, {.temp = 2, .top_p = 0.1f}, 1},
        {{-INFINITY, -5}, {.temp = 2, .typical_p = 0.1f, .min_p = 0.5f}, 1},
        {{FLT_MAX, FLT_MAX}, {.temp = 1, .bias = &up, .n_bias = 1, .top_k = 1}, 0},
        {{0, FLT_MAX}, {.temp = 1, .bias = &up, .n_bias = 1}, 1},
        {{-FLT_MAX, 0}, {.temp = 1e-30f}, 1},
        {{-1000, 0}, {.temp = 1, .mirostat_tau = 0.01f}, 1},
    };
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        pair p;
        pair_begin(&p, &cases[i].o, 2);
        vg_draw d = {cases[i].logits, 2, NULL, 0, p.cand, p.touched, p.match, NULL};
        for (int k = 0; k < 20; k++) {
            int32_t id = -1;
            TEST_OK(vg_sampler_draw(&p.s, &d, &id, &err));
            assert_int_equal(id, cases[i].want);
        }
        vg_arena_free(p.arena);
    }
    pair p;
    pair_begin(&p, &(vg_sampling){.temp = 1, .bias = forbid, .n_bias = 2}, 2);
    vg_draw d = {cases[0].logits, 2, NULL, 0, p.cand, p.touched, p.match, NULL};
    int32_t id;
    assert_int_equal(vg_sampler_draw(&p.s, &d, &id, &err), VG_E_NUMERIC);
    vg_arena_free(p.arena);
}

static void one_token_is_always_drawn(void **state)
{
    VG_UNUSED(state);
    static const vg_sampling o[] = {
        {.temp = 0},
        {.temp = 1, .top_k = 40, .top_p = 0.95f, .min_p = 1, .typical_p = 0.5f},
        {.temp = 1, .mirostat_tau = 3},
        {.temp = 1, .dry_multiplier = 1, .repeat_penalty = 2}};
    for (size_t i = 0; i < VG_COUNT(o); i++) compare(&o[i], i, 1, 50);
}

static void refuses_options_out_of_range(void **state)
{
    VG_UNUSED(state);
    const vg_bias far = {9, 1}, minus = {-1, 1}, nan_bias = {0, NAN}, inf = {0, INFINITY};
    const int32_t breaker = 8;
    const vg_sampling bad[] = {
        {.temp = -1},          {.temp = NAN},           {.temp = INFINITY},
        {.top_p = 1.01f},      {.top_p = -0.1f},        {.top_p = NAN},
        {.min_p = 2},          {.min_p = NAN},          {.typical_p = -1},
        {.typical_p = NAN},    {.repeat_penalty = -1},  {.repeat_penalty = NAN},
        {.repeat_penalty = 1e-30f}, {.presence_penalty = NAN}, {.frequency_penalty = 1e9f},
        {.dry_multiplier = NAN}, {.dry_multiplier = -1}, {.dry_base = 0.5f},
        {.dry_base = NAN},     {.mirostat_tau = NAN},   {.mirostat_tau = -1},
        {.mirostat_eta = NAN}, {.bias = &far, .n_bias = 1}, {.bias = &minus, .n_bias = 1},
        {.bias = &nan_bias, .n_bias = 1}, {.bias = &inf, .n_bias = 1},
        {.dry_breakers = &breaker, .n_dry_breakers = 1},
    };
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        vg_err err;
        vg_arena *a = NULL;
        vg_sampler s;
        TEST_OK(vg_arena_new(&a, 1 << 16, &err));
        if (vg_sampler_init(&s, &bad[i], 8, a, &err) != VG_E_USAGE) fail_msg("case %zu", i);
        vg_arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sampler_alone),
        cmocka_unit_test(all_samplers_together),
        cmocka_unit_test(dry_on_repetitive_timelines),
        cmocka_unit_test(ties_go_to_the_lower_id),
        cmocka_unit_test(same_seed_same_tokens),
        cmocka_unit_test(frequencies_follow_the_probabilities),
        cmocka_unit_test(extreme_logits),
        cmocka_unit_test(one_token_is_always_drawn),
        cmocka_unit_test(refuses_options_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

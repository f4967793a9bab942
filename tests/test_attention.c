/* test_attention.c: the cache of keys and values, and attention over it, against the same formulas
 * in double. That all tables agree bit for bit is exact_kern.c's matter: here the best alone. */
#include "test.h"

#include <math.h>

#include "kern_data.h"

/* ---- the cache ----------------------------------------------------------------------------- */

static float f16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return vg_f16_to_f32(h);
}

/* Column i of the key at position t, as kern.h lays it out; then of the value. */
static float key_at(vg_kv_kind kind, const uint8_t *tile, size_t t, size_t i, size_t n)
{
    size_t blocks = vg_act_blocks(n), at = t / 16 * blocks + i / 32;
    float f;
    if (kind == VG_KVK_F16) return f16_at(tile + 2 * ((t / 16 * n + i) * 16 + t % 16));
    if (kind == VG_KVK_Q8) {
        int8_t code = (int8_t)tile[at * 512 + i % 32 / 4 * 64 + t % 16 * 4 + i % 4];
        return (float)code * f16_at(tile + blocks * 2048 + 2 * (at * 16 + t % 16));
    }
    memcpy(&f, tile + 4 * ((t / 16 * n + i) * 16 + t % 16), 4);
    return f;
}

static float value_at(vg_kv_kind kind, const uint8_t *tile, size_t t, size_t i, size_t n)
{
    size_t blocks = vg_act_blocks(n), b = i / 32, width = VG_MIN(n - 32 * b, (size_t)32);
    size_t at = b * 2048 + t * ((width + 7) / 8 * 8) + i % 32;
    float f;
    if (kind == VG_KVK_F16) return f16_at(tile + 2 * at);
    if (kind == VG_KVK_Q8) {
        int8_t code = (int8_t)tile[b * 2048 + t / 2 * 64 + i % 32 * 2 + t % 2];
        return (float)code * f16_at(tile + blocks * 2048 + 2 * (b * 64 + t));
    }
    memcpy(&f, tile + 4 * at, 4);
    return f;
}

static void test_store_accuracy(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    enum { N = 72 };
    kern_random random = {9};
    float x[N];
    uint8_t keys[VG_TILE * N * 4], values[VG_TILE * N * 4];
    for (int pass = 0; pass < 2000; pass++) {
        size_t t = kern_next(&random) % VG_TILE;
        vg_kv_kind kind = (vg_kv_kind)(pass % 3);
        kern_fill_floats(&random, x, N, pass % 2 ? KERN_WIDE : KERN_TAME);
        k->store_key(kind, x, keys, t, N);
        k->store_value(kind, x, values, t, N);
        for (size_t i = 0; i < N; i++) {
            float max = 0.0f, kept = key_at(kind, keys, t, i, N);
            for (size_t c = i / 32 * 32; c < VG_MIN(i / 32 * 32 + 32, (size_t)N); c++)
                max = fmaxf(max, fabsf(x[c]));
            /* Half a step, or half the smallest f16, 127 times. */
            float bound = max * (0.502f / 127.0f) + 127 * 0x1p-25f;
            if (kind == VG_KVK_F32) bound = 0.0f;
            if (kind == VG_KVK_F16) bound = fabsf(x[i]) * 0x1p-11f + 0x1p-25f;
            if (kind != VG_KVK_F16 || fabsf(x[i]) < 65504) assert_true(fabsf(x[i] - kept) <= bound);
            assert_true(kept == value_at(kind, values, t, i, N));
        }
    }
    for (size_t i = N; i < 96; i++) /* the padding of the last store in Q8 */
        assert_true(value_at(VG_KVK_Q8, values, 3, i, 96) * 0 == 0);
}

static void test_store_limits(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    static const float bad[] = {(float)NAN, (float)INFINITY, 1e9f};
    float x[32] = {1};
    uint8_t tile[VG_TILE * 34];
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        x[3] = bad[i];
        k->store_key(VG_KVK_Q8, x, tile, 5, 32);
        assert_true(isnan(key_at(VG_KVK_Q8, tile, 5, 0, 32)));
        k->store_value(VG_KVK_Q8, x, tile, 5, 32);
        assert_true(isnan(value_at(VG_KVK_Q8, tile, 5, 31, 32)));
    }
    memset(x, 0, sizeof x);
    k->store_key(VG_KVK_Q8, x, tile, 5, 32);
    for (size_t i = 0; i < 32; i++) assert_true(key_at(VG_KVK_Q8, tile, 5, i, 32) == 0.0f);
}

/* ---- attention ---------------------------------------------------------------------------- */

enum { T = 150, TILES = 3, FIRST = 3, DK = 72, DV = 44, NQ = 6 };

typedef struct attention {
    float q[NQ][DK], k[T][DK], v[T][DV];
    uint8_t kv[TILES][VG_TILE * 4 * (DK + 48)]; /* 48: DV rounded up to 8 */
    size_t k_bytes;
    vg_act act[NQ][3];
    float m[NQ], l[NQ], acc[NQ][DV];
} attention;

/* Values of different size, as heads have them. */
static void attention_fill(const vg_kern *kern, attention *a, vg_kv_kind kind)
{
    kern_random random = {11};
    kern_fill_floats(&random, a->q[0], NQ * DK, KERN_TAME);
    kern_fill_floats(&random, a->k[0], T * DK, KERN_TAME);
    kern_fill_floats(&random, a->v[0], T * DV, KERN_TAME);
    a->k_bytes = VG_TILE * vg_kv_row_bytes(kind, DK);
    memset(a->kv, 0x7f, sizeof a->kv);
    for (size_t i = 0; i < NQ; i++) kern->quantise(a->q[i], a->act[i], DK);
    for (size_t t = 0; t < T; t++) {
        uint8_t *tile = a->kv[t / VG_TILE];
        for (size_t i = 0; i < DV; i++) a->v[t][i] /= (float)(1 + t % 7);
        kern->store_key(kind, a->k[t], tile, t % VG_TILE, DK);
        kern->store_value(kind, a->v[t], tile + a->k_bytes, t % VG_TILE, DV);
    }
}

/* Takes tile i into a state; query q sees positions FIRST + q to T - 1. */
static void attention_tile(const vg_kern *kern, attention *a, vg_kv_kind kind, float softcap,
                           size_t i, size_t q0, size_t n_q, const vg_attn_state *state)
{
    vg_seen seen[NQ];
    for (size_t q = 0; q < n_q; q++)
        seen[q] = (vg_seen){.begin = (uint8_t)(i == 0 ? FIRST + q0 + q : 0),
                            .end = (uint8_t)VG_MIN(T - VG_TILE * i, (size_t)VG_TILE)};
    kern->attn_tile(&(vg_attn_tile){.kind = kind, .n_q = n_q, .dim_k = DK, .dim_v = DV,
                                    .q = a->q[q0], .q_act = a->act[q0], .kv = a->kv[i],
                                    .next = a->kv[i], .seen = seen, .scale = 0.3f,
                                    .softcap = softcap, .state = *state});
}

/* All tiles, in one state or each in one that is merged. */
static void attention_run(const vg_kern *kern, attention *a, vg_kv_kind kind, float softcap,
                          bool merge, size_t q0, size_t n_q)
{
    vg_attn_state all = {a->m + q0, a->l + q0, a->acc[q0]};
    for (size_t i = 0; i < NQ; i++) a->m[i] = -(float)INFINITY;
    memset(a->l, 0, sizeof a->l);
    memset(a->acc, 0, sizeof a->acc);
    for (size_t i = 0; i < TILES; i++) {
        float m[NQ], l[NQ] = {0}, acc[NQ][DV] = {{0}};
        vg_attn_state one = {m, l, acc[0]};
        for (size_t q = 0; q < NQ; q++) m[q] = -(float)INFINITY;
        attention_tile(kern, a, kind, softcap, i, q0, n_q, merge ? &one : &all);
        if (merge) kern->attn_merge(&all, &one, n_q, DV);
    }
}

/* The largest difference from softmax in double: over the floats that were stored, or over what the
 * cache and the quantised query made of them. */
static double attention_error(const attention *a, vg_kv_kind kind, double softcap, bool cached)
{
    double worst = 0;
    for (size_t q = 0; q < NQ; q++) {
        double sum = 0, out[DV] = {0};
        for (size_t t = FIRST + q; t < T; t++) {
            const uint8_t *tile = a->kv[t / VG_TILE];
            double s = 0;
            for (size_t j = 0; j < DK; j++) {
                const vg_act *x = &a->act[q][j / 32];
                float code = kind == VG_KVK_Q8 ? x->d * (float)x->q[j % 32] : a->q[q][j];
                s += cached ? (double)code * (double)key_at(kind, tile, t % VG_TILE, j, DK)
                            : (double)a->q[q][j] * (double)a->k[t][j];
            }
            s *= 0.3;
            if (softcap > 0) s = softcap * tanh(s / softcap);
            sum += exp(s);
            for (size_t j = 0; j < DV; j++) {
                float v = value_at(kind, tile + a->k_bytes, t % VG_TILE, j, DV);
                out[j] += exp(s) * (double)(cached ? v : a->v[t][j]);
            }
        }
        for (size_t j = 0; j < DV; j++)
            worst = fmax(worst, fabs(out[j] / sum - (double)a->acc[q][j] / (double)a->l[q]));
    }
    return worst;
}

/* Bounds. Storing: F32 keeps all (measured ROUND_F32), F16 11 bits (ROUND_F16), Q8 8 bits of keys,
 * values and query (ROUND_Q8). What attention adds to that by its own rounding: least in the float
 * kinds; in Q8 its weights have 16 bits, which costs ROUND_W. */
static void test_attention(void **state)
{
    VG_UNUSED(state);
    static const double stored[] = {3e-3, 1e-4, 4e-7}, computed[] = {2e-5, 4e-7, 4e-7};
    attention *a = calloc(1, sizeof *a);
    assert_non_null(a);
    for (const vg_kern *const *k = vg_kern_all(); *k; k++)
        for (int kind = 0; kind < 3; kind++)
            for (size_t i = 0; i < 4; i++) {
                float cap = i % 2 ? 5.0f : 0.0f;
                vg_kv_kind kv = (vg_kv_kind)kind;
                attention_fill(*k, a, kv);
                attention_run(*k, a, kv, cap, i / 2, 0, NQ);
                double error = attention_error(a, kv, (double)cap, false);
                double own = attention_error(a, kv, (double)cap, true);
                if (error > stored[kind] || own > computed[kind])
                    fail_msg("kind %d: error %g, of which %g by computing", kind, error, own);
            }
    free(a);
}

/* A query alone has the bits it has in a group. */
static void test_attention_groups(void **state)
{
    VG_UNUSED(state);
    attention *a = calloc(1, sizeof *a);
    assert_non_null(a);
    for (const vg_kern *const *k = vg_kern_all(); *k; k++)
        for (int kind = 0; kind < 3; kind++) {
            float group[NQ][DV], sums[NQ];
            attention_fill(*k, a, (vg_kv_kind)kind);
            attention_run(*k, a, (vg_kv_kind)kind, 0.0f, false, 0, NQ);
            memcpy(group, a->acc, sizeof group);
            memcpy(sums, a->l, sizeof sums);
            for (size_t i = 0; i < NQ; i++) {
                attention_run(*k, a, (vg_kv_kind)kind, 0.0f, false, i, 1);
                assert_memory_equal(a->acc[i], group[i], sizeof group[i]);
                assert_memory_equal(&a->l[i], &sums[i], sizeof sums[i]);
            }
        }
    free(a);
}

/* A merge with nothing changes nothing, on either side; NaN stays. */
static void test_attention_merge(void **state)
{
    VG_UNUSED(state);
    const vg_kern *k = vg_kern_pick(NULL);
    float m[3] = {-(float)INFINITY, 2.0f, 1.0f}, l[3] = {0.0f, 3.0f, (float)NAN};
    float acc[3] = {0.0f, -0.0f, 1.0f};
    vg_attn_state none = {m, l, acc}, some = {m + 1, l + 1, acc + 1}, bad = {m + 2, l + 2, acc + 2};
    k->attn_merge(&some, &none, 1, 1);
    assert_true(m[1] == 2.0f && l[1] == 3.0f && signbit(acc[1]));
    k->attn_merge(&none, &some, 1, 1);
    assert_true(m[0] == 2.0f && l[0] == 3.0f && signbit(acc[0]));
    k->attn_merge(&some, &none, 1, 1);
    assert_true(m[1] == 2.0f && l[1] == 6.0f);
    k->attn_merge(&some, &bad, 1, 1);
    assert_true(isnan(l[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_accuracy),
        cmocka_unit_test(test_store_limits),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_groups),
        cmocka_unit_test(test_attention_merge),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}

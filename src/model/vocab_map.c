/* The tables of a vocabulary, built once: bytes of a token -> id, pair of ids -> merge, which
 * characters can meet inside a token, which bytes begin one. All are open-addressing tables or bit
 * sets in the vocabulary's arena. Hashes can be crafted by whoever wrote the file, so a chain
 * longer than PROBE_MAX is refused: no file makes a lookup slow. */
#include "model/vocab_int.h"

static bool table_size(size_t n, size_t *size)
{
    size_t s = 16;
    while (s / 4 * 3 < n) {
        if (s > SIZE_MAX / 2) return false;
        s *= 2;
    }
    *size = s;
    return true;
}

/* Writes all of a new table, which is zeros already: a page that is read first and written then
 * would be mapped twice, and the second time interrupts every other core. */
static void touch(void *table, size_t bytes)
{
    memset(table, 0, bytes);
}

static uint64_t hash_key(vg_str key)
{
    uint64_t h = TOKEN_HASH_SEED;
    for (size_t i = 0; i < key.n; i++) h = token_hash_step(h, key.p[i]);
    return h;
}

/* FNV's low bits alone are weak. */
static size_t hash_index(uint64_t h)
{
    return (size_t)(h ^ h >> 29);
}

static uint64_t pair_hash(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 32;
}

static token_slot slot_of(vg_str key, uint64_t hash, size_t id)
{
    token_slot s = {.hash = (uint32_t)hash << 8 | (uint32_t)VG_MIN(key.n, (size_t)255),
                    .id1 = (uint32_t)id + 1};
    for (size_t i = 0; i < 8 && i < key.n; i++)
        s.head |= (uint64_t)(unsigned char)key.p[i] << (8 * i);
    return s;
}

static bool slot_is(const vg_vocab *v, const token_slot *s, const token_slot *wanted, vg_str key)
{
    return s->hash == wanted->hash && s->head == wanted->head &&
           (key.n <= 8 || vg_str_eq(v->key[s->id1 - 1], key));
}

int32_t vocab_find_hashed(const vg_vocab *v, vg_str key, uint64_t hash)
{
    token_slot wanted = slot_of(key, hash, 0);
    for (size_t i = hash_index(hash);; i++) {
        const token_slot *s = &v->slot[i & v->slot_mask];
        if (!s->id1) return -1;
        if (slot_is(v, s, &wanted, key)) return (int32_t)(s->id1 - 1);
    }
}

int32_t vocab_find(const vg_vocab *v, vg_str key)
{
    return vocab_find_hashed(v, key, hash_key(key));
}

/* Only what plain text may become: no control tokens, no byte tokens. */
static bool is_plain(const vg_vocab *v, size_t id)
{
    return v->key[id].n && (v->type[id] == TOKEN_NORMAL || v->type[id] == TOKEN_USER_DEFINED);
}

vg_status vocab_map_tokens(vg_vocab *v, vg_err *err)
{
    size_t size;
    if (!table_size(v->n, &size)) return VG_FAIL(err, VG_E_LIMIT, "%zu tokens", v->n);
    v->slot = VG_ARENA_ARRAY(v->arena, token_slot, size);
    if (!v->slot) return VG_FAIL_MEMORY(err, size * sizeof *v->slot);
    v->slot_mask = size - 1;
    touch(v->slot, size * sizeof *v->slot);
    for (size_t id = 0; id < v->n; id++) {
        if (!is_plain(v, id)) continue;
        uint64_t hash = hash_key(v->key[id]);
        token_slot wanted = slot_of(v->key[id], hash, id), *s;
        size_t i = hash_index(hash), probes = 0;
        while (s = &v->slot[i & v->slot_mask], s->id1 && !slot_is(v, s, &wanted, v->key[id])) {
            if (++probes > PROBE_MAX)
                return VG_FAIL(err, VG_E_LIMIT, "tokenizer.ggml.tokens: too many hash collisions");
            i++;
        }
        if (!s->id1) *s = wanted; /* of equal tokens the first one counts */
    }
    return VG_OK;
}

/* ---- merges --------------------------------------------------------------------------------- */

/* A quarter of a million merges mean a million lookups in tables larger than a cache. They are made
 * in batches, each step asking ahead for the memory of the next. */
enum { BATCH = 32, HALF_MAX = 2 * TOKEN_MAX_BYTES, POOL = 2 * HALF_MAX + BATCH * 32 };

typedef struct merge {
    size_t at;          /* its rank */
    vg_str key;         /* the bytes of both halves */
    size_t n_left;      /* of them the left one's */
    uint64_t hash[2];
    pair_slot pair;
} merge;

typedef struct merge_batch {
    merge item[BATCH];
    size_t n, used;
    int32_t last_merged;
    char pool[POOL];
} merge_batch;

const pair_slot *vocab_find_pair(const vg_vocab *v, int32_t left, int32_t right)
{
    for (size_t i = (size_t)pair_hash(left, right);; i++) {
        const pair_slot *s = &v->pair[i & v->pair_mask];
        if (!s->rank1) return NULL;
        if (s->left == left && s->right == right) return s;
    }
}

/* Appends the bytes of one half of a merge, as the table of tokens keys them. */
static bool add_half(const vg_vocab *v, merge_batch *b, vg_str half, size_t *n)
{
    if (half.n > HALF_MAX) return false;
    *n = half.n;
    if (v->raw) memcpy(b->pool + b->used, half.p, half.n);
    else if (!vocab_byte_text(half, b->pool + b->used, n)) return false;
    b->used += *n;
    return true;
}

static vg_status read_merge(const vg_vocab *v, merge_batch *b, vg_str line, size_t at, vg_err *err)
{
    /* A token may be a space itself, so the one that separates is not at the front. */
    const char *space = line.n > 2 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    if (!space || space + 1 == line.p + line.n)
        return VG_FAIL(err, VG_E_FORMAT, "tokenizer.ggml.merges[%zu]: '%.*s' is not a pair", at,
                       VG_STR_ARG(line));
    merge *m = &b->item[b->n++];
    size_t n_left = (size_t)(space - line.p), n_right;
    *m = (merge){.at = at, .key.p = b->pool + b->used};
    if (!add_half(v, b, (vg_str){line.p, n_left}, &m->n_left) ||
        !add_half(v, b, (vg_str){space + 1, line.n - n_left - 1}, &n_right))
        return VG_FAIL(err, VG_E_FORMAT, "tokenizer.ggml.merges[%zu]: '%.*s' is not of tokens", at,
                       VG_STR_ARG(line));
    m->key.n = m->n_left + n_right;
    m->hash[0] = hash_key((vg_str){m->key.p, m->n_left});
    m->hash[1] = hash_key((vg_str){m->key.p + m->n_left, n_right});
    for (int i = 0; i < 2; i++) VG_PREFETCH(&v->slot[hash_index(m->hash[i]) & v->slot_mask]);
    return VG_OK;
}

static bool is_token(const vg_vocab *v, int32_t id, vg_str key)
{
    return id >= 0 && (size_t)id < v->n && is_plain(v, (size_t)id) && vg_str_eq(v->key[id], key);
}

static vg_status resolve_merge(const vg_vocab *v, merge_batch *b, merge *m, vg_err *err)
{
    pair_slot *p = &m->pair;
    p->left = vocab_find_hashed(v, (vg_str){m->key.p, m->n_left}, m->hash[0]);
    p->right = vocab_find_hashed(v, (vg_str){m->key.p + m->n_left, m->key.n - m->n_left},
                                 m->hash[1]);
    /* Most vocabularies list tokens in the order of their merges, some each way to make one. */
    p->merged = b->last_merged;
    if (!is_token(v, p->merged, m->key)) p->merged = b->last_merged + 1;
    if (!is_token(v, p->merged, m->key)) p->merged = vocab_find(v, m->key);
    p->rank1 = (uint32_t)m->at + 1;
    if (p->left < 0 || p->right < 0 || p->merged < 0)
        return VG_FAIL(err, VG_E_FORMAT, "tokenizer.ggml.merges[%zu]: %s is not a token", m->at,
                       p->left < 0    ? "its left half"
                       : p->right < 0 ? "its right half"
                                      : "what it makes");
    b->last_merged = p->merged;
    VG_PREFETCH(&v->pair[pair_hash(p->left, p->right) & v->pair_mask]);
    return VG_OK;
}

static vg_status add_pair(vg_vocab *v, const pair_slot *p, vg_err *err)
{
    size_t i = (size_t)pair_hash(p->left, p->right), probes = 0;
    pair_slot *s;
    while (s = &v->pair[i & v->pair_mask], s->rank1) {
        if (s->left == p->left && s->right == p->right) return VG_OK; /* the first one counts */
        if (++probes > PROBE_MAX)
            return VG_FAIL(err, VG_E_LIMIT, "tokenizer.ggml.merges: too many hash collisions");
        i++;
    }
    *s = *p;
    return VG_OK;
}

vg_status vocab_map_merges(vg_vocab *v, const vg_gguf_kv *merges, vg_err *err)
{
    size_t n = (size_t)merges->n, size;
    if (!table_size(n, &size)) return VG_FAIL(err, VG_E_LIMIT, "%zu merges", n);
    v->pair = VG_ARENA_ARRAY(v->arena, pair_slot, size);
    if (!v->pair) return VG_FAIL_MEMORY(err, size * sizeof *v->pair);
    v->pair_mask = size - 1;
    touch(v->pair, size * sizeof *v->pair);
    merge_batch b = {.last_merged = -1};
    for (size_t i = 0; i < n;) {
        b.n = b.used = 0;
        for (; i < n && b.n < BATCH && b.used + 2 * HALF_MAX <= POOL; i++)
            VG_TRY(read_merge(v, &b, merges->strs[i], i, err));
        for (size_t k = 0; k < b.n; k++) VG_TRY(resolve_merge(v, &b, &b.item[k], err));
        for (size_t k = 0; k < b.n; k++) VG_TRY(add_pair(v, &b.item[k].pair, err));
    }
    return VG_OK;
}

/* ---- bit sets ------------------------------------------------------------------------------- */

static size_t join_bit(int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h >> (64 - JOIN_BITS));
}

bool vocab_joins(const vg_vocab *v, int32_t a, int32_t b)
{
    size_t bit = join_bit(a, b);
    return v->join[bit / 64] >> (bit % 64) & 1;
}

vg_status vocab_map_joins(vg_vocab *v, vg_err *err)
{
    size_t words = ((size_t)1 << JOIN_BITS) / 64;
    v->join = VG_ARENA_ARRAY(v->arena, uint64_t, words);
    if (!v->join) return VG_FAIL_MEMORY(err, words * sizeof *v->join);
    for (size_t id = 0; id < v->n; id++) {
        if (!is_plain(v, id)) continue;
        vg_str key = v->key[id];
        int32_t last = -1, cp;
        for (size_t i = 0; i < key.n; last = cp) {
            i += vg_utf8_next(key.p + i, key.n - i, &cp);
            size_t bit = join_bit(last, cp);
            if (last >= 0) v->join[bit / 64] |= UINT64_C(1) << (bit % 64);
        }
    }
    return VG_OK;
}

static size_t prefix_bit(uint64_t hash, size_t mask)
{
    return hash_index(hash) & mask;
}

bool vocab_has_prefix(const vg_vocab *v, uint64_t hash)
{
    size_t bit = prefix_bit(hash, v->prefix_mask);
    return v->prefix[bit / 64] >> (bit % 64) & 1;
}

vg_status vocab_map_prefixes(vg_vocab *v, vg_err *err)
{
    size_t bytes = 0, bits = 1024;
    for (size_t id = 0; id < v->n; id++) bytes += v->key[id].n;
    while (bits < PREFIX_MAX_BITS && bits / 8 < bytes) bits *= 2;
    v->prefix = VG_ARENA_ARRAY(v->arena, uint64_t, bits / 64);
    if (!v->prefix) return VG_FAIL_MEMORY(err, bits / 8);
    v->prefix_mask = bits - 1;
    for (size_t id = 0; id < v->n; id++) {
        if (!is_plain(v, id)) continue;
        uint64_t h = TOKEN_HASH_SEED;
        for (size_t i = 0; i < v->key[id].n; i++) {
            h = token_hash_step(h, v->key[id].p[i]);
            size_t bit = prefix_bit(h, v->prefix_mask);
            v->prefix[bit / 64] |= UINT64_C(1) << (bit % 64);
        }
    }
    return VG_OK;
}

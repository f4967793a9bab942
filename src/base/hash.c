/* hash.c: a 64-bit hash for files that are large: eight lanes of eight bytes each, so that the
 * multiplications of a stripe do not wait for each other and memory is the limit. Each step of a
 * lane (exclusive or, multiply by an odd number, rotate) can be undone, so a change in one place
 * always changes the lane. It finds damage and mix-ups; it does not withstand an attacker. */
#include "base/base.h"

enum { LANES = 8, STRIPE = LANES * 8 };

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h << 29 | h >> 35;
}

/* Each bit of the result depends on each of h. */
static uint64_t finish(uint64_t h)
{
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

uint64_t vg_hash(const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t lane[LANES], word[LANES];
    for (size_t i = 0; i < LANES; i++) lane[i] = finish(i + 1);
    for (size_t left = n; left > 0;) {
        size_t take = VG_MIN(left, (size_t)STRIPE);
        if (take < STRIPE) memset(word, 0, sizeof word);
        memcpy(word, at, take);
        for (size_t i = 0; i < LANES; i++) lane[i] = mix(lane[i], word[i]);
        at += take;
        left -= take;
    }
    uint64_t h = n;
    for (size_t i = 0; i < LANES; i++) h = mix(h, finish(lane[i]));
    return finish(h);
}

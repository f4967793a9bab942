/* fuzz.h: the one function that a fuzz target is. Under libFuzzer it is called with what the fuzzer
 * makes up; in an ordinary build replay.c calls it with every file of the corpus.
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
 *     {
 *         use(data, n);
 *         return 0;
 *     }
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A copy at 64 bytes, as vg_model_open_memory wants it; free() it. */
static inline uint8_t *fuzz_aligned(const uint8_t *data, size_t n)
{
    uint8_t *p = aligned_alloc(64, n / 64 * 64 + 64);
    if (!p) abort();
    memcpy(p, data, n);
    return p;
}
#endif

/* sample.h: samplers: from the logits after a timeline to its next token.
 *
 *     vg_sampler s;
 *     VG_TRY(vg_sampler_init(&s, &sampling, n_vocab, arena, err));
 *     vg_draw d = {.logits = logits, .n_vocab = n_vocab, .timeline = tok, .n_timeline = n_tok,
 *                  .cand = cand, .touched = touched, .match = match};
 *     int32_t id;
 *     VG_TRY(vg_sampler_draw(&s, &d, &id, err));
 */
#ifndef VG_SAMPLE_H
#define VG_SAMPLE_H

#include "base/base.h"

typedef struct vg_candidate {
    float logit;
    int32_t id;
    double p;
} vg_candidate;

/* Options with their arrays copied, and the state that moves with each token. */
typedef struct vg_sampler {
    vg_sampling opts;
    uint64_t *breaker; /* one bit a token: a repetition does not cross it; NULL: no breakers */
    uint64_t rng;
    double mirostat_mu;
} vg_sampler;

/* Copies opts (NULL: greedy) into the arena. Errors: USAGE for values out of range. */
VG_NODISCARD vg_status vg_sampler_init(vg_sampler *s, const vg_sampling *opts, uint32_t n_vocab,
                                       vg_arena *a, vg_err *err);

typedef struct vg_draw {
    const float *logits; /* [n_vocab] */
    size_t n_vocab;
    const int32_t *timeline; /* [n_timeline], ids of the vocabulary */
    size_t n_timeline;
    vg_candidate *cand; /* [n_vocab] scratch */
    float *touched;     /* [n_vocab] scratch */
    uint32_t *match;    /* [n_timeline] scratch */
    const uint64_t *allowed; /* [n_vocab / 64 + 1] a bit a token; NULL: all */
} vg_draw;

/* Draws one token after the timeline. Errors: NUMERIC when bias and mask leave no token. */
VG_NODISCARD vg_status vg_sampler_draw(vg_sampler *s, const vg_draw *d, int32_t *id, vg_err *err);
#endif

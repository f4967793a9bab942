/* answer.h: one answer: computes a prompt, draws tokens, and hands out text as it becomes certain.
 *
 *     answer_maker a = {.model = model, .engine = engine, .session = session, .batch_tok = 256};
 *     answer got;
 *     VG_TRY(answer_make(&a, &ids, answer_print, NULL, &got, err));
 */
#ifndef VG_ANSWER_H
#define VG_ANSWER_H

#include "app/cli.h"
#include "app/interrupt.h"

typedef struct answer_maker {
    vg_model *model;
    vg_engine *engine;
    vg_session *session;
    interrupt *it;      /* ends an answer early; NULL: nothing does */
    uint32_t batch_tok; /* of the engine */
    uint64_t max_tok;   /* 0: until the model ends it or the context is full */
    const cli_list *stop; /* an answer ends before any of these; NULL: none */
    vg_grammar *grammar; /* each answer keeps to it; NULL: none */
    bool special;       /* control tokens are printed */
    bool progress;      /* a long prompt shows on stderr how far it is */
} answer_maker;

typedef enum answer_end {
    ANSWER_END,       /* the model ended it */
    ANSWER_LENGTH,    /* max_tok */
    ANSWER_CONTEXT,   /* the context is full */
    ANSWER_STOP,      /* a stop text came */
    ANSWER_CANCELLED  /* a signal came */
} answer_end;

extern const char *const answer_end_names[];

typedef struct answer {
    answer_end end;
    int signal; /* that cancelled it */
    size_t n_prompt, n_reused, n_tok;
    double prompt_ms, first_ms; /* computing the prompt; until the first token */
    double generate_ms;         /* from the first token to the last */
} answer;

/* Takes text as it comes: whole UTF-8 characters, never a part of a stop text. */
typedef vg_status answer_put(void *user, const char *p, size_t n, vg_err *err);

VG_NODISCARD vg_status answer_make(const answer_maker *a, const vg_tokens *prompt, answer_put *put,
                                   void *user, answer *out, vg_err *err);

/* An answer_put for stdout. On a terminal control characters are left out, so that a model cannot
 * drive it. `user`: a char that gets the last byte printed, or NULL. */
VG_NODISCARD vg_status answer_print(void *user, const char *p, size_t n, vg_err *err);

/* Tokens a second, 0 where there is nothing to measure. */
double answer_prompt_speed(const answer *a);
double answer_speed(const answer *a);
#endif

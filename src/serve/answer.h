/* answer.h: one request's way: from a dialect's JSON through the template to the engine, and from
 * tokens to text, calls and the dialect's words. All of it on the net thread.
 *
 *     vg_answers_init(&answers, models);
 *     vg_answer_begin(&answers, exchange, &vg_openai_chat, "/v1/chat/completions", key);
 *     vg_answers_pump(&answers); // the engine has news
 */
#ifndef VG_ANSWER_H
#define VG_ANSWER_H

#include "serve/http.h"
#include "serve/models.h"
#include "serve/request.h"

typedef struct vg_answer vg_answer;

/* Whose request it is. */
typedef struct vg_client {
    uint64_t key;  /* 0: nobody's */
    int priority;
} vg_client;

/* What is known of a request once it ended. */
typedef struct vg_answered {
    const vg_reply *reply;
    const char *route;
    bool failed, cancelled;
    double first_ms; /* from the request to the first token; 0: there was none */
    size_t n_prompt, n_reused, n_tok;
    uint64_t key; /* whose it was */
} vg_answered;

typedef struct vg_answers {
    vg_models *models;
    vg_answer *first; /* those that are under way */
    size_t n;
    uint64_t random;  /* for ids and seeds */
    uint32_t max_tok; /* an answer's most, where a client names none; 0: the context */
    void (*answered)(void *user, const vg_answered *a); /* may be NULL */
    void *user;
} vg_answers;

void vg_answers_init(vg_answers *s, vg_models *models);
/* Answers the exchange, now or later; its user pointer is the answer until it is closed. */
void vg_answer_begin(vg_answers *s, vg_exchange *x, const vg_dialect *d, const char *route,
                     const vg_client *client);
void vg_answers_pump(vg_answers *s);
void vg_answer_pump(vg_answer *a);  /* its client took what was sent */
/* Whose it is, and the tokens so far. */
void vg_answer_facts(const vg_answer *a, uint64_t *key, size_t *n_prompt, size_t *n_tok);
void vg_answer_closed(vg_answer *a); /* its exchange ends: what still runs is cancelled */

/* The same without the engine, for routes that only ask what a prompt comes to (count_tokens,
 * apply-template): the tokens of the request's prompt. */
VG_NODISCARD vg_status vg_answer_tokens(const vg_request *r, const vg_model *m, size_t prompt,
                                        vg_tokens *out, bool *in_reasoning, vg_err *err);
#endif

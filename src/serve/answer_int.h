/* answer_int.h: what the files of the pipeline share: an answer under way, and one of its choices
 * on the way from tokens to text.
 *
 *     VG_TRY(vg_answer_submit(a, err));
 *     vg_line_take(&a->line[i], &token);
 *     vg_line_end(&a->line[i], VG_FINISH_LENGTH);
 */
#ifndef VG_ANSWER_INT_H
#define VG_ANSWER_INT_H

#include "serve/answer.h"
#include "serve/parts.h"
#include "serve/prompt.h"

/* One choice: tokens to text, stop texts found, parts told apart. */
typedef struct vg_line {
    vg_answer *answer;
    vg_choice *choice;
    size_t i;           /* of the choice */
    vg_job *job;        /* NULL once it ended */
    vg_decoder decoder;
    vg_buf held;        /* text that may become a stop text */
    vg_parts *parts;    /* NULL: all is text */
    size_t n_told;      /* tokens of the choice that went out with text already */
    bool ended;
    double first_ms;    /* since the request */
} vg_line;

struct vg_answer {
    vg_answers *all;
    vg_answer *next, **at;
    vg_exchange *x;
    const vg_dialect *dialect;
    const char *route;
    vg_client client;
    vg_arena *arena;
    vg_request request;
    vg_reply reply;
    vg_use *use;
    vg_grammar *grammar; /* what the answer keeps to; NULL: it is free */
    vg_line *line;      /* [n_choices]; NULL where vectors are asked for */
    vg_job *job;        /* the vectors' */
    size_t n_ended;
    vg_buf out;         /* what goes to the client next */
    uint64_t begin_ns;
    bool streaming;     /* the head of a stream went out */
    bool done;          /* nothing more is sent */
};

/* Prompts to tokens to jobs. Errors: those of the model, the template, the queue. */
VG_NODISCARD vg_status vg_answer_submit(vg_answer *a, vg_err *err);

/* The same for vectors. */
VG_NODISCARD vg_status vg_answer_submit_texts(vg_answer *a, vg_err *err);

/* A token of a line's job; it tells the answer of what comes of it. */
void vg_line_take(vg_line *l, const vg_token_out *t);
/* No token comes any more. */
void vg_line_end(vg_line *l, vg_finish finish);
/* Text that stands before what the model writes. */
void vg_line_echo(vg_line *l, vg_str text);
VG_NODISCARD vg_status vg_line_init(vg_line *l, bool in_reasoning, vg_err *err);
void vg_line_clear(vg_line *l);

/* The chat template that a request goes through. */
vg_str vg_answer_template(const vg_request *r, const vg_model *m);
/* Letters and digits that no other id of this server has, in the answer's arena. */
vg_str vg_answer_new_id(vg_answer *a, const char *prefix);
/* A stream's client is told. */
void vg_answer_tell(vg_answer *a, const vg_delta *d);
#endif

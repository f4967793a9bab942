/* request.h: what a client asks for and what it is told, in no dialect's words. A dialect (OpenAI,
 * Anthropic, Ollama, llama-server) fills a vg_request from JSON, and writes a vg_reply as JSON,
 * whole or event by event; what lies between, answer.c, is the same for all.
 *
 *     vg_request r = {.arena = arena};
 *     VG_TRY(dialect->parse(&r, route, body, err));
 *     if (r.stream) dialect->begin(&reply, &out);
 *
 * A dialect is pure: no sockets, no model, no clock. All that a request points to lives in its
 * arena, which begins with the body and ends with the reply. */
#ifndef VG_REQUEST_H
#define VG_REQUEST_H

#include "base/json.h"

/* ---- what is asked --------------------------------------------------------------------------- */

typedef enum vg_ask {
    VG_ASK_CHAT,     /* messages through the chat template */
    VG_ASK_COMPLETE, /* prompts as they are */
    VG_ASK_INFILL,   /* what stands between a prefix and a suffix */
    VG_ASK_EMBED,    /* vectors of the prompts */
    VG_ASK_LOAD      /* nothing: the model is loaded, or where keep_alive_s is 0 unloaded */
} vg_ask;

/* A prompt: pieces of text and of token ids, one after the other. */
typedef struct vg_piece {
    vg_str text;       /* where id is NULL; control tokens written out in it are plain text */
    const int32_t *id; /* [n_id] */
    size_t n_id;
} vg_piece;
typedef struct vg_prompt {
    const vg_piece *piece;
    size_t n;
} vg_prompt;

/* INFILL: another file that the model may know. */
typedef struct vg_ask_file {
    vg_str name, text;
} vg_ask_file;

typedef enum vg_tool_choice { VG_TOOLS_AUTO, VG_TOOLS_NONE, VG_TOOLS_REQUIRED } vg_tool_choice;

/* What the answer has to be. */
typedef enum vg_form { VG_FORM_FREE, VG_FORM_JSON_OBJECT, VG_FORM_SCHEMA, VG_FORM_GBNF } vg_form;

/* A bias for a token, or for each token of a text where id is -1. */
typedef struct vg_ask_bias {
    int32_t id;
    vg_str text;
    float add; /* -INFINITY: never */
} vg_ask_bias;

enum { VG_MAX_STOPS = 64, VG_MAX_CHOICES = 64, VG_MAX_PROMPTS = 2048, VG_MAX_TOP = 20 };

typedef struct vg_request {
    vg_arena *arena;
    vg_ask ask;
    vg_str model; /* empty: the one that the server prefers */

    /* CHAT. Messages and tools are in OpenAI's form, which is what chat templates are written for:
     * [{role, content (text or parts of text), tool_calls[{id, type, function{name, arguments
     * (an object)}}], tool_call_id, name, reasoning_content}], [{type, function{name, description,
     * parameters}}]. */
    const vg_json *messages, *tools; /* tools NULL: none */
    vg_tool_choice tool_choice;
    vg_str tool_name;     /* REQUIRED: this one; empty: any */
    bool one_tool;        /* not several calls side by side */
    const vg_json *template_args; /* an object of more variables for the template; NULL: none */
    bool continue_last;   /* the last message is the model's own, unfinished */
    vg_str tmpl;          /* a template in place of the model's; empty: the model's */
    bool must_think;      /* a model whose template knows no reasoning is refused */
    bool keep_reasoning;  /* <think>..</think> stays in the text instead of standing beside it */
    const int32_t *context; /* [n_context] before the rendered messages: Ollama's */
    size_t n_context;

    /* COMPLETE, EMBED: prompts. INFILL: prefix, suffix, other files, and a prompt: what the
     * answer's text begins with. */
    const vg_prompt *prompt; /* [n_prompts] */
    size_t n_prompts;
    bool special;            /* control tokens in the prompt's text count as such */
    bool no_bos;             /* nothing before the text, even where the model wants it */
    vg_str prefix, suffix;
    const vg_ask_file *file; /* [n_files] */
    size_t n_files;

    /* How to answer. */
    vg_sampling sampling; /* its bias and breakers are not set; seed where has_seed */
    bool has_seed;        /* else the server draws one */
    const vg_ask_bias *bias;
    size_t n_bias;
    const vg_str *dry_breaker;
    size_t n_dry_breakers;
    uint32_t n;           /* answers to each prompt, at least 1 */
    bool has_max_tok;     /* else until the model ends it or the context is full */
    uint32_t max_tok;
    const vg_str *stop;   /* [n_stop] an answer ends before any of these */
    size_t n_stop;
    bool keep_stop;       /* the stop text stays in the answer */
    bool ignore_end;      /* the model's end tokens do not end it */
    bool logprobs;
    uint32_t n_top;       /* that many alternatives for each token, at most VG_MAX_TOP */
    bool echo;            /* the prompt stands before the answer */
    bool return_ids;      /* token ids beside the text */
    vg_form form;
    const vg_json *schema; /* SCHEMA */
    vg_str gbnf;           /* GBNF */
    uint32_t max_ms;       /* time for generating; 0: none */
    uint32_t ctx_tok;      /* the most of prompt and answer; 0: what the server has, which it may
                            * not pass: CONTEXT, with both numbers */
    bool truncate;         /* EMBED: a prompt that is too long is cut, else CONTEXT */

    /* How to tell. */
    bool stream, stream_usage;
    uint32_t n_dimensions; /* EMBED: 0: all */
    bool base64;           /* EMBED */
    bool has_keep_alive;   /* Ollama: how long the model stays loaded afterwards */
    int64_t keep_alive_s;  /* below 0: for good */
    const vg_json *body;   /* the whole, for what a dialect repeats in its answer */
    vg_str route;          /* of the dialect's routes, the one taken */
} vg_request;

/* ---- what is told ---------------------------------------------------------------------------- */

typedef enum vg_finish {
    VG_FINISH_NONE,   /* goes on */
    VG_FINISH_END,    /* the model ended it */
    VG_FINISH_STOP,   /* a stop text came */
    VG_FINISH_LENGTH, /* max_tok, max_ms, or the context is full */
    VG_FINISH_TOOLS,  /* it ends with tool calls */
    VG_FINISH_ERROR   /* vg_reply.err says why */
} vg_finish;

/* A token with its log-probability before any sampler, and the most probable ones instead. */
typedef struct vg_told_top {
    int32_t id;
    float logprob;
    vg_str bytes; /* of the token, perhaps half a character */
} vg_told_top;
typedef struct vg_told_token {
    int32_t id;
    float logprob;
    vg_str bytes;
    uint32_t n_top;
    const vg_told_top *top; /* [n_top], the best first */
} vg_told_token;

typedef struct vg_tool_call {
    vg_str id, name; /* id: "call_" and letters that no other call of this server has */
    vg_buf args;     /* a JSON object, as the model wrote it */
} vg_tool_call;

enum { VG_MAX_CALLS = 64 };

/* One answer. */
typedef struct vg_choice {
    vg_buf text, reasoning;
    vg_tool_call call[VG_MAX_CALLS];
    size_t n_calls;
    vg_finish finish;
    vg_str stop_text;     /* STOP: which one */
    size_t prompt;        /* of which prompt */
    size_t n_prompt, n_reused, n_tok; /* tokens: of the prompt, of these known before, answered */
    size_t n_reasoning_tok;           /* of the answer, inside of reasoning */
    vg_told_token *token; /* [n_tokens_told] where logprobs or ids were asked for */
    size_t n_tokens_told, cap_tokens_told;
    const int32_t *prompt_id; /* [n_prompt] */
    double queue_ms, prompt_ms, generate_ms; /* waiting; the prompt; first token to last */
} vg_choice;

typedef struct vg_reply {
    const vg_request *request;
    vg_arena *arena;
    vg_str id;          /* 24 letters and digits, which the dialect puts its prefix before */
    int64_t created_s;  /* since 1970 */
    int64_t created_ns; /* and the part of a second */
    vg_str model;       /* the name that answered */
    vg_choice *choice;  /* [n_choices]: those of prompt 0, then of prompt 1 ... */
    size_t n_choices;
    double load_ms, total_ms; /* until the model was there; all of it, known at the end */
    vg_err err;         /* VG_FINISH_ERROR */
    const float *vector; /* EMBED: [n_choices, width] */
    size_t width;
    void *state;        /* of the dialect, in the arena, zero at first; set by begin */
} vg_reply;

/* A piece of news about one choice while it is made. What came is already part of the choice. */
typedef enum vg_news {
    VG_NEWS_TEXT,
    VG_NEWS_REASONING,
    VG_NEWS_CALL_BEGIN, /* call n_calls - 1 has its id and name */
    VG_NEWS_CALL_ARGS,  /* text is a piece of its arguments */
    VG_NEWS_CALL_END,
    VG_NEWS_FINISH      /* finish is set */
} vg_news;
typedef struct vg_delta {
    vg_news news;
    size_t choice, call;
    vg_str text;
    const vg_told_token *token; /* [n_tokens] that the text is made of, where they were asked for */
    size_t n_tokens;
} vg_delta;

/* ---- a dialect ------------------------------------------------------------------------------- */

typedef struct vg_dialect {
    const char *name;
    const char *stream_type; /* content type of a stream: "text/event-stream" */
    /* Errors: USAGE names the field that is wrong, UNSUPPORTED the one that we do not have; the
     * message begins with the name and a colon, from which `error` knows it. */
    vg_status (*parse)(vg_request *r, const char *route, const vg_json *body, vg_err *err);
    /* The whole answer. */
    void (*whole)(vg_reply *r, vg_buf *out);
    /* A stream: what goes out before anything else (may be nothing), for each piece of news, after
     * the last one, and for an error in mid-stream. */
    void (*begin)(vg_reply *r, vg_buf *out);
    void (*delta)(vg_reply *r, const vg_delta *d, vg_buf *out);
    void (*end)(vg_reply *r, vg_buf *out);
    void (*fail)(vg_reply *r, const vg_err *e, vg_buf *out);
    /* The body of an error before anything was sent. */
    void (*error)(const vg_err *e, int http, vg_buf *out);
} vg_dialect;

extern const vg_dialect vg_openai_chat, vg_openai_completions, vg_openai_responses,
    vg_openai_embeddings, vg_anthropic, vg_ollama, vg_llama;
#endif

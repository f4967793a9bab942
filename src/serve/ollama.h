/* ollama.h: the routes of Ollama that are about models and not about answers: what is there, what
 * is loaded, what a model is, and the words to get, copy and delete one. Pure writers; answers are
 * the dialect's, vg_ollama in request.h.
 *
 *     vg_ollama_model m = {.name = VG_STR("tiny"), .file_bytes = n_bytes, .family = "llama"};
 *     vg_ollama_tags(&m, 1, &out);
 *     vg_ollama_names names;
 *     VG_TRY(vg_ollama_read_names("/api/delete", body, &names, err));
 *
 * A model's name here may end in ":latest", which means the same as without. */
#ifndef VG_OLLAMA_H
#define VG_OLLAMA_H

#include "serve/request.h"

typedef struct vg_ollama_model {
    vg_str name;
    int64_t modified_s;  /* of the file, since 1970 */
    uint64_t file_bytes, memory_bytes;
    const char *family;  /* "llama" */
    const char *weights; /* "Q4_0": the type of most weights */
    uint64_t n_params;
    uint32_t ctx_tok;    /* that it was trained on; of one that is loaded: that it serves */
    uint32_t width;
    bool chats, embeds, calls_tools, infills, thinks;
    int64_t expires_s;   /* of one that is loaded; 0: stays */
    vg_str tmpl, license;
} vg_ollama_model;

void vg_ollama_version(vg_buf *out);
void vg_ollama_tags(const vg_ollama_model *m, size_t n, vg_buf *out);
void vg_ollama_ps(const vg_ollama_model *m, size_t n, vg_buf *out);
void vg_ollama_show(const vg_ollama_model *m, vg_buf *out);

/* What a request about models names. Errors: USAGE, UNSUPPORTED (create, push: not with a store of
 * files; the message says what to do instead). */
typedef struct vg_ollama_names {
    vg_str model;       /* without ":latest" */
    vg_str destination; /* of copy */
    bool stream;        /* pull: an NDJSON stream, which is what a client gets unless it says no */
} vg_ollama_names;
VG_NODISCARD vg_status vg_ollama_read_names(const char *route, const vg_json *body,
                                            vg_ollama_names *out, vg_err *err);

/* A pull of a model that is there has nothing to do; of another one it fails with this. */
void vg_ollama_pulled(bool stream, vg_buf *out);
vg_status vg_ollama_cannot_pull(vg_str model, vg_err *err);

/* The name without ":latest". */
vg_str vg_ollama_name(vg_str name);
#endif

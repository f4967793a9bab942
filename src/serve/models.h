/* models.h: the models of a server by name: which are there, which are loaded, who uses them.
 *
 *     vg_models *ms;
 *     VG_TRY(vg_models_new(&ms, &opts, err));
 *     VG_TRY(vg_models_add_file(ms, VG_STR("tiny"), "tiny.gguf", err));
 *     vg_use *use;
 *     VG_TRY(vg_models_use(ms, VG_STR("tiny"), ready, user, &use, err));
 *     vg_use_free(use);
 *     vg_models_free(ms);
 *
 * All of it belongs to the net thread; a model is opened on a thread of its own meanwhile. Loading
 * makes room by bytes: models that nobody uses go, the longest unused one first. A file that has
 * changed is loaded anew beside the old one: who began on that finishes there, who comes then gets
 * the new one. */
#ifndef VG_MODELS_H
#define VG_MODELS_H

#include "serve/grammars.h"
#include "serve/sched.h"

typedef struct vg_models vg_models;
typedef struct vg_use vg_use;

typedef struct vg_models_opts {
    const char *store;     /* a folder whose *.gguf files are models by their name; NULL: none */
    vg_sched_opts sched;   /* of each engine */
    uint64_t budget_bytes; /* all engines together; 0: nine tenths of what is free now */
    int64_t keep_alive_s;  /* a model that nobody uses so long is unloaded; 0: stays */
    bool keep_image, no_repack;
    /* Runs fn(arg) on the net thread, soon; from any thread. */
    bool (*post)(void *post_user, void (*fn)(void *arg), void *arg);
    void *post_user;
    void (*log)(void *log_user, const char *text); /* may be NULL */
    void *log_user;
} vg_models_opts;

VG_NODISCARD vg_status vg_models_new(vg_models **out, const vg_models_opts *opts, vg_err *err);
/* Waits for what is being opened; all uses must be gone. NULL is fine. */
void vg_models_free(vg_models *ms);

/* The first one added is the one that "" means. Errors: USAGE (a name that is there already, or is
 * none: letters, digits and ._:/@+- only), NOT_FOUND, NO_MEMORY. */
VG_NODISCARD vg_status vg_models_add_file(vg_models *ms, vg_str name, const char *path,
                                          vg_err *err);
/* `data` outlives ms and is aligned to 64 bytes. */
VG_NODISCARD vg_status vg_models_add_memory(vg_models *ms, vg_str name, const void *data, size_t n,
                                            vg_err *err);
/* Looks at the store folder again: new files become models, those that are gone are forgotten once
 * nobody uses them. Errors: IO (the folder cannot be read), NO_MEMORY. */
VG_NODISCARD vg_status vg_models_scan(vg_models *ms, vg_err *err);
/* Deletes the file of a model of the store, copies one under another name. Errors: NOT_FOUND, USAGE
 * (not of the store), IO. */
VG_NODISCARD vg_status vg_models_delete(vg_models *ms, vg_str name, vg_err *err);

/* Holds a model, loading it where it is not loaded. `ready` is called once, perhaps before this
 * returns, with err->code VG_OK or why it failed; not after vg_use_free. Errors (ready is not
 * called then): NOT_FOUND, NO_MEMORY, LIMIT (it can never fit the budget). */
typedef void vg_use_ready(void *user, vg_use *use, const vg_err *err);
VG_NODISCARD vg_status vg_models_use(vg_models *ms, vg_str name, vg_use_ready *ready, void *user,
                                     vg_use **out, vg_err *err);
void vg_use_free(vg_use *use); /* NULL is fine; its jobs must be freed */
/* Once it is ready. */
vg_model *vg_use_model(const vg_use *use);
vg_sched *vg_use_sched(const vg_use *use);
vg_str vg_use_name(const vg_use *use); /* as the server has it */
vg_grammars *vg_use_grammars(vg_use *use);
double vg_use_load_ms(const vg_use *use); /* how long it waited for its model */
/* From now, when nobody uses the model any more: seconds until it goes; below 0: it stays. */
void vg_use_keep_alive(vg_use *use, int64_t seconds);

/* Forgets what is loaded under a name once nobody uses it. Errors: NOT_FOUND. */
VG_NODISCARD vg_status vg_models_unload(vg_models *ms, vg_str name, vg_err *err);
void vg_models_tick(vg_models *ms); /* once a second: unloads what was not used for long */

typedef enum vg_model_state {
    VG_MODEL_ABSENT, /* not loaded */
    VG_MODEL_LOADING,
    VG_MODEL_READY,
    VG_MODEL_BROKEN /* the last attempt to load it failed */
} vg_model_state;
extern const char *const vg_model_state_names[]; /* "absent", "loading", "ready", "broken" */

typedef struct vg_model_facts {
    vg_str name;
    const char *path;       /* NULL: in memory */
    uint64_t file_bytes;
    int64_t modified_s;     /* since 1970 */
    vg_model_state state;
    double loaded;          /* LOADING: the share that is done, 0..1 */
    const vg_err *why;      /* BROKEN */
    vg_model *model;        /* READY; alive until the next call of this header */
    vg_sched *sched;
    uint64_t memory_bytes;  /* READY */
    uint32_t n_uses;
    double idle_s, expires_s; /* READY; expires below 0: never */
} vg_model_facts;
size_t vg_models_count(const vg_models *ms);
void vg_models_get(vg_models *ms, size_t i, vg_model_facts *out); /* in the order of adding */
VG_NODISCARD vg_status vg_models_find(vg_models *ms, vg_str name, vg_model_facts *out, vg_err *err);

typedef struct vg_models_stats {
    uint64_t n_loads, n_failed, n_evicted, used_bytes, budget_bytes;
} vg_models_stats;
void vg_models_get_stats(const vg_models *ms, vg_models_stats *out);
#endif

/* serve.h: the server: transport, models and answers joined, and the table of its routes.
 *
 *     vg_server *s;
 *     VG_TRY(vg_server_new(&s, &opts, err));
 *     VG_TRY(vg_models_add_file(vg_server_models(s), VG_STR("tiny"), "tiny.gguf", err));
 *     VG_TRY(vg_http_listen_tcp(vg_server_http(s), "127.0.0.1", 8080, NULL, err));
 *     vg_status st = vg_http_run(vg_server_http(s), err);
 *     vg_server_free(s);
 */
#ifndef VG_SERVE_H
#define VG_SERVE_H

#include "serve/access.h"
#include "serve/log.h"
#include "serve/models.h"

typedef struct vg_server vg_server;

typedef struct vg_server_opts {
    vg_http_limits limits;
    vg_models_opts models; /* wake, post and log are the server's own */
    uint32_t max_tok;      /* of an answer, where a client names none; 0: the context */
    const char *tls_cert, *tls_key; /* PEM files, both or none */
    vg_access access;      /* what it points to outlives the server */
    vg_log *log;           /* NULL: nothing is logged */
} vg_server_opts;

VG_NODISCARD vg_status vg_server_new(vg_server **out, const vg_server_opts *opts, vg_err *err);
void vg_server_free(vg_server *s); /* after its transport has run; NULL is fine */
vg_http *vg_server_http(vg_server *s);
vg_models *vg_server_models(vg_server *s);
#endif

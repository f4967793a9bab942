/* logits MODEL.gguf q8|f16|f32 ID...: writes the float32 logits after each of the token ids to
 * stdout, [n_ids, n_vocab], for comparisons with other programs (tools/oracle). Not a test
 * itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verge.h"

static int fail(const vg_err *err)
{
    fprintf(stderr, "logits: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    vg_err err;
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    if (argc < 4) return 2;
    vg_engine_opts opts = {.n_threads = 1, .ctx_tok = (uint32_t)argc};
    if (strcmp(argv[2], "f32") == 0) opts.kv = VG_KV_F32;
    if (strcmp(argv[2], "f16") == 0) opts.kv = VG_KV_F16;
    if (vg_model_open(&m, argv[1], NULL, &err) || vg_engine_new(&e, m, &opts, &err) ||
        vg_session_new(&s, e, NULL, &err))
        return fail(&err);
    vg_model_info info;
    vg_model_get_info(m, &info);
    for (int i = 3; i < argc; i++) {
        int32_t id = atoi(argv[i]);
        if (vg_session_append(s, &id, 1, &err) || vg_engine_step(e, &s, 1, &err))
            return fail(&err);
        fwrite(vg_session_logits(s), sizeof(float), info.n_vocab, stdout);
    }
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    return fflush(stdout) ? 1 : 0;
}

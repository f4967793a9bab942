/* The template interpreter: the input is a template, a NUL, and the JSON of its context; without a
 * NUL, a template over a fixed conversation. */
#include "fuzz.h"
#include "model/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_text out = {0};
    const uint8_t *nul = memchr(data, 0, n);
    vg_str tmpl = {(const char *)data, nul ? (size_t)(nul - data) : n};
    vg_str json = VG_STR("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
                         "\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":"
                         "\"f\",\"arguments\":{\"x\":1.5}}}]}],\"tools\":[{\"a\":[1,true]}]}");
    if (nul) json = (vg_str){(const char *)nul + 1, n - tmpl.n - 1};
    vg_chat_opts opts = {.bos = VG_STR("<s>"),
                         .eos = VG_STR("</s>"),
                         .max_steps = 20000,
                         .max_out_bytes = 1 << 20,
                         .now = 1700000000};
    if (vg_chat_run(tmpl, json, &opts, &out, &err) == VG_OK) vg_text_free(&out);
    return 0;
}

/* The JSON reader and writer: what parses is written as strings and numbers again. */
#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_arena *a = NULL;
    vg_json *doc = NULL;
    if (vg_arena_new(&a, 8 << 20, &err)) return 0;
    if (vg_json_parse(a, (const char *)data, n, &doc, &err) == VG_OK) {
        vg_buf b;
        vg_buf_init(&b, 1 << 20);
        vg_json_put_number(&b, doc->number);
        vg_json_put_str(&b, doc->str);
        for (size_t i = 0; doc->kind == VG_JSON_OBJECT && i < doc->n; i++)
            vg_json_put_str(&b, doc->key[i]);
        vg_buf_clear(&b);
    }
    vg_arena_free(a);
    return 0;
}

/* Settings files and files of keys. */
#include "fuzz.h"
#include "serve/config.h"
#include "serve/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err = {0};
    vg_arena *a = NULL;
    vg_config c;
    vg_keys *k = NULL;
    vg_str text = {(const char *)data, n};
    if (vg_arena_new(&a, 8 << 20, &err)) return 0;
    if (vg_config_parse(&c, a, "f", text, &err) == VG_OK) {
        for (size_t i = 0; i < c.n; i++)
            if (c.item[i].key.n == 0 || c.item[i].line == 0) abort();
    } else if (err.msg[0] == '\0') {
        abort();
    }
    if (vg_keys_parse(&k, "f", text, &err) == VG_OK) vg_keys_find(k, text);
    vg_keys_free(k);
    vg_arena_free(a);
    return 0;
}

/* A whole checkpoint folder: config.json, the tokenizer (tokenizer.json, or tokenizer.model where
 * it does not begin with a brace) and model.safetensors, with a line "---" between them. What
 * converts gives a file that opens, or that is refused with an error. */
#include <stdio.h>
#include <unistd.h>

#include "compress/convert.h"
#include "fuzz.h"
#include "model/model.h"

enum { N_FILES = 3, PATH_BYTES = 128 };

static void put(const char *dir, const char *name, const uint8_t *p, size_t n)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f)) abort();
}

static void convert(const char *dir, const char *out)
{
    vg_err err;
    vg_convert_report r;
    vg_model *m = NULL;
    const vg_convert_opts opts = {.type = VG_N_DTYPES};
    if (vg_convert(dir, out, &opts, &r, &err)) {
        if (access(out, F_OK) == 0) abort();
        return;
    }
    if (vg_model_open(&m, out, NULL, &err) == VG_OK) vg_model_unref(m);
    remove(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char cut[] = "\n---\n";
    const char *names[N_FILES] = {"config.json", "tokenizer.json", "model.safetensors"};
    char dir[] = "/tmp/verge-fuzz-XXXXXX", out[PATH_BYTES];
    if (access("/dev/shm", W_OK) == 0) memcpy(dir, "/dev/shm/vg", 11); /* a disk would be slow */
    if (!mkdtemp(dir)) abort();
    snprintf(out, sizeof out, "%s/out.gguf", dir);
    for (size_t i = 0; i < N_FILES; i++) {
        const uint8_t *end = i + 1 < N_FILES ? memmem(data, n, cut, sizeof cut - 1) : data + n;
        size_t size = end ? (size_t)(end - data) : n;
        if (i == 1 && (size == 0 || data[0] != '{')) names[i] = "tokenizer.model";
        put(dir, names[i], data, size);
        size_t skip = VG_MIN(size + sizeof cut - 1, n);
        data += skip;
        n -= skip;
    }
    convert(dir, out);
    for (size_t i = 0; i < N_FILES; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
    if (rmdir(dir)) abort();
    return 0;
}

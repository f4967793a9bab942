/* llama2c MODEL.bin TOKENS.bin|TOKENS.vocab OUT.gguf: converts a llama2.c model to GGUF. */
#include <stdio.h>
#include <stdlib.h>

#include "llama2c.h"

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "Usage: llama2c MODEL.bin TOKENS.bin|TOKENS.vocab OUT.gguf\n");
        return 2;
    }
    vg_err err;
    size_t n;
    uint8_t *bytes = llama2c_convert(argv[1], argv[2], &n, &err);
    if (!bytes) {
        fprintf(stderr, "llama2c: %s\n", err.msg);
        return 1;
    }
    FILE *f = fopen(argv[3], "wb");
    bool ok = f && fwrite(bytes, 1, n, f) == n;
    if (f && fclose(f)) ok = false;
    free(bytes);
    if (!ok) perror(argv[3]);
    return ok ? 0 : 1;
}

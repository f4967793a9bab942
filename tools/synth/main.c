/* synth SHAPE TYPE OUT.gguf: writes a model of random weights. See synth.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "synth.h"

static const char usage[] =
    "Usage: synth SHAPE TYPE OUT.gguf [--seed N] [--tiny] [--vocab-only]\n"
    "       synth SHAPE BF16|F16 DIR --checkpoint [--seed N] [--tiny]\n"
    "       synth --list\n"
    "\n"
    "Writes a GGUF file with random weights in the shape of a published model. TYPE is the\n"
    "type of all matrices, or a mix as llama-quantize makes it (Q4_K_M).\n"
    "\n"
    "  --seed N       other weights (default 1)\n"
    "  --tiny         the same structure in a few megabytes\n"
    "  --vocab-only   metadata and vocabulary, no tensors\n"
    "  --checkpoint   a Hugging Face folder: config, tokenizer of bytes, shards\n"
    "  --list         the shapes and the types\n";

static int list(void)
{
    size_t n;
    const synth_shape *s = synth_shapes(&n);
    printf("%-16s %-9s %6s %6s %6s %6s %6s %7s\n", "shape", "family", "layers", "width", "heads",
           "kv", "ff", "vocab");
    for (size_t i = 0; i < n; i++)
        printf("%-16s %-9s %6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %6" PRIu32
               " %7" PRIu32 "%s\n",
               s[i].name, s[i].arch, s[i].n_layers, s[i].width, s[i].n_heads, s[i].n_kv_heads,
               s[i].n_ff, s[i].n_vocab, s[i].tied ? " tied" : "");
    const synth_mix *mix = synth_mixes(&n);
    printf("types:");
    for (size_t i = 0; i < n; i++) printf(" %s", mix[i].name);
    printf("\n");
    return 0;
}

static int wrong(const char *what, const char *arg)
{
    fprintf(stderr, "synth: %s '%s'\n%s", what, arg, usage);
    return 2;
}

int main(int argc, char **argv)
{
    const char *arg[3];
    int n_args = 0;
    bool checkpoint = false;
    synth_opts opts = {.seed = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) return list();
        if (strcmp(argv[i], "--tiny") == 0) opts.tiny = true;
        else if (strcmp(argv[i], "--checkpoint") == 0) checkpoint = true;
        else if (strcmp(argv[i], "--vocab-only") == 0) opts.vocab_only = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            opts.seed = strtoull(argv[++i], NULL, 10);
        else if (argv[i][0] == '-') return wrong("unknown option", argv[i]);
        else if (n_args == 3) return wrong("one argument too many:", argv[i]);
        else arg[n_args++] = argv[i];
    }
    if (n_args < 3) {
        fputs(usage, stderr);
        return 2;
    }
    const synth_shape *shape = synth_shape_find(arg[0]);
    const synth_mix *mix = synth_mix_find(arg[1]);
    if (!shape) return wrong("no shape", arg[0]);
    if (!mix) return wrong("no type", arg[1]);
    vg_err err;
    vg_status st = checkpoint ? synth_checkpoint(shape, mix->type, &opts, arg[2], &err)
                              : synth_write(shape, mix, &opts, arg[2], &err);
    if (st) {
        fprintf(stderr, "synth: %s\n", err.msg);
        return 1;
    }
    return 0;
}

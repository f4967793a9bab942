/* llama2c.h: reads models in the format of karpathy's llama2.c (version 0: seven int32 and float32
 * tensors) and writes them as GGUF, so that the small public models of that project run here.
 *
 *     vg_err err;
 *     size_t n;
 *     uint8_t *gguf = llama2c_convert("stories260K.bin", "tok512.bin", &n, &err);
 *     if (!gguf) return fail(&err);
 *     free(gguf);
 */
#ifndef LLAMA2C_H
#define LLAMA2C_H

#include "base/base.h"

/* `tokens` is a vocabulary in llama2.c's format (.bin: score, length, bytes of each token) or in
 * SentencePiece's text form (.vocab: piece, tab, score). Returns the bytes of a GGUF file, aligned
 * to 64 bytes, for free(); NULL with *err filled on failure. */
uint8_t *llama2c_convert(const char *model, const char *tokens, size_t *n, vg_err *err);
#endif

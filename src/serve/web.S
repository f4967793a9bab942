/* The bytes of the files that web.def lists, taken in by the assembler, which is told where they
 * lie. Each has a symbol at its begin and one at its end. */
#define WEB(symbol, path, file, type) \
    .globl symbol##_begin; .hidden symbol##_begin; symbol##_begin: ; \
    .incbin file; \
    .globl symbol##_end; .hidden symbol##_end; symbol##_end: ; .byte 0;

    .section .rodata
#include "serve/web.def"
    .section .note.GNU-stack, "", %progbits

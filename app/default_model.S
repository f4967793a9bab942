/* The bytes of models/default.gguf and of targets.json, taken in by the assembler: no generated
 * source of megabytes. */
    .section .rodata
    .balign 4096
    .globl verge_default_model_begin
    .hidden verge_default_model_begin
verge_default_model_begin:
    .incbin VG_DEFAULT_MODEL
    .globl verge_default_model_end
    .hidden verge_default_model_end
verge_default_model_end:
    .byte 0
    .globl verge_targets_begin
    .hidden verge_targets_begin
verge_targets_begin:
    .incbin VG_TARGETS
    .globl verge_targets_end
    .hidden verge_targets_end
verge_targets_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits

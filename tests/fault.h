/* fault.h: makes the n-th allocation, or the n-th call of the system, fail inside the library.
 *
 *     bool more = true;
 *     for (unsigned n = 1; more; n++) {
 *         fault_arm(FAULT_ALLOC, n);
 *         vg_status st = vg_gguf_open(&g, path, NULL, &err);
 *         more = fault_disarm();
 *         if (more) assert_int_not_equal(st, VG_OK);
 *     }
 *
 * Fewer than n calls end the loop: then the whole path was walked.
 * A test that uses it is linked with fault_link of tests/meson.build, which sends the library's
 * calls here (the linker's --wrap). Calls by other libraries are not counted.
 * One thread at a time. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

typedef enum fault_kind {
    FAULT_ALLOC, /* calloc, malloc, realloc */
    FAULT_IO     /* open, fstat, mmap, read, write: EIO (mmap: ENOMEM) */
} fault_kind;

void fault_arm(fault_kind kind, unsigned nth); /* 1: the next one */
bool fault_disarm(void);                       /* whether a call was made to fail */
#endif

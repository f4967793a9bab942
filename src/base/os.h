/* os.h: what the engine asks of the operating system. One implementation per system, chosen by
 * file (os_posix.c); nothing else in the engine calls the system.
 *
 *     vg_file f;
 *     VG_TRY(vg_file_map(&f, "model.gguf", err));
 *     use(f.data, f.n);
 *     vg_file_unmap(&f);
 */
#ifndef VG_OS_H
#define VG_OS_H

#include "base/base.h"

/* A regular file mapped read-only. */
typedef struct vg_file {
    const uint8_t *data;
    uint64_t n;
    int fd; /* kept open, so that a later vg_file_intact can look at the same file */
} vg_file;

/* Follows symbolic links; refuses anything but a regular file without blocking on it (a FIFO, a
 * directory, a device). Errors: NOT_FOUND, IO, FORMAT (not a regular file; empty). */
VG_NODISCARD vg_status vg_file_map(vg_file *f, const char *path, vg_err *err);
void vg_file_unmap(vg_file *f);
/* False when the file is now shorter than its mapping, which then must not be read any more, or
 * when the guard below had to give zeros for a part that could not be read. */
bool vg_file_intact(const vg_file *f);

/* What changes when another file takes this one's place, or its content is written. */
typedef struct vg_file_stamp {
    uint64_t n_bytes, modified_ns, changed_ns, inode; /* all 0: unknown */
} vg_file_stamp;
vg_file_stamp vg_file_stamp_of(const vg_file *f);

enum { VG_PATH_BYTES = 4096 };

/* A file that appears at its path whole or not at all, in the place of one that is there: begin,
 * put, then end or abandon (which a failed begin or end needs not). Errors: IO, LIMIT. */
typedef struct vg_new_file {
    int fd; /* -1: none */
    char path[VG_PATH_BYTES], part[VG_PATH_BYTES + 8];
} vg_new_file;
VG_NODISCARD vg_status vg_new_file_begin(vg_new_file *f, const char *path, vg_err *err);
VG_NODISCARD vg_status vg_new_file_put(vg_new_file *f, const void *p, size_t n, vg_err *err);
/* Takes disk space for n bytes in all, where the system can; without it a full disk shows later. */
VG_NODISCARD vg_status vg_new_file_reserve(const vg_new_file *f, uint64_t n, vg_err *err);
VG_NODISCARD vg_status vg_new_file_end(vg_new_file *f, vg_err *err);
void vg_new_file_abandon(vg_new_file *f);
/* A file that is written in several lives of the program: keep leaves what is there as PATH.part,
 * after which again, then cut, take the place of begin: cut goes on behind the first n bytes, whose
 * own first n_head must be those of `head`. Errors: IO, FORMAT. */
void vg_new_file_keep(vg_new_file *f);
VG_NODISCARD vg_status vg_new_file_again(vg_new_file *f, const char *path, vg_err *err);
VG_NODISCARD vg_status vg_new_file_cut(vg_new_file *f, const void *head, size_t n_head, uint64_t n,
                                       vg_err *err);
/* What was put survives a power cut from now on. */
VG_NODISCARD vg_status vg_new_file_sync(const vg_new_file *f, vg_err *err);
/* Writes n bytes over the first ones of the file that is mapped from `path`; false: it did not. */
bool vg_file_patch(const vg_file *f, const char *path, const void *p, size_t n);

/* Hints about n bytes at p inside the mapping: they are read soon; they are not read again, and
 * leave this process but not the system's cache (reading them all the same is no error). */
void vg_file_want(const vg_file *f, const void *p, size_t n);
void vg_file_drop(const vg_file *f, const void *p, size_t n);

/* n bytes of this process alone, zero, on large pages where the system has them; NULL: none. */
void *vg_os_pages_new(size_t n);
void vg_os_pages_free(void *p, size_t n); /* NULL is fine */

/* Reading a page of a mapped file that was truncated raises SIGBUS. After this call such a read
 * gives zeros instead, and vg_file_intact tells. For the program, not the library, to call: it sets
 * a process-wide signal handler. Faults outside mapped models go to the handler that was there. */
void vg_file_guard(void);

/* How many threads compute best: physical cores of the fast class that this process may run on, no
 * more than its cgroup's quota, at least 1. See topology.h. */
uint32_t vg_os_cores(void);
/* Processors that this process can keep busy at once, hyper-threads and slow cores included:
 * affinity, and quota rounded down; at least 1. */
uint32_t vg_os_cpus(void);
/* One processor of each fast core, the fastest first, at most cap; returns how many. */
uint32_t vg_os_fast_cpus(uint32_t *cpu, uint32_t cap);
/* Ties the calling thread to a processor; does nothing where the system cannot or will not. */
void vg_os_pin(uint32_t cpu);
/* Tells the processor that this thread looks at the same place again and again. */
void vg_os_relax(void);

uint64_t vg_os_now_ns(void); /* monotonic */
uint64_t vg_os_memory_bytes(void); /* free for this process, page cache included; 0: unknown */
uint64_t vg_os_peak_rss_bytes(void); /* 0 where it cannot be told */

/* What the system says of this process; 0 where it cannot be told. */
typedef struct vg_os_process {
    double cpu_s;   /* of all threads */
    double begin_s; /* since 1970 */
    uint64_t resident_bytes, virtual_bytes;
    uint32_t n_threads, n_fds, max_fds;
} vg_os_process;
void vg_os_get_process(vg_os_process *out);

/* The instruction sets that this CPU can run, most capable first, NULL-terminated: "avx512",
 * "avx2", "neon"; "c" always comes last. */
const char *const *vg_os_isas(void);
#endif

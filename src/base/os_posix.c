/* os_posix.c: files, time and sizes of the machine on a POSIX system.
 *
 * A model file is mapped, not read: its pages are shared between processes and the kernel may drop
 * and reread them. The price is that a file which shrinks under its mapping raises SIGBUS at the
 * next read. The one idea here is the guard against that: every mapping stands in a table that a
 * signal handler can search, and the handler puts zeros where the file has gone. The table is the
 * exception to "no mutable globals": a handler has no other place to look. It refuses to guess
 * sizes: what the system does not tell is reported as 0. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/os.h"
#include "base/os_int.h"

/* ---- mapped files and their guard ---------------------------------------------------------- */

enum { MAX_MAPPINGS = 1024 };

/* A slot is free while begin is 0. `n` is set after begin and cleared before it, so that a reader
 * which sees the same begin twice around n has a pair that belongs together. */
typedef struct mapping {
    _Atomic uintptr_t begin;
    _Atomic size_t n;
    atomic_bool lost; /* a read failed and was given zeros */
} mapping;

static mapping mappings[MAX_MAPPINGS];
static struct sigaction former; /* the handler before ours; written once, before ours is set */
static atomic_flag guarded = ATOMIC_FLAG_INIT;

static mapping *find_mapping(uintptr_t address)
{
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        uintptr_t begin = atomic_load(&mappings[i].begin);
        if (!begin || address < begin) continue;
        size_t n = atomic_load(&mappings[i].n);
        if (address - begin < n && atomic_load(&mappings[i].begin) == begin) return &mappings[i];
    }
    return NULL;
}

static bool remember_mapping(uintptr_t begin, size_t n)
{
    for (size_t i = 0; i < MAX_MAPPINGS; i++) {
        uintptr_t nobody = 0;
        if (!atomic_compare_exchange_strong(&mappings[i].begin, &nobody, begin)) continue;
        atomic_store(&mappings[i].lost, false);
        atomic_store(&mappings[i].n, n);
        return true;
    }
    return false;
}

static void forget_mapping(uintptr_t begin)
{
    mapping *m = find_mapping(begin);
    if (!m) return;
    atomic_store(&m->n, 0);
    atomic_store(&m->begin, 0);
}

/* Hands a fault that is none of ours to whom it would have gone to. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    if (former.sa_flags & SA_SIGINFO) {
        former.sa_sigaction(sig, info, context);
    } else if (former.sa_handler == SIG_IGN && info->si_code <= 0) {
        return; /* Sent by a process, and ignored before: ignored now. */
    } else if (former.sa_handler == SIG_DFL || former.sa_handler == SIG_IGN) {
        /* The default action: it ends the process once this handler returns. */
        signal(sig, SIG_DFL);
        raise(sig);
    } else {
        former.sa_handler(sig);
    }
}

/* Pages beyond the end of a file stay beyond it, so everything from the faulting page to the end of
 * the mapping becomes zeros at once: one fault a file, however large. mmap is not on POSIX's list
 * of functions that a handler may call; on Linux and the BSDs it is a bare system call. */
static void on_bus_error(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uintptr_t at = (uintptr_t)info->si_addr;
    mapping *m = info->si_code > 0 ? find_mapping(at) : NULL;
    if (m) {
        uintptr_t page = at & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
        size_t rest = atomic_load(&m->begin) + atomic_load(&m->n) - page;
        atomic_store(&m->lost, true);
        void *zeros = mmap((void *)page, rest, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                           -1, 0);
        if (zeros == MAP_FAILED) m = NULL;
    }
    if (!m) pass_on(sig, info, context);
    errno = saved_errno;
}

void vg_file_guard(void)
{
    if (atomic_flag_test_and_set(&guarded)) return;
    sigaction(SIGBUS, NULL, &former);
    struct sigaction ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
}

static vg_status fail_errno(const char *what, const char *path, vg_err *err)
{
    int e = errno;
    vg_status code = e == ENOENT || e == ENOTDIR ? VG_E_NOT_FOUND
                     : e == ENOMEM               ? VG_E_NO_MEMORY
                                                 : VG_E_IO;
    return VG_FAIL(err, code, "%s: %s: %s", path, what, strerror(e));
}

static vg_status check_regular(const struct stat *st, const char *path, vg_err *err)
{
    const char *kind = S_ISDIR(st->st_mode)    ? "a directory"
                       : S_ISFIFO(st->st_mode) ? "a pipe"
                       : S_ISSOCK(st->st_mode) ? "a socket"
                       : S_ISREG(st->st_mode)  ? NULL
                                               : "a device";
    if (kind) return VG_FAIL(err, VG_E_FORMAT, "%s: is %s, not a regular file", path, kind);
    if (st->st_size <= 0) return VG_FAIL(err, VG_E_FORMAT, "%s: the file is empty", path);
    if ((uint64_t)st->st_size > SIZE_MAX / 2)
        return VG_FAIL(err, VG_E_LIMIT, "%s: %llu bytes are more than this machine can map", path,
                       (unsigned long long)st->st_size);
    return VG_OK;
}

static vg_status map_fd(vg_file *f, int fd, const char *path, vg_err *err)
{
    struct stat st;
    if (fstat(fd, &st)) return fail_errno("fstat", path, err);
    VG_TRY(check_regular(&st, path, err));
    size_t n = (size_t)st.st_size;
    void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return fail_errno("mmap", path, err);
    if (!remember_mapping((uintptr_t)p, n)) {
        munmap(p, n);
        return VG_FAIL(err, VG_E_LIMIT, "%s: more than %d files are mapped", path, MAX_MAPPINGS);
    }
    *f = (vg_file){.data = p, .n = n, .fd = fd};
    return VG_OK;
}

vg_status vg_file_map(vg_file *f, const char *path, vg_err *err)
{
    *f = (vg_file){.fd = -1};
    /* O_NONBLOCK: opening a pipe that nobody writes to returns at once. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return fail_errno("open", path, err);
    vg_status st = map_fd(f, fd, path, err);
    if (st) close(fd);
    return st;
}

void vg_file_unmap(vg_file *f)
{
    if (f->data) {
        forget_mapping((uintptr_t)f->data);
        munmap((void *)(uintptr_t)f->data, (size_t)f->n);
        close(f->fd);
    }
    *f = (vg_file){.fd = -1};
}

bool vg_file_intact(const vg_file *f)
{
    struct stat st;
    const mapping *m = find_mapping((uintptr_t)f->data);
    return m && !atomic_load(&m->lost) && fstat(f->fd, &st) == 0 && st.st_size >= 0 &&
           (uint64_t)st.st_size >= f->n;
}

vg_file_stamp vg_file_stamp_of(const vg_file *f)
{
    struct stat st;
    if (!f->data || fstat(f->fd, &st)) return (vg_file_stamp){0};
    return (vg_file_stamp){
        .n_bytes = (uint64_t)st.st_size,
        .modified_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
        .changed_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec,
        .inode = (uint64_t)st.st_ino};
}

static bool is_inside(const vg_file *f, const void *p, size_t n)
{
    uintptr_t at = (uintptr_t)p, begin = (uintptr_t)f->data;
    return f->data && at >= begin && at - begin <= f->n && n <= f->n - (at - begin);
}

static void *round_down(uintptr_t at, uintptr_t to)
{
    return (void *)(at & ~(to - 1));
}

void vg_file_want(const vg_file *f, const void *p, size_t n)
{
    if (!is_inside(f, p, n)) return;
    char *from = round_down((uintptr_t)p, (uintptr_t)sysconf(_SC_PAGESIZE));
    madvise(from, (size_t)((const char *)p + n - from), MADV_WILLNEED);
}

/* The page that n ends in goes with what follows it. */
void vg_file_drop(const vg_file *f, const void *p, size_t n)
{
    if (!is_inside(f, p, n)) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *from = round_down((uintptr_t)p, page), *to = round_down((uintptr_t)p + n, page);
    if (to > from) madvise(from, (size_t)(to - from), MADV_DONTNEED);
}

void *vg_os_pages_new(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    madvise(p, n, MADV_HUGEPAGE);
#endif
    return p;
}

void vg_os_pages_free(void *p, size_t n)
{
    if (p) munmap(p, n);
}

/* ---- small files --------------------------------------------------------------------------- */

bool os_read_text(const char *path, char *text, size_t cap)
{
    /* O_NONBLOCK: a pipe that nobody writes to gives nothing instead of making us wait. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    size_t n = 0;
    while (n < cap - 1) {
        ssize_t got = read(fd, text + n, cap - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    close(fd);
    text[n] = '\0';
    return n > 0;
}

/* ---- the machine --------------------------------------------------------------------------- */

uint64_t vg_os_now_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t)) return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A line "NAME:   N kB" of a file of /proc, in bytes; 0 where there is none. */
static uint64_t read_kib(const char *path, const char *name)
{
    uint64_t kib = 0;
    char line[256];
    size_t n = strlen(name);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    while (kib == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':') kib = strtoull(line + n + 1, NULL, 10);
    fclose(f);
    return kib * 1024;
}

uint64_t vg_os_memory_bytes(void)
{
    uint64_t bytes = read_kib("/proc/meminfo", "MemAvailable");
    uint64_t group = bytes ? vg_cgroup_memory_left("") : 0;
    return group && group < bytes ? group : bytes;
}

uint64_t vg_os_peak_rss_bytes(void)
{
    /* Linux keeps the peak of the process that started this one in ru_maxrss, but not in VmHWM. */
    uint64_t bytes = read_kib("/proc/self/status", "VmHWM");
    struct rusage use;
    if (bytes > 0 || getrusage(RUSAGE_SELF, &use) || use.ru_maxrss < 0) return bytes;
#ifdef __APPLE__
    return (uint64_t)use.ru_maxrss;
#else
    return (uint64_t)use.ru_maxrss * 1024;
#endif
}

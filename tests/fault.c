/* The other side of the linker's --wrap: each function counts, and fails when its turn has come.
 * Both names of the file functions are here, because 32-bit file offsets choose between them. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

static struct {
    unsigned left; /* calls until the one that fails; 0: none will */
    fault_kind kind;
    bool hit;
} fault;

void fault_arm(fault_kind kind, unsigned nth)
{
    fault.kind = kind;
    fault.hit = false;
    fault.left = nth;
}

bool fault_disarm(void)
{
    fault.left = 0;
    return fault.hit;
}

static bool fails(fault_kind kind, int error)
{
    if (fault.left == 0 || fault.kind != kind || --fault.left > 0) return false;
    fault.hit = true;
    errno = error;
    return true;
}

#define WRAP(type, name, params, args, kind, error, failed)                                        \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        return fails(kind, error) ? failed : __real_##name args;                                   \
    }

WRAP(void *, malloc, (size_t n), (n), FAULT_ALLOC, ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), FAULT_ALLOC, ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), FAULT_ALLOC, ENOMEM, NULL)

#define MAP_PARAMS (void *at, size_t n, int prot, int flags, int fd, off_t offset)
#define MAP_ARGS (at, n, prot, flags, fd, offset)
WRAP(void *, mmap, MAP_PARAMS, MAP_ARGS, FAULT_IO, ENOMEM, MAP_FAILED)
WRAP(void *, mmap64, MAP_PARAMS, MAP_ARGS, FAULT_IO, ENOMEM, MAP_FAILED)
WRAP(int, fstat, (int fd, struct stat *st), (fd, st), FAULT_IO, EIO, -1)
WRAP(int, fstat64, (int fd, struct stat *st), (fd, st), FAULT_IO, EIO, -1)
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), FAULT_IO, EIO, -1)
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), FAULT_IO, EIO, -1)

/* The mode is there only for a file that is made. */
#define WRAP_OPEN(name)                                                                            \
    int __real_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...);                                           \
    int __wrap_##name(const char *path, int flags, ...)                                            \
    {                                                                                              \
        if (fails(FAULT_IO, EIO)) return -1;                                                       \
        if (!(flags & O_CREAT)) return __real_##name(path, flags);                                 \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        unsigned mode = va_arg(ap, unsigned);                                                      \
        va_end(ap);                                                                                \
        return __real_##name(path, flags, mode);                                                   \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)

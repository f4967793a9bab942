/* os_write.c: files that are there whole or not at all. What is written goes to a file beside the
 * wanted one, whose name ends in ".part", and takes its name once it is safe on the disk. A lock
 * keeps a second process from writing the same file; what a crash leaves is taken over by the next
 * writer, so that it never piles up. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/os.h"

static vg_status fail(const char *what, const char *path, vg_err *err)
{
    return VG_FAIL(err, VG_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* The lock must be on the file that has the name now: a writer that has just finished renamed the
 * one that was opened here. */
static vg_status lock(vg_new_file *f, bool keep, vg_err *err)
{
    struct stat opened, named;
    bool known = fstat(f->fd, &opened) == 0;
    if (flock(f->fd, LOCK_EX | LOCK_NB) || lstat(f->part, &named) ||
        (known && (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev)))
        return VG_FAIL(err, VG_E_IO, "%s: another process is writing it", f->part);
    if (keep || (known && ftruncate(f->fd, 0) == 0)) return VG_OK;
    vg_status st = fail("making it", f->part, err);
    unlink(f->part);
    return st;
}

static vg_status open_part(vg_new_file *f, const char *path, bool keep, vg_err *err)
{
    f->fd = -1;
    int n = snprintf(f->path, sizeof f->path, "%s", path);
    if (n < 0 || (size_t)n >= sizeof f->path)
        return VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
    snprintf(f->part, sizeof f->part, "%s.part", path);
    int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (keep ? 0 : O_CREAT);
    int fd = open(f->part, flags, 0644);
    if (fd < 0) return fail("open", f->part, err);
    f->fd = fd;
    vg_status st = lock(f, keep, err);
    if (st) {
        close(f->fd);
        f->fd = -1;
    }
    return st;
}

vg_status vg_new_file_begin(vg_new_file *f, const char *path, vg_err *err)
{
    return open_part(f, path, false, err);
}

vg_status vg_new_file_again(vg_new_file *f, const char *path, vg_err *err)
{
    return open_part(f, path, true, err);
}

vg_status vg_new_file_cut(vg_new_file *f, const void *head, size_t n_head, uint64_t n, vg_err *err)
{
    struct stat st;
    char block[4096];
    if (n > INT64_MAX || fstat(f->fd, &st) || (uint64_t)st.st_size < n)
        return VG_FAIL(err, VG_E_FORMAT, "%s: it is shorter than the %llu bytes that were written",
                       f->part, (unsigned long long)n);
    for (size_t at = 0; at < n_head;) {
        size_t want = VG_MIN(n_head - at, sizeof block);
        ssize_t got = pread(f->fd, block, want, (off_t)at);
        if (got <= 0) return fail("read", f->part, err);
        if (memcmp(block, (const char *)head + at, (size_t)got) != 0)
            return VG_FAIL(err, VG_E_FORMAT, "%s: it begins otherwise", f->part);
        at += (size_t)got;
    }
    if (ftruncate(f->fd, (off_t)n) || lseek(f->fd, (off_t)n, SEEK_SET) < 0)
        return fail("cutting it", f->part, err);
    return VG_OK;
}

vg_status vg_new_file_sync(const vg_new_file *f, vg_err *err)
{
    return fdatasync(f->fd) ? fail("fdatasync", f->part, err) : VG_OK;
}

void vg_new_file_keep(vg_new_file *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

vg_status vg_new_file_put(vg_new_file *f, const void *p, size_t n, vg_err *err)
{
    enum { AT_ONCE = 1 << 24 }; /* systems cap a single write at 2 GiB */
    for (const char *at = p; n > 0;) {
        ssize_t done = write(f->fd, at, VG_MIN(n, (size_t)AT_ONCE));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return fail("write", f->part, err);
        at += done;
        n -= (size_t)done;
    }
    return VG_OK;
}

/* The file's length stays what was written: only the blocks are taken. */
vg_status vg_new_file_reserve(const vg_new_file *f, uint64_t n, vg_err *err)
{
    if (n > INT64_MAX) return VG_FAIL(err, VG_E_LIMIT, "%s: a file of 2^63 bytes", f->path);
    if (n == 0 || fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)n) == 0) return VG_OK;
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return VG_OK;
    const char *why = strerror(errno);
    struct statvfs fs;
    unsigned long long room = fstatvfs(f->fd, &fs) ? 0 : fs.f_bavail * fs.f_frsize;
    return VG_FAIL(err, VG_E_IO, "%s: no room for a file of %llu bytes, %llu are free: %s", f->path,
                   (unsigned long long)n, room, why);
}

void vg_new_file_abandon(vg_new_file *f)
{
    if (f->fd < 0) return;
    unlink(f->part);
    close(f->fd);
    f->fd = -1;
}

/* The new name survives a power cut once the folder is on the disk; a file system that cannot say
 * so is no reason to throw the file away. */
static void sync_folder(const char *path)
{
    char folder[VG_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

vg_status vg_new_file_end(vg_new_file *f, vg_err *err)
{
    vg_status st = VG_OK;
    if (fsync(f->fd)) st = fail("fsync", f->part, err);
    if (!st && rename(f->part, f->path)) st = fail("rename", f->path, err);
    if (st) {
        vg_new_file_abandon(f);
        return st;
    }
    sync_folder(f->path);
    close(f->fd);
    f->fd = -1;
    return VG_OK;
}

bool vg_file_patch(const vg_file *f, const char *path, const void *p, size_t n)
{
    struct stat mapped, opened;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    bool same = fstat(f->fd, &mapped) == 0 && fstat(fd, &opened) == 0 &&
                mapped.st_ino == opened.st_ino && mapped.st_dev == opened.st_dev;
    bool ok = same && n <= f->n && pwrite(fd, p, n, 0) == (ssize_t)n;
    close(fd);
    return ok;
}

/* source.c: a checkpoint folder on its way through `verge compress`: converted beside the output
 * first. A journal is written before the first byte, so that what lies there is always known to be
 * of this folder, and every 2 seconds tells how many tensors are safe; the file itself has its name
 * only when it is whole. Nothing is resumed of a folder whose files changed. */
#include "compress/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "vgsourc1";

typedef struct head {
    char magic[8];
    uint64_t folder, n_done, check;
} head;

static uint64_t check_of(const head *h)
{
    return vg_hash(h, offsetof(head, check));
}

bool vg_source_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), n_end = strlen(end);
    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

/* Files are added up, because folders list them in any order. */
static void count_file(vg_source *s, const char *name)
{
    static const char *const ends[] = {".safetensors", ".json", ".model", ".jinja", ".txt"};
    char path[VG_PATH_BYTES];
    struct stat st;
    bool counts = false;
    for (size_t i = 0; i < VG_COUNT(ends); i++) counts |= ends_with(name, ends[i]);
    int n = snprintf(path, sizeof path, "%s/%s", s->dir, name);
    if (!counts || n < 0 || n >= VG_PATH_BYTES || stat(path, &st) || !S_ISREG(st.st_mode)) return;
    const uint64_t facts[] = {vg_hash(name, strlen(name)), (uint64_t)st.st_size,
                              (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    s->folder += vg_hash(facts, sizeof facts);
    if (ends_with(name, ends[0])) s->n_bytes += (uint64_t)st.st_size;
}

vg_status vg_source_begin(vg_source *s, const char *dir, const char *out, vg_err *err)
{
    int n = snprintf(s->journal, sizeof s->journal, "%s.source.journal", out);
    if (n < 0 || n >= VG_PATH_BYTES) return VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
    snprintf(s->path, sizeof s->path, "%s.source", out);
    s->dir = dir;
    s->n_bytes = 0;
    s->folder = vg_hash(vg_version(), strlen(vg_version()));
    DIR *d = opendir(dir);
    if (!d) return VG_FAIL(err, VG_E_IO, "%s: %s", dir, strerror(errno));
    for (const struct dirent *e; (e = readdir(d));) count_file(s, e->d_name);
    closedir(d);
    return VG_OK;
}

static vg_status write_journal(const vg_source *s, uint64_t n_done, vg_err *err)
{
    vg_new_file f;
    head h = {.folder = s->folder, .n_done = n_done};
    memcpy(h.magic, magic, sizeof magic);
    h.check = check_of(&h);
    VG_TRY(vg_new_file_begin(&f, s->journal, err));
    vg_status st = vg_new_file_put(&f, &h, sizeof h, err);
    if (!st) return vg_new_file_end(&f, err);
    vg_new_file_abandon(&f);
    return st;
}

/* NOT_FOUND: there is none. */
static vg_status read_journal(const vg_source *s, size_t *n_done, vg_err *err)
{
    vg_file f;
    head h = {0};
    VG_TRY(vg_file_map(&f, s->journal, err));
    bool ok = f.n == sizeof h;
    if (ok) memcpy(&h, f.data, sizeof h);
    vg_file_unmap(&f);
    if (!ok || memcmp(h.magic, magic, sizeof magic) != 0 || h.check != check_of(&h))
        return VG_FAIL(err, VG_E_FORMAT, "%s: damaged; run again without --resume", s->journal);
    if (h.folder != s->folder)
        return VG_FAIL(err, VG_E_FORMAT, "%s: it belongs to another folder, whose files have other "
                       "sizes or times, or to another version; run again without --resume",
                       s->journal);
    *n_done = (size_t)h.n_done;
    return VG_OK;
}

static bool show(void *user, uint64_t done, uint64_t total)
{
    const vg_source *s = user;
    return s->progress && s->progress(s->user, done, total);
}

static vg_status safe(void *user, size_t n_done, vg_err *err)
{
    return write_journal(user, n_done, err);
}

vg_status vg_source_make(vg_source *s, vg_err *err)
{
    vg_convert_report report;
    size_t n_done = 0;
    vg_status st = s->resume ? read_journal(s, &n_done, err) : VG_E_NOT_FOUND;
    if (st && st != VG_E_NOT_FOUND) return st;
    if (st) {
        vg_source_remove(s);
        VG_TRY(write_journal(s, 0, err));
    } else if (access(s->path, F_OK) == 0) {
        return VG_OK;
    }
    vg_convert_opts opts = {.type = VG_N_DTYPES, .user = s, .progress = show, .safe = safe,
                            .n_done = n_done};
    return vg_convert(s->dir, s->path, &opts, &report, err);
}

void vg_source_remove(const vg_source *s)
{
    char part[VG_PATH_BYTES + 8];
    snprintf(part, sizeof part, "%s.part", s->path);
    remove(part);
    remove(s->path);
    remove(s->journal);
}

/* What subcommands share besides options: reading inputs, opening the model, telling errors, and
 * ending. It never reports success for output that was lost, and never prints a model file's text
 * as it stands. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/default_model.h"
#include "app/progress.h"
#include "base/os.h"

int cli_fail(const cli_command *cmd, const vg_err *err)
{
    fprintf(stderr, "verge %s: %s\n", cmd->name, err->msg);
    return err->code == VG_E_USAGE ? CLI_USAGE : CLI_FAILED;
}

int cli_finish(const cli_command *cmd)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_DONE;
    fprintf(stderr, "verge %s: writing the output: %s\n", cmd->name, strerror(errno));
    return CLI_FAILED;
}

vg_status cli_check_new(const char *path, bool force, vg_err *err)
{
    struct stat at;
    if (!*path) return VG_FAIL(err, VG_E_USAGE, "the name of the file to write is empty");
    if (stat(path, &at)) return VG_OK;
    if (S_ISDIR(at.st_mode))
        return VG_FAIL(err, VG_E_USAGE, "%s is a folder; name a file in it", path);
    if (!S_ISREG(at.st_mode))
        return VG_FAIL(err, VG_E_USAGE, "%s is a device or a pipe; the output is a file", path);
    if (force) return VG_OK;
    return VG_FAIL(err, VG_E_IO, "%s is there already; --force writes over it", path);
}

static bool same_place(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_gguf(const char *name)
{
    size_t n = strlen(name);
    return n >= 5 && strcmp(name + n - 5, ".gguf") == 0;
}

/* Whether a checkpoint's folder holds the file as one of its own, which no GGUF file is; sets
 * *is_name where `path` is a name in that very folder. */
static bool is_held(const char *path, const struct stat *file, const char *folder, bool *is_name)
{
    char parent[VG_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    struct stat up, at;
    int n = snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path + 1) : 1,
                     slash ? path : ".");
    *is_name = n < (int)sizeof parent && !stat(parent, &up) && !stat(folder, &at) &&
               same_place(&up, &at);
    DIR *d = file ? opendir(folder) : NULL;
    bool held = false;
    for (struct dirent *e; d && !held && (e = readdir(d));)
        held = !is_gguf(e->d_name) && !fstatat(dirfd(d), e->d_name, &at, 0) &&
               S_ISREG(at.st_mode) && same_place(&at, file);
    if (d) closedir(d);
    return held;
}

vg_status cli_check_other(const char *path, const char *input, vg_err *err)
{
    struct stat out, in;
    bool there = !stat(path, &out), is_name = false;
    if (!input || strcmp(input, "-") == 0 || stat(input, &in)) return VG_OK;
    bool taken = there && same_place(&out, &in);
    if (S_ISDIR(in.st_mode)) {
        taken = is_held(path, there ? &out : NULL, input, &is_name);
        bool is_folder = there && S_ISDIR(out.st_mode);
        taken |= is_name && !is_folder && !is_gguf(path);
    }
    if (!taken) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "%s would take the place of the input%s; give the output "
                   "another name", path, S_ISDIR(in.st_mode) ? "'s files" : "");
}

vg_status cli_read(const char *path, size_t cap_bytes, vg_text *out, vg_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    if (!f)
        return VG_FAIL(err, errno == ENOENT ? VG_E_NOT_FOUND : VG_E_IO, "%s: %s", path,
                       strerror(errno));
    vg_buf b;
    vg_buf_init(&b, cap_bytes);
    vg_status st = VG_OK;
    char block[65536];
    for (size_t n; !b.failed && (n = fread(block, 1, sizeof block, f)) > 0;)
        vg_buf_add(&b, block, n);
    if (ferror(f)) st = VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    if (!st) st = vg_buf_take(&b, path, out, err);
    if (!is_stdin) fclose(f);
    vg_buf_clear(&b);
    return st;
}

void cli_print_clean(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        int32_t cp;
        size_t len = vg_utf8_next(s + i, n - i, &cp);
        if (cp < 0x20 || cp == 0x7f || (cp >= 0x80 && cp < 0xa0)) putchar(cp == '\n' ? ' ' : '?');
        else fwrite(s + i, 1, len, stdout);
        i += len;
    }
}

const char *cli_bytes(uint64_t bytes, char buf[32])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 999.5 && u + 1 < VG_COUNT(unit)) {
        v /= 1000;
        u++;
    }
    if (u == 0) snprintf(buf, 32, "%u B", (unsigned)bytes);
    else snprintf(buf, 32, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, unit[u]);
    return buf;
}

vg_kv_type cli_kv_type(const char *word)
{
    if (!word) return VG_KV_AUTO;
    return strcmp(word, "f32") == 0 ? VG_KV_F32 : strcmp(word, "f16") == 0 ? VG_KV_F16 : VG_KV_Q8;
}

const char *cli_kv_word(vg_kv_type kv)
{
    return kv == VG_KV_F32 ? "f32" : kv == VG_KV_F16 ? "f16" : "q8";
}

static int show_loading(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    progress_show(user, &(progress_now){.stage = "loading", .done = done_bytes,
                                        .total = total_bytes, .unit = "B"});
    return 0;
}

vg_status cli_open_model(const char *path, const vg_model_opts *opts, vg_model **out, vg_err *err)
{
    progress p;
    struct stat at;
    vg_model_opts o = opts ? *opts : (vg_model_opts){0};
    progress_begin(&p);
    if (!o.progress) {
        o.progress = show_loading;
        o.user = &p;
    }
    vg_file_guard();
    if (path && stat(path, &at) == 0 && S_ISDIR(at.st_mode))
        return VG_FAIL(err, VG_E_IO, "%s: is a directory; a checkpoint folder becomes a model file "
                       "by verge convert", path);
    vg_status st = path ? vg_model_open(out, path, &o, err)
                        : vg_model_open_memory(out, default_model(), default_model_bytes(), &o,
                                               err);
    progress_end(&p);
    return st;
}

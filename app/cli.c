/* What subcommands share besides options: reading inputs, opening the model, telling errors, and
 * ending. It never reports success for output that was lost, and never prints a model file's text
 * as it stands. */
#include <errno.h>
#include <stdio.h>
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
    if (force || access(path, F_OK) != 0) return VG_OK;
    return VG_FAIL(err, VG_E_IO, "%s is there already; --force writes over it", path);
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
    vg_model_opts o = opts ? *opts : (vg_model_opts){0};
    progress_begin(&p);
    if (!o.progress) {
        o.progress = show_loading;
        o.user = &p;
    }
    vg_file_guard();
    vg_status st = path ? vg_model_open(out, path, &o, err)
                        : vg_model_open_memory(out, default_model(), default_model_bytes(), &o,
                                               err);
    progress_end(&p);
    return st;
}

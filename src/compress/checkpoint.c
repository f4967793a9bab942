/* checkpoint.c: a Hugging Face checkpoint folder, opened. Its weights are one model.safetensors
 * or the shards that model.safetensors.index.json lists; either way the tensors end up in one
 * table, sorted by name, where each name stands once and each tensor that the index promises is
 * there.
 * A folder may come from a stranger: a shard's name is a plain file name, and a symbolic link is
 * followed inside the folder alone. The one exception is what the Hugging Face cache makes, a link
 * to "../../blobs/" and a hash. */
#include "compress/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ARENA_CAP_BYTES = 512 << 20,
    TEXT_MAX_BYTES = 256 << 20,
    SHARDS_MAX = 1024,
    TENSORS_MAX = 1 << 19
};

struct vg_checkpoint {
    vg_arena *arena;
    const char *dir;
    const vg_json *config;
    vg_safetensors **shard; /* [n_shards] */
    size_t n_shards, n;
    const vg_st_tensor **tensor; /* [n] by name */
};

/* ---- files of the folder ------------------------------------------------------------------- */

static bool is_hash(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return s[n] == '\0' && (n == 40 || n == 64); /* SHA-1 of git, SHA-256 of large files */
}

/* Where a file of the folder lies. A link must stay in the folder; see the top. */
static vg_status find_file(const char *dir, const char *name, char path[VG_PATH_BYTES],
                           bool *is_there, vg_err *err)
{
    static const char blobs[] = "../../blobs/";
    struct stat st;
    char link[VG_PATH_BYTES];
    *is_there = false;
    int n = snprintf(path, VG_PATH_BYTES, "%s/%s", dir, name);
    if (n < 0 || n >= VG_PATH_BYTES) return VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
    if (lstat(path, &st)) {
        if (errno == ENOENT) return VG_OK;
        return VG_FAIL(err, errno == ENOTDIR ? VG_E_NOT_FOUND : VG_E_IO, "%s: %s", path,
                       strerror(errno));
    }
    *is_there = true;
    if (!S_ISLNK(st.st_mode)) return VG_OK;
    ssize_t len = readlink(path, link, sizeof link - 1);
    if (len < 0) return VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
    link[len] = '\0';
    if (strncmp(link, blobs, sizeof blobs - 1) == 0 && is_hash(link + sizeof blobs - 1))
        return VG_OK;
    if (strchr(link, '/'))
        return VG_FAIL(err, VG_E_FORMAT,
                       "%s is a link to %s, outside the folder; put the file itself there", path,
                       link);
    n = snprintf(path, VG_PATH_BYTES, "%s/%s", dir, link);
    if (n < 0 || n >= VG_PATH_BYTES) return VG_FAIL(err, VG_E_LIMIT, "a path of %d bytes", n);
    if (lstat(path, &st)) return VG_FAIL(err, VG_E_NOT_FOUND, "%s: %s", path, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return VG_FAIL(err, VG_E_FORMAT, "%s/%s is a link to a link", dir, name);
    return VG_OK;
}

vg_status vg_checkpoint_text(const vg_checkpoint *c, vg_arena *a, const char *name, vg_str *out,
                             vg_err *err)
{
    char path[VG_PATH_BYTES];
    vg_file f;
    bool is_there;
    *out = (vg_str){0};
    VG_TRY(find_file(c->dir, name, path, &is_there, err));
    if (!is_there) return VG_OK;
    VG_TRY(vg_file_map(&f, path, err));
    vg_status st = VG_OK;
    if (f.n > TEXT_MAX_BYTES)
        st = VG_FAIL(err, VG_E_LIMIT, "%s: %llu bytes, %d are allowed", path,
                     (unsigned long long)f.n, TEXT_MAX_BYTES);
    vg_str text = {(const char *)f.data, (size_t)f.n};
    if (!st) text.p = vg_arena_text(a, text);
    if (!st && !text.p) st = VG_FAIL_MEMORY(err, text.n);
    if (!st) *out = text;
    vg_file_unmap(&f);
    return st;
}

vg_status vg_checkpoint_json(const vg_checkpoint *c, vg_arena *a, const char *name,
                             const vg_json **out, vg_err *err)
{
    char path[VG_PATH_BYTES];
    vg_file f;
    bool is_there;
    vg_json *doc = NULL;
    *out = NULL;
    VG_TRY(find_file(c->dir, name, path, &is_there, err));
    if (!is_there) return VG_OK;
    VG_TRY(vg_file_map(&f, path, err));
    vg_status st = VG_OK;
    if (f.n > TEXT_MAX_BYTES)
        st = VG_FAIL(err, VG_E_LIMIT, "%llu bytes, %d are allowed", (unsigned long long)f.n,
                     TEXT_MAX_BYTES);
    if (!st) st = vg_json_parse(a, (const char *)f.data, (size_t)f.n, &doc, err);
    if (!st && doc->kind != VG_JSON_OBJECT) st = VG_FAIL(err, VG_E_FORMAT, "no JSON object");
    vg_file_unmap(&f);
    if (st) return vg_err_context(err, st, "%s", path);
    *out = doc;
    return VG_OK;
}

/* ---- weights ------------------------------------------------------------------------------- */

static vg_status open_shard(vg_checkpoint *c, const char *name, vg_err *err)
{
    char path[VG_PATH_BYTES];
    bool is_there;
    VG_TRY(find_file(c->dir, name, path, &is_there, err));
    if (!is_there) return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing: fetch it again", path);
    vg_safetensors *st = NULL;
    VG_TRY(vg_safetensors_open(&st, path, err));
    c->shard[c->n_shards++] = st;
    c->n += vg_safetensors_n(st);
    if (c->n > TENSORS_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s: %zu tensors, %d are allowed", c->dir, c->n,
                       TENSORS_MAX);
    return VG_OK;
}

static int compare_str(vg_str a, vg_str b)
{
    size_t n = VG_MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static int compare_names(const void *a, const void *b)
{
    const vg_st_tensor *const *x = a, *const *y = b;
    return compare_str((*x)->name, (*y)->name);
}

static vg_status make_table(vg_checkpoint *c, vg_err *err)
{
    size_t n = 0;
    c->tensor = VG_ARENA_ARRAY(c->arena, const vg_st_tensor *, c->n);
    if (!c->tensor) return VG_FAIL_MEMORY(err, c->n * sizeof *c->tensor);
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t i = 0; i < vg_safetensors_n(c->shard[s]); i++)
            c->tensor[n++] = vg_safetensors_at(c->shard[s], i);
    qsort(c->tensor, c->n, sizeof *c->tensor, compare_names);
    for (size_t i = 1; i < c->n; i++)
        if (vg_str_eq(c->tensor[i - 1]->name, c->tensor[i]->name))
            return VG_FAIL(err, VG_E_FORMAT, "%s: two files have a tensor '%.*s'", c->dir,
                           VG_STR_ARG(c->tensor[i]->name));
    return VG_OK;
}

static bool is_plain_name(vg_str s)
{
    const vg_str end = VG_STR(".safetensors");
    if (s.n <= end.n || s.n > 255 || s.p[0] == '.') return false;
    if (memchr(s.p, '/', s.n) || memchr(s.p, '\\', s.n) || memchr(s.p, '\0', s.n)) return false;
    return vg_str_eq((vg_str){s.p + s.n - end.n, end.n}, end);
}

static int compare_strs(const void *a, const void *b)
{
    const vg_str *x = a, *y = b;
    return compare_str(*x, *y);
}

/* Opens each file that the index names once. */
static vg_status open_listed(vg_checkpoint *c, const vg_json *map, vg_err *err)
{
    vg_str *name = VG_ARENA_ARRAY(c->arena, vg_str, map->n);
    c->shard = VG_ARENA_ARRAY(c->arena, vg_safetensors *, SHARDS_MAX);
    if (!name || !c->shard) return VG_FAIL_MEMORY(err, map->n * sizeof *name);
    for (size_t i = 0; i < map->n; i++) {
        const vg_json *file = map->item[i];
        if (file->kind != VG_JSON_STRING || !is_plain_name(file->str))
            return VG_FAIL(err, VG_E_FORMAT,
                           "the file of '%.*s' is '%.*s', no name of a .safetensors file",
                           VG_STR_ARG(map->key[i]), VG_STR_ARG(file->str));
        name[i] = file->str;
    }
    qsort(name, map->n, sizeof *name, compare_strs);
    for (size_t i = 0; i < map->n; i++) {
        if (i > 0 && vg_str_eq(name[i - 1], name[i])) continue;
        if (c->n_shards == SHARDS_MAX)
            return VG_FAIL(err, VG_E_LIMIT, "more than %d files", SHARDS_MAX);
        const char *path = vg_arena_text(c->arena, name[i]);
        if (!path) return VG_FAIL_MEMORY(err, name[i].n);
        VG_TRY(open_shard(c, path, err));
    }
    return VG_OK;
}

static vg_status open_by_index(vg_checkpoint *c, const vg_json *index, vg_err *err)
{
    const vg_json *map = vg_json_get(index, "weight_map");
    if (!map || map->kind != VG_JSON_OBJECT || map->n == 0)
        return VG_FAIL(err, VG_E_FORMAT, "there is no weight_map");
    if (map->repeats) return VG_FAIL(err, VG_E_FORMAT, "a tensor stands in weight_map twice");
    VG_TRY(open_listed(c, map, err));
    VG_TRY(make_table(c, err));
    for (size_t i = 0; i < map->n; i++)
        if (!vg_checkpoint_find(c, map->key[i]))
            return VG_FAIL(err, VG_E_FORMAT, "tensor '%.*s' is not in %.*s",
                           VG_STR_ARG(map->key[i]), VG_STR_ARG(map->item[i]->str));
    return VG_OK;
}

static vg_status open_weights(vg_checkpoint *c, vg_err *err)
{
    static const char single[] = "model.safetensors", index_name[] = "model.safetensors.index.json";
    char path[VG_PATH_BYTES];
    bool is_there;
    const vg_json *index = NULL;
    VG_TRY(find_file(c->dir, single, path, &is_there, err));
    if (is_there) {
        c->shard = VG_ARENA_NEW(c->arena, vg_safetensors *);
        if (!c->shard) return VG_FAIL_MEMORY(err, sizeof *c->shard);
        VG_TRY(open_shard(c, single, err));
        return make_table(c, err);
    }
    VG_TRY(vg_checkpoint_json(c, c->arena, index_name, &index, err));
    if (!index)
        return VG_FAIL(err, VG_E_NOT_FOUND,
                       "%s: neither %s nor %s is there (weights in .bin or .pth files must be "
                       "saved as safetensors first)",
                       c->dir, single, index_name);
    vg_status st = open_by_index(c, index, err);
    return st ? vg_err_context(err, st, "%s/%s", c->dir, index_name) : VG_OK;
}

/* ---- outside ------------------------------------------------------------------------------- */

static vg_status open_folder(vg_checkpoint *c, const char *dir, vg_err *err)
{
    struct stat st;
    if (stat(dir, &st)) return VG_FAIL(err, VG_E_NOT_FOUND, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return VG_FAIL(err, VG_E_USAGE, "%s is no folder; a checkpoint is a folder with config.json"
                       " and .safetensors files", dir);
    c->dir = vg_arena_text(c->arena, vg_str_from(dir));
    if (!c->dir) return VG_FAIL_MEMORY(err, strlen(dir));
    VG_TRY(vg_checkpoint_json(c, c->arena, "config.json", &c->config, err));
    if (!c->config) return VG_FAIL(err, VG_E_NOT_FOUND, "%s: there is no config.json", dir);
    return open_weights(c, err);
}

vg_status vg_checkpoint_open(vg_checkpoint **out, const char *dir, vg_err *err)
{
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, ARENA_CAP_BYTES, err));
    vg_checkpoint *c = VG_ARENA_NEW(a, vg_checkpoint);
    if (!c) {
        vg_arena_free(a);
        return VG_FAIL_MEMORY(err, sizeof *c);
    }
    c->arena = a;
    vg_status st = open_folder(c, dir, err);
    if (st) vg_checkpoint_close(c);
    else *out = c;
    return st;
}

void vg_checkpoint_close(vg_checkpoint *c)
{
    if (!c) return;
    for (size_t i = 0; i < c->n_shards; i++) vg_safetensors_close(c->shard[i]);
    vg_arena_free(c->arena);
}

const char *vg_checkpoint_dir(const vg_checkpoint *c)
{
    return c->dir;
}

const vg_json *vg_checkpoint_config(const vg_checkpoint *c)
{
    return c->config;
}

size_t vg_checkpoint_n_tensors(const vg_checkpoint *c)
{
    return c->n;
}

const vg_st_tensor *vg_checkpoint_at(const vg_checkpoint *c, size_t i)
{
    assert(i < c->n);
    return c->tensor[i];
}

const vg_st_tensor *vg_checkpoint_find(const vg_checkpoint *c, vg_str name)
{
    vg_st_tensor wanted = {.name = name};
    const vg_st_tensor *p = &wanted, **found = NULL;
    if (c->n) found = bsearch(&p, c->tensor, c->n, sizeof *c->tensor, compare_names);
    return found ? *found : NULL;
}

bool vg_checkpoint_intact(const vg_checkpoint *c)
{
    for (size_t i = 0; i < c->n_shards; i++)
        if (!vg_safetensors_intact(c->shard[i])) return false;
    return true;
}

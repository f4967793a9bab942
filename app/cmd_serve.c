/* verge serve: models for clients that speak OpenAI, Anthropic, Ollama or llama-server. Reads what
 * the options say into the server's structs, listens, and runs the server until a signal ends it:
 * the first one lets what is under way finish, a second one cuts it. Nothing but loopback is
 * listened on unless it is said, and then not without a key unless that is said as well. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/default_model.h"
#include "base/os.h"
#include "serve/notify.h"
#include "serve/serve.h"

enum { DEFAULT_PORT = 8080, DEFAULT_SESSIONS = 16, WANTED_FILES = 8192 };

typedef struct serve_opts {
    const char *config, *host, *unix_path, *store, *kv, *isa, *key_file, *new_key, *log,
        *log_level, *tls_cert, *tls_key, *unix_mode;
    cli_list model, origin, name;
    int64_t port, ctx, parallel, kv_tokens, threads, batch, queue, max_tokens, memory_mb,
        keep_alive, drain, max_body;
    bool pin, keep_image, no_repack, no_key;
} serve_opts;

static const serve_opts defaults = {
    .host = "127.0.0.1", .log = "text", .log_level = "info", .port = DEFAULT_PORT,
    .parallel = DEFAULT_SESSIONS, .drain = 30,
};

static const cli_opt opts[] = {
    CLI_TEXT("config", 0, serve_opts, config, "FILE",
             "read options from a file, a line `name = value` each; the command line counts more"),
    CLI_LIST("model", 'm', serve_opts, model, "NAME=FILE", "a model, as an argument is"),
    CLI_TEXT("host", 0, serve_opts, host, "ADDRESS", "where to listen [127.0.0.1]"),
    CLI_INT("port", 'p', serve_opts, port, "N", 0, 65535, "the port; 0: any free one [8080]"),
    CLI_TEXT("unix", 0, serve_opts, unix_path, "PATH", "listen on a unix socket as well"),
    CLI_TEXT("unix-mode", 0, serve_opts, unix_mode, "OCTAL", "who may connect to it [0600]"),
    CLI_TEXT("store", 0, serve_opts, store, "FOLDER",
             "serve each *.gguf of a folder by its name, loaded when it is asked for"),
    CLI_INT("ctx", 'c', serve_opts, ctx, "N", 0, 1 << 24,
            "context of a request in tokens [what the model was trained on, at most 4096]"),
    CLI_INT("parallel", 'n', serve_opts, parallel, "N", 1, 1024,
            "answers that are made at once; more wait [16]"),
    CLI_INT("kv-tokens", 0, serve_opts, kv_tokens, "N", 0, 1e12,
            "tokens that the cache holds of all answers together [four contexts]"),
    CLI_INT("threads", 't', serve_opts, threads, "N", 0, 256,
            "threads of an engine [one for each fast core]"),
    CLI_INT("batch", 'b', serve_opts, batch, "N", 0, 65536, "tokens of a step at most [256]"),
    CLI_INT("queue", 0, serve_opts, queue, "N", 0, 1 << 20, "requests that may wait [256]"),
    CLI_INT("max-tokens", 0, serve_opts, max_tokens, "N", 0, 1 << 24,
            "tokens of an answer where the client names no limit [what the context leaves]"),
    CLI_INT("memory", 0, serve_opts, memory_mb, "MB", 0, 1 << 30,
            "what all loaded models may take together [nine tenths of what is free]"),
    CLI_INT("keep-alive", 0, serve_opts, keep_alive, "SECONDS", 0, 1e9,
            "unload a model that nobody used so long [never]"),
    CLI_INT("drain", 0, serve_opts, drain, "SECONDS", 0, 86400,
            "let answers finish so long when the server ends [30]"),
    CLI_INT("max-body", 0, serve_opts, max_body, "MB", 0, 1024, "of a request at most [32]"),
    CLI_TEXT("tls-cert", 0, serve_opts, tls_cert, "FILE",
             "speak TLS with the certificates of a PEM file; SIGHUP reads it anew"),
    CLI_TEXT("tls-key", 0, serve_opts, tls_key, "FILE",
             "the certificate's key, a PEM file that others may not read"),
    CLI_TEXT("key-file", 0, serve_opts, key_file, "FILE",
             "ask for an API key of this file, a line that --new-key prints each"),
    CLI_TEXT("new-key", 0, serve_opts, new_key, "NAME",
             "make an API key, print its line for the key file, and end"),
    CLI_LIST("allow-origin", 0, serve_opts, origin, "URL",
             "let pages of this origin ask (CORS); * lets all but not for admin routes [none]"),
    CLI_LIST("allow-host", 0, serve_opts, name, "HOST",
             "a name by which this server may be called"),
    CLI_CHOICE("log", 0, serve_opts, log, "text|json|off", "a line a request on stderr [text]"),
    CLI_CHOICE("log-level", 0, serve_opts, log_level, "error|warn|info|debug",
               "what is logged at least [info]"),
    CLI_FLAG("no-key", 0, serve_opts, no_key,
             "listen beyond this machine although no key protects the server"),
    CLI_KV(serve_opts, kv, "type of the KV cache [what the model prefers, else q8]"),
    CLI_ISA(serve_opts, isa),
    CLI_FLAG("pin", 0, serve_opts, pin, "tie an engine's threads to fast cores"),
    CLI_FLAG("keep-image", 0, serve_opts, keep_image,
             "keep repacked weights beside the model, for fast starts"),
    CLI_FLAG("no-repack", 0, serve_opts, no_repack, "read the weights where the file has them"),
};

static const char detail[] =
    "Serves models over HTTP to clients that speak OpenAI's API (/v1/chat/completions and more), "
    "Anthropic's (/v1/messages), Ollama's (/api/chat and more) or llama-server's (/completion and "
    "more), and a page to chat at /.\n\n"
    "A MODEL is a GGUF file, served by its name without .gguf, or NAME=FILE. The first one is what "
    "a request gets that names none. Without any model and store the built-in one is served.\n\n"
    "Answers are made together, step by step: each gets the same text as if it were alone. Prompts "
    "that begin alike are computed once.";

typedef struct runtime {
    const cli_command *cmd;
    const serve_opts *o;
    vg_server *server;
    vg_watch *watch, *watchdog;
    vg_keys *keys;
    vg_str origin[CLI_LIST_MAX], name[CLI_LIST_MAX];
    vg_log log;
    vg_notify notify;
    int signal_fd;
} runtime;

static void say(void *user, const char *text)
{
    runtime *r = user;
    vg_log_begin(&r->log, VG_HTTP_INFO, text);
    vg_log_end(&r->log);
}

/* ---- models --------------------------------------------------------------------------------- */

/* "NAME=FILE", or a file whose name without folder and .gguf is the model's. */
static vg_status add_model(vg_models *ms, const char *arg, vg_err *err)
{
    const char *eq = strchr(arg, '='), *slash = strrchr(arg, '/');
    if (eq && !memchr(arg, '/', (size_t)(eq - arg)) && access(arg, F_OK) != 0)
        return vg_models_add_file(ms, (vg_str){arg, (size_t)(eq - arg)}, eq + 1, err);
    vg_str name = vg_str_from(slash ? slash + 1 : arg), end = VG_STR(".gguf");
    if (name.n > end.n && memcmp(name.p + name.n - end.n, end.p, end.n) == 0) name.n -= end.n;
    return vg_models_add_file(ms, name, arg, err);
}

static vg_status add_models(runtime *r, int n_args, char **args, vg_err *err)
{
    vg_models *ms = vg_server_models(r->server);
    for (int i = 0; i < n_args; i++) VG_TRY(add_model(ms, args[i], err));
    for (size_t i = 0; i < r->o->model.n; i++) VG_TRY(add_model(ms, r->o->model.item[i], err));
    if (n_args > 0 || r->o->model.n > 0 || r->o->store) return VG_OK;
    return vg_models_add_memory(ms, VG_STR("verge"), default_model(), default_model_bytes(), err);
}

/* ---- the server ----------------------------------------------------------------------------- */

static void on_signal(void *user)
{
    runtime *r = user;
    struct signalfd_siginfo info;
    if (read(r->signal_fd, &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGHUP) {
        vg_err err;
        bool failed = vg_http_tls_reload(vg_server_http(r->server), &err);
        if (!failed) failed = vg_models_scan(vg_server_models(r->server), &err);
        say(r, failed ? err.msg : "certificate and store were read anew");
        return;
    }
    say(r, vg_http_stopping(vg_server_http(r->server))
               ? "ending now"
               : "ending: no new requests, what is under way may finish");
    vg_notify_say(&r->notify, "STOPPING=1");
    vg_http_stop(vg_server_http(r->server));
}

/* Signals arrive in the loop; engine threads, which begin later, never see them. */
static vg_status watch_signals(runtime *r, vg_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signal_fd < 0) return VG_FAIL(err, VG_E_IO, "no signalfd: %s", strerror(errno));
    return VG_OK;
}

static vg_server_opts server_opts(runtime *r)
{
    const serve_opts *o = r->o;
    uint64_t ctx = o->ctx ? (uint64_t)o->ctx : 4096;
    vg_engine_opts engine = {
        .n_threads = (uint32_t)o->threads,
        .pin = o->pin,
        .ctx_tok = (uint32_t)o->ctx,
        .n_sessions = (uint32_t)o->parallel,
        .batch_tok = (uint32_t)o->batch,
        .kv_tok = o->kv_tokens ? (uint64_t)o->kv_tokens : VG_MIN(4, (uint64_t)o->parallel) * ctx,
        .kv = cli_kv_type(o->kv),
        .isa = o->isa,
    };
    return (vg_server_opts){
        .limits = {.drain_ms = o->drain ? (uint32_t)o->drain * 1000 : 1, /* 0 is a default there */
                   .max_body_bytes = (size_t)o->max_body << 20},
        .models = {.store = o->store,
                   .sched = {.engine = engine, .queue_cap = (uint32_t)o->queue},
                   .budget_bytes = (uint64_t)o->memory_mb * 1000000,
                   .keep_alive_s = o->keep_alive,
                   .keep_image = o->keep_image,
                   .no_repack = o->no_repack,
                   .log = say,
                   .log_user = r},
        .max_tok = (uint32_t)o->max_tokens,
        .tls_cert = o->tls_cert,
        .tls_key = o->tls_key,
        .access = {.keys = r->keys, .origin = r->origin, .n_origins = o->origin.n,
                   .host = r->name, .n_hosts = o->name.n},
        .log = &r->log,
    };
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    bool is_v4 = inet_pton(AF_INET, host, &v4) == 1;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (is_v4 && ntohl(v4.s_addr) >> 24 == 127);
}

static vg_status listen_unix(runtime *r, vg_err *err)
{
    const char *text = r->o->unix_mode;
    char *end = NULL;
    unsigned long mode = text ? strtoul(text, &end, 8) : 0600;
    if (text && (end == text || *end || mode == 0 || mode > 0777))
        return VG_FAIL(err, VG_E_USAGE, "--unix-mode: '%s' is no mode such as 0660", text);
    return vg_http_listen_unix(vg_server_http(r->server), r->o->unix_path, (unsigned)mode, err);
}

/* Sockets that systemd opened take the place of --host and --port. */
static vg_status listen_all(runtime *r, vg_err *err)
{
    const serve_opts *o = r->o;
    vg_http *h = vg_server_http(r->server);
    uint16_t port = 0;
    char text[300];
    int n_fds = vg_listen_fds(getenv("LISTEN_PID"), getenv("LISTEN_FDS"));
    for (int i = 0; i < n_fds; i++) VG_TRY(vg_http_listen_fd(h, VG_LISTEN_FIRST_FD + i, err));
    if (n_fds == 0) VG_TRY(vg_http_listen_tcp(h, o->host, (uint16_t)o->port, &port, err));
    if (o->unix_path) VG_TRY(listen_unix(r, err));
    /* What was asked for is judged before; this is what it came to. */
    if (!vg_http_is_local(h) && !o->key_file && !o->no_key)
        return VG_FAIL(err, VG_E_USAGE, "other machines could reach this server and no key "
                       "protects it: give it a --key-file, or allow it with --no-key");
    bool v6 = strchr(o->host, ':') != NULL;
    if (n_fds > 0) snprintf(text, sizeof text, "listening on %d sockets of systemd", n_fds);
    else
        snprintf(text, sizeof text, "listening on http%s://%s%s%s:%u", o->tls_cert ? "s" : "",
                 v6 ? "[" : "", o->host, v6 ? "]" : "", port);
    say(r, text);
    return VG_OK;
}

/* Each connection is a descriptor; a service starts with room for a thousand. */
static void raise_files(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= WANTED_FILES) return;
    l.rlim_cur = VG_MIN(l.rlim_max, (rlim_t)WANTED_FILES);
    if (setrlimit(RLIMIT_NOFILE, &l)) return; /* then accepting pauses where they are used up */
}

/* The first model is loaded before it is asked for; then the service is ready. */
static void on_first(void *user, vg_use *use, const vg_err *err)
{
    runtime *r = user;
    VG_UNUSED(err); /* the log has told it; a request for it tries again */
    vg_notify_say(&r->notify, "READY=1");
    vg_use_free(use);
}

/* systemd hears that the loop goes round, as long as no engine is stuck in a step. */
static void on_watchdog(void *user)
{
    runtime *r = user;
    vg_models *ms = vg_server_models(r->server);
    bool stuck = false;
    for (size_t i = 0; i < vg_models_count(ms); i++) {
        vg_model_facts f;
        vg_sched_stats t = {0};
        vg_models_get(ms, i, &f);
        if (f.sched) vg_sched_get_stats(f.sched, &t);
        stuck = stuck || t.stuck;
    }
    if (!stuck) vg_notify_say(&r->notify, "WATCHDOG=1");
    vg_status st = vg_watch_after(r->watchdog, r->notify.watchdog_ms, NULL);
    VG_UNUSED(st); /* without a timer, systemd will notice */
}

static vg_status begin_notify(runtime *r, vg_err *err)
{
    vg_http *h = vg_server_http(r->server);
    vg_notify_open(&r->notify, getenv("NOTIFY_SOCKET"), getenv("WATCHDOG_USEC"),
                   getenv("WATCHDOG_PID"));
    if (r->notify.watchdog_ms == 0) return VG_OK;
    VG_TRY(vg_http_watch_timer(&r->watchdog, h, on_watchdog, r, err));
    return vg_watch_after(r->watchdog, r->notify.watchdog_ms, err);
}

static vg_status read_access(runtime *r, vg_err *err)
{
    const serve_opts *o = r->o;
    for (size_t i = 0; i < o->origin.n; i++) {
        r->origin[i] = vg_str_from(o->origin.item[i]);
        if (!vg_access_is_origin(r->origin[i]))
            return VG_FAIL(err, VG_E_USAGE, "--allow-origin: '%s' is no origin such as "
                           "https://example.com", o->origin.item[i]);
    }
    for (size_t i = 0; i < o->name.n; i++) r->name[i] = vg_str_from(o->name.item[i]);
    r->log = (vg_log){.fd = STDERR_FILENO, .json = strcmp(o->log, "json") == 0};
    if (!vg_log_level(o->log_level, &r->log.least)) r->log.least = VG_HTTP_INFO;
    if (strcmp(o->log, "off") == 0) r->log.least = VG_HTTP_ERROR;
    return o->key_file ? vg_keys_load(&r->keys, o->key_file, err) : VG_OK;
}

static vg_status serve(runtime *r, int n_args, char **args, vg_err *err)
{
    vg_use *use = NULL;
    raise_files();
    VG_TRY(read_access(r, err));
    vg_server_opts o = server_opts(r);
    VG_TRY(watch_signals(r, err));
    VG_TRY(vg_server_new(&r->server, &o, err));
    VG_TRY(add_models(r, n_args, args, err));
    VG_TRY(listen_all(r, err));
    VG_TRY(vg_http_watch_fd(&r->watch, vg_server_http(r->server), r->signal_fd, on_signal, r, err));
    VG_TRY(begin_notify(r, err));
    if (n_args > 0 || r->o->model.n > 0 || !r->o->store)
        VG_TRY(vg_models_use(vg_server_models(r->server), (vg_str){"", 0}, on_first, r, &use, err));
    else vg_notify_say(&r->notify, "READY=1");
    return vg_http_run(vg_server_http(r->server), err);
}

/* The line for the key file on stdout; the key, which nobody can find out from it, on stderr. */
static int make_key(const cli_command *cmd, const char *name)
{
    char secret[VG_KEY_SECRET], line[VG_KEY_LINE];
    vg_err err;
    if (vg_key_make(name, secret, line, &err)) return cli_fail(cmd, &err);
    fprintf(stderr, "The key, shown this once: %s\n", secret);
    printf("%s\n", line);
    return cli_finish(cmd);
}

static int run(const cli_command *cmd, void *o, int n_args, char **args)
{
    runtime r = {.cmd = cmd, .o = o, .signal_fd = -1, .notify = {.fd = -1}};
    vg_err err;
    if (r.o->new_key) return make_key(cmd, r.o->new_key);
    if (!r.o->tls_cert != !r.o->tls_key)
        return cli_usage(cmd, "--tls-cert and --tls-key go together");
    if (!is_loopback(r.o->host) && !r.o->key_file && !r.o->no_key)
        return cli_usage(cmd, "--host %s would let other machines in, and no key protects the "
                         "server: give it a --key-file, or allow it with --no-key", r.o->host);
    vg_status st = serve(&r, n_args, args, &err);
    vg_watch_free(r.watch);
    vg_watch_free(r.watchdog);
    vg_server_free(r.server);
    vg_keys_free(r.keys);
    vg_notify_close(&r.notify);
    if (r.signal_fd >= 0) close(r.signal_fd);
    return st ? cli_fail(cmd, &err) : CLI_DONE;
}

const cli_command cmd_serve = {
    .name = "serve",
    .args = "[MODEL...]",
    .min_args = 0,
    .max_args = 64,
    .summary = "answer clients over HTTP: OpenAI, Anthropic, Ollama, llama-server",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(serve_opts),
    .defaults = &defaults,
    .settings = true,
    .run = run,
};

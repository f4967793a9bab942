/* Tests of the whole server over loopback, with the built-in model: 32 answers at once are byte for
 * byte those of 32 alone; a client that leaves frees its place; models are swapped, evicted and
 * refused while others answer; a full queue says when to come again. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/serve.h"
#include "test.h"

enum { REPLY_BYTES = 1 << 20, N_CLIENTS = 32 };

typedef struct rig {
    vg_server *s;
    pthread_t thread;
    uint16_t port;
    char dir[64], path[2][128];
} rig;

static void *serve(void *arg)
{
    rig *r = arg;
    vg_err err;
    TEST_OK(vg_http_run(vg_server_http(r->s), &err));
    return NULL;
}

static void copy_model(const char *to)
{
    char path[4096], part[4200];
    size_t n;
    test_path(path, "../models/default.gguf");
    char *bytes = test_read(path, &n);
    snprintf(part, sizeof part, "%s.part", to);
    FILE *f = fopen(part, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    assert_int_equal(rename(part, to), 0);
    free(bytes);
}

/* A server with the models "one" and "two" of a store. */
static void begin(rig *r, uint32_t n_sessions, uint32_t queue_cap, uint64_t budget_bytes)
{
    vg_err err;
    *r = (rig){.dir = "/tmp/verge-serve-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path[0], sizeof r->path[0], "%s/one.gguf", r->dir);
    snprintf(r->path[1], sizeof r->path[1], "%s/two.gguf", r->dir);
    copy_model(r->path[0]);
    copy_model(r->path[1]);
    vg_server_opts o = {.models = {.store = r->dir,
                                   .budget_bytes = budget_bytes,
                                   .sched = {.engine = {.n_threads = 2, .n_sessions = n_sessions,
                                                        .kv_tok = 4096},
                                             .queue_cap = queue_cap}}};
    TEST_OK(vg_server_new(&r->s, &o, &err));
    TEST_OK(vg_http_listen_tcp(vg_server_http(r->s), "127.0.0.1", 0, &r->port, &err));
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void end(rig *r)
{
    vg_http_stop(vg_server_http(r->s));
    pthread_join(r->thread, NULL);
    vg_server_free(r->s);
    unlink(r->path[0]);
    unlink(r->path[1]);
    rmdir(r->dir);
}

/* ---- a client ------------------------------------------------------------------------------- */

static int dial(const rig *r)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(r->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void send_request(int fd, const char *method, const char *path, const char *body)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     method, path, strlen(body));
    assert_int_equal(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
    assert_int_equal(send(fd, body, strlen(body), MSG_NOSIGNAL), strlen(body));
}

/* All that comes until the server closes; the caller frees it. */
static char *receive(int fd)
{
    char *all = malloc(REPLY_BYTES);
    size_t n = 0;
    for (ssize_t got; (got = recv(fd, all + n, REPLY_BYTES - 1 - n, 0)) > 0;) n += (size_t)got;
    all[n] = '\0';
    close(fd);
    return all;
}

static char *ask(const rig *r, const char *method, const char *path, const char *body)
{
    int fd = dial(r);
    send_request(fd, method, path, body);
    return receive(fd);
}

/* The value of "content" in a whole answer of /completion. */
static char *content(const char *reply)
{
    const char *at = strstr(reply, "\"content\": \"");
    if (!at) fail_msg("no content in: %.600s", reply);
    const char *from = at + strlen("\"content\": \"");
    return strndup(from, strcspn(from, "\n"));
}

static int status(const char *reply)
{
    return strlen(reply) > 12 ? atoi(reply + 9) : 0;
}

static void body_of(size_t i, bool stream, char out[512])
{
    static const char *const begins[] = {"Once upon a time", "Once upon a time, there was",
                                         "The little dog", "One day, Tom and Lily"};
    snprintf(out, 512,
             "{\"model\": \"%s\", \"prompt\": \"%s %zu\", \"n_predict\": %zu, \"seed\": %zu, "
             "\"temperature\": %s, \"ignore_eos\": %s, \"stream\": %s}",
             i % 2 ? "one" : "two", begins[i % VG_COUNT(begins)], i, 20 + i % 13, i,
             i % 3 ? "1" : "0", i % 5 ? "true" : "false", stream ? "true" : "false");
}

typedef struct client {
    const rig *r;
    size_t i;
    pthread_t thread;
    char *reply;
    int n_failed;
} client;

static void *ask_one(void *arg)
{
    client *c = arg;
    char body[512];
    body_of(c->i, false, body);
    c->reply = ask(c->r, "POST", "/completion", body);
    return NULL;
}

/* The answer without its times. */
static char *answer_of(const char *reply)
{
    assert_int_equal(status(reply), 200);
    char *text = content(reply), *end = strstr(text, "\", \"tokens\": [");
    assert_non_null(end);
    *end = '\0';
    return text;
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void test_crowd_as_alone(void **state)
{
    VG_UNUSED(state);
    rig r;
    client c[N_CLIENTS];
    char *alone[N_CLIENTS];
    begin(&r, 16, 64, 0);
    for (size_t i = 0; i < N_CLIENTS; i++) {
        char body[512];
        body_of(i, false, body);
        char *reply = ask(&r, "POST", "/completion", body);
        alone[i] = answer_of(reply);
        free(reply);
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        c[i] = (client){.r = &r, .i = i};
        assert_int_equal(pthread_create(&c[i].thread, NULL, ask_one, &c[i]), 0);
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pthread_join(c[i].thread, NULL);
        char *got = answer_of(c[i].reply);
        assert_string_equal(got, alone[i]);
        free(got);
        free(alone[i]);
        free(c[i].reply);
    }
    end(&r);
}

static unsigned long gauge(const rig *r, const char *name)
{
    char *reply = ask(r, "GET", "/metrics", ""), key[128];
    unsigned long n = 0;
    snprintf(key, sizeof key, "\n%s", name);
    for (const char *at = reply; (at = strstr(at, key));) {
        at += strlen(key);
        const char *v = *at == '{' ? strchr(at, '}') : at;
        if (v && (*at == '{' || *at == ' ')) n += strtoul(v + 1, NULL, 10);
    }
    free(reply);
    return n;
}

/* Clients that leave in mid-answer: their places and pages are free soon after. */
static void test_clients_leave(void **state)
{
    VG_UNUSED(state);
    rig r;
    int fd[8];
    char first[64];
    begin(&r, 8, 16, 0);
    for (size_t i = 0; i < 8; i++) {
        fd[i] = dial(&r);
        send_request(fd[i], "POST", "/completion",
                     "{\"model\": \"one\", \"prompt\": \"Once\", \"n_predict\": 480, "
                     "\"ignore_eos\": true, \"stream\": true}");
    }
    for (size_t i = 0; i < 8; i++) {
        assert_true(recv(fd[i], first, sizeof first, 0) > 0);
        close(fd[i]);
    }
    while (gauge(&r, "llamacpp:requests_processing") > 0)
        ;
    char *reply = ask(&r, "POST", "/completion", "{\"model\": \"one\", \"prompt\": \"Once\", "
                      "\"n_predict\": 3}");
    assert_int_equal(status(reply), 200);
    free(reply);
    end(&r);
}

/* The file of a model is replaced while it answers: old answers end, new ones begin, none fails. */
static void test_swap(void **state)
{
    VG_UNUSED(state);
    rig r;
    char first[64];
    int fd[4];
    begin(&r, 8, 64, 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 4; i++) {
            fd[i] = dial(&r);
            send_request(fd[i], "POST", "/completion",
                         "{\"model\": \"one\", \"prompt\": \"Once upon\", \"n_predict\": 300, "
                         "\"ignore_eos\": true, \"stream\": true, \"temperature\": 0}");
            assert_true(recv(fd[i], first, sizeof first, 0) > 0);
        }
        copy_model(r.path[0]);
        char *reply = ask(&r, "POST", "/completion",
                          "{\"model\": \"one\", \"prompt\": \"Once\", \"n_predict\": 5}");
        assert_int_equal(status(reply), 200);
        free(reply);
        for (size_t i = 0; i < 4; i++) {
            char *rest = receive(fd[i]);
            assert_non_null(strstr(rest, "\"tokens_predicted\": 300"));
            assert_non_null(strstr(rest, "\"stop_type\": \"limit\""));
            free(rest);
        }
    }
    end(&r);
}

/* One of many: streams, of which some are left in mid-answer. */
static void *storm_client(void *arg)
{
    client *c = arg;
    uint32_t random = (uint32_t)c->i * 2654435761u;
    for (int round = 0; round < 4; round++) {
        char body[512], part[512];
        random = random * 1664525 + 1013904223;
        body_of(c->i + (size_t)round * 64, true, body);
        int fd = dial(c->r);
        send_request(fd, "POST", "/completion", body);
        if (random >> 16 & 1) {
            ssize_t got = recv(fd, part, sizeof part, 0);
            c->n_failed += got <= 0 || status(part) != 200;
            close(fd);
            continue;
        }
        char *reply = receive(fd);
        c->n_failed += status(reply) != 200 || !strstr(reply, "\"stop_type\": \"");
        free(reply);
    }
    return NULL;
}

/* 64 streams at once, left at random, while both models are replaced again and again: whoever stays
 * gets the whole answer. */
static void test_storm(void **state)
{
    VG_UNUSED(state);
    enum { N = 64 };
    rig r;
    client c[N];
    begin(&r, 16, 256, 0);
    for (size_t i = 0; i < N; i++) {
        c[i] = (client){.r = &r, .i = i};
        assert_int_equal(pthread_create(&c[i].thread, NULL, storm_client, &c[i]), 0);
    }
    for (int swap = 0; swap < 6; swap++) {
        copy_model(r.path[swap % 2]);
        char *reply = ask(&r, "POST", "/completion",
                          swap % 2 ? "{\"model\": \"two\", \"prompt\": \"A\", \"n_predict\": 9}"
                                   : "{\"model\": \"one\", \"prompt\": \"A\", \"n_predict\": 9}");
        assert_int_equal(status(reply), 200);
        free(reply);
    }
    for (size_t i = 0; i < N; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].n_failed, 0);
    }
    end(&r);
}

static void test_models(void **state)
{
    VG_UNUSED(state);
    rig r;
    begin(&r, 1, 4, 60000000); /* room for one of the two */
    for (size_t i = 0; i < 6; i++) {
        char *reply = ask(&r, "POST", "/completion",
                          i % 2 ? "{\"model\": \"one\", \"prompt\": \"Once\", \"n_predict\": 3}"
                                : "{\"model\": \"two\", \"prompt\": \"Once\", \"n_predict\": 3}");
        assert_int_equal(status(reply), 200);
        free(reply);
    }
    char *reply = ask(&r, "POST", "/completion", "{\"model\": \"three\", \"prompt\": \"x\"}");
    assert_int_equal(status(reply), 404);
    assert_non_null(strstr(reply, "three"));
    free(reply);
    end(&r);
}

/* One answers, one may wait, and the others are told to come later, each with a time. */
static void test_queue_full(void **state)
{
    VG_UNUSED(state);
    rig r;
    int fd[12];
    size_t n_answered = 0, n_refused = 0;
    begin(&r, 1, 1, 0);
    free(ask(&r, "POST", "/completion", "{\"model\": \"one\", \"prompt\": \"Once\"}"));
    for (size_t i = 0; i < VG_COUNT(fd); i++) {
        fd[i] = dial(&r);
        send_request(fd[i], "POST", "/completion",
                     "{\"model\": \"one\", \"prompt\": \"Once\", \"n_predict\": 500, "
                     "\"ignore_eos\": true}");
    }
    for (size_t i = 0; i < VG_COUNT(fd); i++) {
        char *reply = receive(fd[i]);
        if (status(reply) == 200) n_answered++;
        if (status(reply) == 429 && strstr(reply, "\r\nRetry-After: ")) n_refused++;
        free(reply);
    }
    assert_true(n_answered >= 1);
    assert_true(n_refused >= 1);
    assert_int_equal(n_answered + n_refused, VG_COUNT(fd));
    end(&r);
}

/* An answer keeps to its grammar; one that nothing can keep to is the request's fault. */
static void test_grammar(void **state)
{
    VG_UNUSED(state);
    rig r;
    begin(&r, 4, 8, 0);
    char *reply = ask(&r, "POST", "/completion",
                      "{\"model\": \"one\", \"prompt\": \"Once\", \"ignore_eos\": true, "
                      "\"grammar\": \"root ::= [0-9] [0-9] \\\"!\\\"\"}");
    char *text = answer_of(reply);
    assert_int_equal(strlen(text), 3);
    assert_true(text[0] >= '0' && text[0] <= '9' && text[2] == '!');
    free(text);
    free(reply);
    reply = ask(&r, "POST", "/completion", "{\"model\": \"one\", \"prompt\": \"x\", "
                "\"json_schema\": {\"enum\": [\"yes\", \"no\"]}}");
    assert_non_null(strstr(reply, "\"content\": \"\\\""));
    assert_true(strstr(reply, "yes") || strstr(reply, "no\\"));
    free(reply);
    static const char *const bad[] = {"\"grammar\": \"root ::= root\"",
                                      "\"json_schema\": {\"$ref\": \"#\"}",
                                      "\"json_schema\": {\"not\": {\"type\": \"string\"}}"};
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"model\": \"one\", \"prompt\": \"x\", %s}", bad[i]);
        reply = ask(&r, "POST", "/completion", body);
        assert_int_equal(status(reply), 400);
        free(reply);
    }
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd_as_alone), cmocka_unit_test(test_clients_leave),
        cmocka_unit_test(test_swap),           cmocka_unit_test(test_models),
        cmocka_unit_test(test_queue_full),     cmocka_unit_test(test_storm),
        cmocka_unit_test(test_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

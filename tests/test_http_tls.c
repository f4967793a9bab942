/* The transport over TLS, with a certificate made here: the same answers, a client that leaves is
 * noticed all the same, and files that must not be used are refused. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "http_peer.h"

typedef struct fixture {
    peer_server s;
    SSL_CTX *client;
    char dir[64], cert[96], key[96];
    sem_t asked, closed, posted;
    atomic_uint n_gone, n_refused;
    vg_status reloaded;
} fixture;

/* ---- a certificate -------------------------------------------------------------------------- */

static void write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    const EVP_CIPHER *cipher = passphrase ? EVP_aes_256_cbc() : NULL;
    int n = passphrase ? (int)strlen(passphrase) : 0;
    assert_int_equal(
        PEM_write_PrivateKey(f, key, cipher, (const unsigned char *)passphrase, n, NULL, NULL), 1);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
}

/* Self-signed, for localhost; its serial number is `serial`. */
static EVP_PKEY *make_certificate(const char *cert, const char *key, long serial)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_non_null(pkey);
    assert_non_null(x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_version(x, 2);
    X509_set_pubkey(x, pkey);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const void *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, name);
    assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
    FILE *f = fopen(cert, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    fclose(f);
    write_key(key, pkey, NULL);
    X509_free(x);
    return pkey;
}

/* ---- the server ----------------------------------------------------------------------------- */

static void on_request(void *user, vg_exchange *x)
{
    fixture *f = user;
    vg_str body = vg_exchange_body(x);
    assert(vg_exchange_is_tls(x));
    if (vg_str_is(vg_exchange_path(x), "/begin")) {
        vg_exchange_begin(x, 200, "text/event-stream");
        vg_exchange_write(x, "first", 5);
    } else if (!vg_str_is(vg_exchange_path(x), "/hold")) {
        vg_exchange_reply(x, 200, "text/plain", body.p, body.n);
    }
    sem_post(&f->asked);
}

static void on_closed(void *user, vg_exchange *x)
{
    fixture *f = user;
    if (vg_exchange_gone(x)) f->n_gone++;
    sem_post(&f->closed);
}

static void on_refused(void *user, const char *address, int code, const char *why)
{
    fixture *f = user;
    assert(address[0] && why[0]);
    VG_UNUSED(code);
    f->n_refused++;
}

static void make_files(fixture *f)
{
    *f = (fixture){0};
    snprintf(f->dir, sizeof f->dir, "/tmp/verge-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->cert, sizeof f->cert, "%s/cert.pem", f->dir);
    snprintf(f->key, sizeof f->key, "%s/key.pem", f->dir);
    EVP_PKEY_free(make_certificate(f->cert, f->key, 1));
}

static void remove_files(fixture *f)
{
    unlink(f->cert);
    unlink(f->key);
    rmdir(f->dir);
}

static vg_http_opts opts_of(fixture *f)
{
    return (vg_http_opts){.tls_cert = f->cert,
                          .tls_key = f->key,
                          .user = f,
                          .request = on_request,
                          .closed = on_closed,
                          .refused = on_refused};
}

static void start(fixture *f, vg_http_limits limits)
{
    make_files(f);
    sem_init(&f->asked, 0, 0);
    sem_init(&f->closed, 0, 0);
    sem_init(&f->posted, 0, 0);
    vg_http_opts opts = opts_of(f);
    opts.limits = limits;
    peer_start(&f->s, &opts);
    f->client = SSL_CTX_new(TLS_client_method());
    assert_non_null(f->client);
    assert_int_equal(SSL_CTX_load_verify_locations(f->client, f->cert, NULL), 1);
    SSL_CTX_set_verify(f->client, SSL_VERIFY_PEER, NULL);
}

static void stop(fixture *f)
{
    peer_stop(&f->s);
    SSL_CTX_free(f->client);
    sem_destroy(&f->asked);
    sem_destroy(&f->closed);
    sem_destroy(&f->posted);
    remove_files(f);
}

static void wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEER_PATIENCE_MS / 1000;
    while (sem_timedwait(sem, &until))
        if (errno != EINTR) fail_msg("the server never got there");
}

/* ---- a client ------------------------------------------------------------------------------- */

static SSL *shake(fixture *f, peer *p)
{
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    *p = peer_connect(&f->s);
    SSL *ssl = SSL_new(f->client);
    assert_non_null(ssl);
    assert_int_equal(SSL_set_alpn_protos(ssl, protocols, sizeof protocols - 1), 0);
    assert_int_equal(SSL_set_fd(ssl, p->fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void say(SSL *ssl, const char *text)
{
    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), strlen(text));
}

/* Reads until `end` has come; the number of bytes. */
static size_t hear(SSL *ssl, char *in, size_t room, const char *end)
{
    size_t n = 0;
    in[0] = '\0';
    while (!strstr(in, end)) {
        int k = SSL_read(ssl, in + n, (int)(room - n - 1));
        if (k <= 0) fail_msg("the answer ends: %s", in);
        n += (size_t)k;
        in[n] = '\0';
    }
    return n;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* ---- tests ---------------------------------------------------------------------------------- */

static void answers(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p;
    char in[8192];
    SSL *ssl = shake(&f, &p);
    const unsigned char *chosen;
    unsigned n_chosen;
    SSL_get0_alpn_selected(ssl, &chosen, &n_chosen);
    assert_int_equal(n_chosen, 8);
    for (int i = 0; i < 3; i++) {
        say(ssl, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhello");
        say(ssl, " !!");
        hear(ssl, in, sizeof in, "hello !!");
        assert_memory_equal(in, "HTTP/1.1 200", 12);
    }
    /* Large both ways, in many records. */
    enum { BIG = 4 << 20 };
    char *big = malloc(BIG + 8192);
    assert_non_null(big);
    memset(big, 'x', BIG);
    memcpy(big + BIG - 4, "\r\n!\n", 4);
    say(ssl, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n");
    assert_int_equal(SSL_write(ssl, big, BIG), BIG);
    memset(big, 0, BIG);
    size_t n = hear(ssl, big, BIG + 8192, "\r\n!\n");
    assert_true(n > BIG);
    free(big);
    SSL_free(ssl);
    peer_close(&p);
    stop(&f);
}

/* With TLS's own goodbye, with a FIN alone, and with a reset. */
static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    for (unsigned i = 0; i < 6; i++) {
        peer p;
        SSL *ssl = shake(&f, &p);
        say(ssl, i % 2 ? GET("/begin") : GET("/hold"));
        wait_for(&f.asked);
        if (i / 2 == 0) SSL_shutdown(ssl);
        if (i / 2 == 2) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        SSL_free(ssl);
        peer_close(&p);
        wait_for(&f.closed);
        assert_int_equal(f.n_gone, i + 1);
    }
    stop(&f);
}

static void others_are_told_or_cut(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.head_ms = 50});
    peer p = peer_connect(&f.s);
    peer_say(&p, GET("/"));
    peer_hear(&p);
    assert_int_equal(p.code, 400);
    assert_non_null(strstr(p.body, "https"));
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "\x16\x03\x01\x00\x05hello");
    while (peer_take(&p)) continue; /* an alert, and the end */
    peer_close(&p);
    p = peer_connect(&f.s);
    assert_true(peer_is_over(&p)); /* it never says anything */
    peer_close(&p);
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(old, 0);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    p = peer_connect(&f.s);
    SSL *ssl = SSL_new(old);
    SSL_set_fd(ssl, p.fd);
    assert_int_not_equal(SSL_connect(ssl), 1);
    SSL_free(ssl);
    SSL_CTX_free(old);
    peer_close(&p);
    stop(&f);
    assert_int_equal(f.n_refused, 4);
}

static void do_reload(void *arg)
{
    fixture *f = arg;
    f->reloaded = vg_http_tls_reload(f->s.h, NULL);
    sem_post(&f->posted);
}

static long serial_of(SSL *ssl)
{
    X509 *x = SSL_get1_peer_certificate(ssl);
    assert_non_null(x);
    long n = ASN1_INTEGER_get(X509_get0_serialNumber(x));
    X509_free(x);
    return n;
}

/* A connection keeps its certificate; the next one gets the new one; a bad one changes nothing. */
static void certificates_can_be_renewed(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer a, b;
    char in[4096];
    SSL *first = shake(&f, &a);
    assert_int_equal(serial_of(first), 1);
    EVP_PKEY_free(make_certificate(f.cert, f.key, 2));
    SSL_CTX_set_verify(f.client, SSL_VERIFY_NONE, NULL);
    assert_true(vg_http_post(f.s.h, do_reload, &f));
    wait_for(&f.posted);
    assert_int_equal(f.reloaded, VG_OK);
    SSL *second = shake(&f, &b);
    assert_int_equal(serial_of(second), 2);
    say(first, GET("/"));
    hear(first, in, sizeof in, "\r\n\r\n");
    SSL_free(second);
    peer_close(&b);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    write_key(f.key, other, NULL);
    EVP_PKEY_free(other);
    assert_true(vg_http_post(f.s.h, do_reload, &f));
    wait_for(&f.posted);
    assert_int_equal(f.reloaded, VG_E_FORMAT);
    second = shake(&f, &b);
    assert_int_equal(serial_of(second), 2);
    SSL_free(first);
    SSL_free(second);
    peer_close(&a);
    peer_close(&b);
    stop(&f);
}

static void refused_with(fixture *f, const vg_http_opts *opts, vg_status want, const char *message)
{
    vg_http *h = NULL;
    vg_err err = {0};
    assert_int_equal(vg_http_new(&h, opts, &err), want);
    if (!strstr(err.msg, message)) fail_msg("%s: no '%s'", err.msg, message);
    VG_UNUSED(f);
}

static void files_that_must_not_be_used(void **state)
{
    (void)state;
    fixture f;
    make_files(&f);
    vg_http_opts opts = opts_of(&f), half = opts_of(&f), none = opts_of(&f);
    half.tls_key = NULL;
    refused_with(&f, &half, VG_E_USAGE, "both");
    none.tls_cert = "/no/such/cert.pem";
    refused_with(&f, &none, VG_E_NOT_FOUND, "/no/such/cert.pem");
    assert_int_equal(chmod(f.key, 0644), 0);
    refused_with(&f, &opts, VG_E_USAGE, "chmod 0600");
    assert_int_equal(chmod(f.key, 0640), 0);
    vg_http *h = NULL;
    vg_err err;
    TEST_OK(vg_http_new(&h, &opts, &err));
    vg_http_free(h);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    write_key(f.key, key, NULL);
    refused_with(&f, &opts, VG_E_FORMAT, "is not that of");
    write_key(f.key, key, "secret");
    refused_with(&f, &opts, VG_E_FORMAT, "passphrase");
    EVP_PKEY_free(key);
    FILE *file = fopen(f.cert, "w");
    assert_non_null(file);
    fputs("no certificate\n", file);
    fclose(file);
    refused_with(&f, &opts, VG_E_FORMAT, f.cert);
    none.tls_cert = f.dir;
    refused_with(&f, &none, VG_E_FORMAT, "is no file");
    remove_files(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(others_are_told_or_cut),
        cmocka_unit_test(certificates_can_be_renewed),
        cmocka_unit_test(files_that_must_not_be_used),
    };
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's client writes without MSG_NOSIGNAL */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

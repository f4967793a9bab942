/* TLS 1.2 and 1.3 by OpenSSL, under the same state machine as plain sockets. A connection's buffers
 * are given back whenever they are empty (SSL_MODE_RELEASE_BUFFERS). A private key that everybody
 * can read is refused, and so is one with a passphrase, because nobody is there to type it. Plain
 * HTTP that comes to this port is recognised by its first byte and told so in plain HTTP. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "serve/http_int.h"

enum { HANDSHAKE = 0x16, RECORD = 16384 };

static const char *reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text =
        ERR_GET_LIB(e) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
    return text ? text : "unknown error";
}

static int no_passphrase(char *buf, int size, int writing, void *user)
{
    VG_UNUSED(buf), VG_UNUSED(size), VG_UNUSED(writing), VG_UNUSED(user);
    return 0;
}

/* HTTP/1.1 where the client offers it; one that offers only others gets no protocol and may try. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                           const unsigned char *in, unsigned n_in, void *user)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    VG_UNUSED(ssl), VG_UNUSED(user);
    if (SSL_select_next_proto(&chosen, n_out, ours, sizeof ours - 1, in, n_in) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static vg_status check_file(const char *path, const char *what, bool secret, vg_err *err)
{
    struct stat st;
    if (stat(path, &st))
        return VG_FAIL(err, errno == ENOENT ? VG_E_NOT_FOUND : VG_E_IO, "%s %s: %s", what, path,
                       strerror(errno));
    if (!S_ISREG(st.st_mode)) return VG_FAIL(err, VG_E_FORMAT, "%s %s is no file", what, path);
    if (secret && (st.st_mode & (S_IRWXO | S_IWGRP)))
        return VG_FAIL(err, VG_E_USAGE, "%s %s: others may read or change it; chmod 0600", what,
                       path);
    return VG_OK;
}

static vg_status load(SSL_CTX *ctx, const char *cert, const char *key, vg_err *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return VG_FAIL(err, VG_E_FORMAT, "certificate %s: %s", cert, reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
            return VG_FAIL(err, VG_E_FORMAT, "key %s is not that of certificate %s", key, cert);
        return VG_FAIL(err, VG_E_FORMAT, "key %s: %s (it must have no passphrase)", key, reason());
    }
    return VG_OK;
}

vg_status vg_tls_new(SSL_CTX **out, const char *cert, const char *key, vg_err *err)
{
    if (!cert || !key)
        return VG_FAIL(err, VG_E_USAGE, "TLS needs a certificate and a key, both or none");
    VG_TRY(check_file(cert, "certificate", false, err));
    VG_TRY(check_file(key, "key", true, err));
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx) return VG_FAIL(err, VG_E_NO_MEMORY, "TLS: %s", reason());
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    vg_status st = load(ctx, cert, key, err);
    if (st) SSL_CTX_free(ctx);
    else *out = ctx;
    return st;
}

vg_status vg_http_tls_reload(vg_http *h, vg_err *err)
{
    SSL_CTX *fresh = NULL;
    if (!h->tls) return VG_OK;
    VG_TRY(vg_tls_new(&fresh, h->opts.tls_cert, h->opts.tls_key, err));
    SSL_CTX_free(h->tls); /* connections hold what they use */
    h->tls = fresh;
    return VG_OK;
}

bool vg_tls_attach(vg_conn *c)
{
    c->ssl = SSL_new(c->h->tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1) return false;
    SSL_set_accept_state(c->ssl);
    return true;
}

/* What an operation that gave no bytes means: 0 later, -1 the end. */
static int outcome(vg_conn *c, int rc)
{
    int e = SSL_get_error(c->ssl, rc);
    c->tls_wants_write = e == SSL_ERROR_WANT_WRITE;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return 0;
    c->eof = true;
    c->broken = e != SSL_ERROR_ZERO_RETURN;
    return -1;
}

vg_tls_result vg_tls_shake(vg_conn *c, char why[VG_HTTP_WHY])
{
    unsigned char first;
    if (!c->tls_begun) {
        ssize_t n = recv(c->fd, &first, 1, MSG_PEEK);
        if (n == 1 && first != HANDSHAKE) return VG_TLS_PLAIN;
        c->tls_begun = n == 1;
    }
    ERR_clear_error();
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1) return VG_TLS_DONE;
    if (outcome(c, rc) == 0) return VG_TLS_MORE;
    snprintf(why, VG_HTTP_WHY, "TLS handshake: %s",
             ERR_peek_last_error() ? reason() : "the client left");
    return VG_TLS_FAILED;
}

ptrdiff_t vg_tls_recv(vg_conn *c, char *p, size_t n)
{
    size_t got = 0;
    ERR_clear_error();
    int rc = SSL_read_ex(c->ssl, p, n, &got);
    return rc == 1 ? (ptrdiff_t)got : outcome(c, rc);
}

bool vg_tls_send(vg_conn *c)
{
    for (size_t n; (n = evbuffer_get_length(c->out)) > 0;) {
        n = VG_MIN(n, (size_t)RECORD);
        const void *p = evbuffer_pullup(c->out, (ev_ssize_t)n);
        size_t sent = 0;
        if (!p) return false;
        ERR_clear_error();
        int rc = SSL_write_ex(c->ssl, p, n, &sent);
        if (rc == 1) {
            evbuffer_drain(c->out, sent);
        } else {
            if (outcome(c, rc) < 0) return false;
            c->blocked = true;
            return true;
        }
    }
    return true;
}

void vg_tls_shut(vg_conn *c)
{
    ERR_clear_error();
    if (SSL_is_init_finished(c->ssl)) SSL_shutdown(c->ssl);
}

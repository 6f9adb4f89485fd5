/*
 * tls_context.c - who we are and whom we trust.
 *
 * A context never changes once it is made: OpenSSL's SSL_CTX may then be used by all threads.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <weft/error.h>

#include "base/atomic.h"
#include "io/tls_priv.h"

/* ---- PEM, in files and in memory ----------------------------------------------------------- */

/* Where PEM comes from, and what it is called in messages. */
struct pem {
    const char *file; /* NULL: bytes */
    weft_bytes bytes;
    const char *what;
    char name[120];
};

static bool
pem_given(const char *file, weft_bytes bytes)
{
    return file != NULL || bytes.len > 0;
}

static struct pem
pem_of(const char *what, const char *file, weft_bytes bytes)
{
    struct pem pem = {.file = file, .bytes = bytes, .what = what};
    if (file == NULL ||
        snprintf(pem.name, sizeof pem.name, "%s %s", what, file) >= (int)sizeof pem.name)
        snprintf(pem.name, sizeof pem.name, "%s", what);
    return pem;
}

static int
pem_open(const struct pem *pem, BIO **ret_bio)
{
    if (pem->file == NULL && pem->bytes.len > INT_MAX)
        return weft_error_note(-EINVAL, "%s: more than 2 GiB", pem->what);
    BIO *bio = pem->file != NULL ? BIO_new_file(pem->file, "re")
                                 : BIO_new_mem_buf(pem->bytes.data, (int)pem->bytes.len);
    if (bio == NULL)
        return weft__tls_fails(-ENOMEM, pem->name);
    *ret_bio = bio;
    return 0;
}

static int
password_of(char *buf, int size, int writing, void *arg)
{
    const char *password = arg;
    (void)writing;
    if (password == NULL || strlen(password) > (size_t)size)
        return -1; /* and nobody is asked at the terminal */
    memcpy(buf, password, strlen(password));
    return (int)strlen(password);
}

/* Reading certificates ends in an error that says that there are no more. */
static bool
no_more(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

/* Calls `use` for each certificate, numbered from 0; it says 1 or 0 and takes none over. */
static int
each_certificate(const struct pem *pem, int (*use)(void *arg, X509 *cert, unsigned number),
                 void *arg)
{
    BIO *bio;
    int rc = pem_open(pem, &bio);
    if (rc < 0)
        return rc;
    unsigned n = 0;
    X509 *cert;
    while (rc == 0 && (cert = PEM_read_bio_X509_AUX(bio, NULL, password_of, NULL)) != NULL) {
        if (use(arg, cert, n++) != 1)
            rc = weft__tls_fails(WEFT_E_TLS, pem->name);
        X509_free(cert);
    }
    BIO_free(bio);
    if (rc == 0 && !no_more())
        rc = weft__tls_fails(WEFT_E_TLS, pem->name);
    if (rc == 0 && n == 0)
        rc = weft_error_note(WEFT_E_TLS, "%s: no certificate is in it", pem->name);
    return rc;
}

/* ---- Whom we trust ------------------------------------------------------------------------- */

static int
trust(void *arg, X509 *cert, unsigned number)
{
    SSL_CTX *ctx = arg;
    (void)number;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1)
        return 0;
    return SSL_CTX_add_client_CA(ctx, cert); /* which servers name to their clients */
}

static int
load_trust(SSL_CTX *ctx, const weft_tls_options *options)
{
    int rc = 0;
    if (options->ca_file != NULL) {
        struct pem pem = pem_of("authorities", options->ca_file, (weft_bytes){0});
        rc = each_certificate(&pem, trust, ctx);
    }
    if (rc == 0 && options->ca_pem.len > 0) {
        struct pem pem = pem_of("authorities", NULL, options->ca_pem);
        rc = each_certificate(&pem, trust, ctx);
    }
    if (rc == 0 && options->ca_dir != NULL && SSL_CTX_load_verify_dir(ctx, options->ca_dir) != 1)
        rc = weft__tls_fails(WEFT_E_TLS, options->ca_dir);
    if (rc == 0 && options->role == WEFT_TLS_CLIENT && !options->insecure &&
        options->ca_dir == NULL && !pem_given(options->ca_file, options->ca_pem) &&
        SSL_CTX_set_default_verify_paths(ctx) != 1)
        rc = weft__tls_fails(WEFT_E_TLS, "the system's authorities");
    return rc;
}

/* Called for each certificate of a chain, good or bad. */
static int
on_verify(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct weft__tls *tls = SSL_get_app_data(ssl);
    const weft_tls_context *context = tls->chosen != NULL ? tls->chosen : tls->context;
    if (good || context->insecure)
        return 1;
    weft__tls_why(tls, X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_current_cert(store));
    return 0;
}

static int
verify_mode(const weft_tls_options *options)
{
    if (options->role == WEFT_TLS_CLIENT)
        return SSL_VERIFY_PEER;
    return options->ask == WEFT_TLS_ASK_NOTHING ? SSL_VERIFY_NONE
           : options->ask == WEFT_TLS_ASK_OPTIONAL
               ? SSL_VERIFY_PEER
               : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/* ---- Who we are ---------------------------------------------------------------------------- */

/* The first certificate is ours; the others lead to the authority. */
static int
use_as_ours(void *arg, X509 *cert, unsigned number)
{
    return number == 0 ? SSL_CTX_use_certificate(arg, cert)
                       : (int)SSL_CTX_add1_chain_cert((SSL_CTX *)arg, cert);
}

static int
load_key(SSL_CTX *ctx, const weft_tls_options *options)
{
    bool apart = pem_given(options->key_file, options->key_pem);
    struct pem pem = pem_of("private key", apart ? options->key_file : options->cert_file,
                            apart ? options->key_pem : options->cert_pem);
    BIO *bio;
    int rc = pem_open(&pem, &bio);
    if (rc < 0)
        return rc;
    char *password = (char *)(uintptr_t)options->key_password;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, password_of, password);
    BIO_free(bio);
    if (key == NULL)
        return weft__tls_fails(WEFT_E_TLS, pem.name);
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        rc = weft__tls_fails(WEFT_E_TLS, pem.name);
    EVP_PKEY_free(key);
    return rc;
}

static int
load_identity(SSL_CTX *ctx, const weft_tls_options *options)
{
    if (!pem_given(options->cert_file, options->cert_pem))
        return 0;
    struct pem pem = pem_of("certificate", options->cert_file, options->cert_pem);
    int rc = each_certificate(&pem, use_as_ours, ctx);
    return rc < 0 ? rc : load_key(ctx, options);
}

/* ---- Protocols of the layer above ---------------------------------------------------------- */

/* On servers: the first of ours that the client has too. */
static int
on_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len, const unsigned char *in,
        unsigned in_len, void *arg)
{
    const weft_tls_context *context = arg;
    (void)ssl;
    unsigned char *found;
    if (SSL_select_next_proto(&found, ret_len, context->alpn, context->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = found;
    return SSL_TLSEXT_ERR_OK;
}

static int
load_alpn(weft_tls_context *context, const weft_tls_options *options)
{
    if (options->alpn == NULL)
        return 0;
    size_t bytes = 0;
    for (const char *const *name = options->alpn; *name != NULL; name++) {
        size_t len = strlen(*name);
        if (len == 0 || len > 255)
            return weft_error_note(-EINVAL, "the name of a protocol (ALPN) has 1 to 255 bytes");
        bytes += 1 + len;
    }
    if (bytes > 65535)
        return weft_error_note(-EINVAL, "more protocols (ALPN) than fit into a message");
    if (bytes == 0)
        return 0;
    context->alpn = weft_memory_alloc(bytes);
    if (context->alpn == NULL)
        return -ENOMEM;
    for (const char *const *name = options->alpn; *name != NULL; name++) {
        size_t len = strlen(*name);
        context->alpn[context->alpn_len++] = (unsigned char)len;
        memcpy(context->alpn + context->alpn_len, *name, len);
        context->alpn_len += (unsigned)len;
    }
    if (context->role == WEFT_TLS_SERVER)
        SSL_CTX_set_alpn_select_cb(context->ssl_ctx, on_alpn, context);
    else if (SSL_CTX_set_alpn_protos(context->ssl_ctx, context->alpn, context->alpn_len) != 0)
        return weft__tls_fails(-ENOMEM, "protocols (ALPN)");
    return 0;
}

/* ---- The name that a client asks for ------------------------------------------------------- */

/* Reads the extension of RFC 6066: a list of names, of which one may be a host's. */
static bool
read_name(const unsigned char *at, size_t len, const unsigned char **ret_name, size_t *ret_len)
{
    if (len < 5 || ((size_t)at[0] << 8 | at[1]) != len - 2 || at[2] != TLSEXT_NAMETYPE_host_name)
        return false;
    size_t n = (size_t)at[3] << 8 | at[4];
    if (n == 0 || n > len - 5 || n > WEFT__TLS_HOST_MAX || memchr(at + 5, 0, n) != NULL)
        return false;
    *ret_name = at + 5;
    *ret_len = n;
    return true;
}

static int
go_on_with(struct weft__tls *tls, weft_tls_context *chosen)
{
    if (chosen->role != WEFT_TLS_SERVER || SSL_set_SSL_CTX(tls->ssl, chosen->ssl_ctx) == NULL) {
        weft_tls_context_unref(chosen);
        return -EINVAL;
    }
    tls->chosen = chosen;
    /* SSL_set_SSL_CTX changes certificates and the trusted, not these. */
    SSL_set_verify(tls->ssl, SSL_CTX_get_verify_mode(chosen->ssl_ctx), on_verify);
    SSL_set_options(tls->ssl, SSL_CTX_get_options(chosen->ssl_ctx));
    SSL_set_min_proto_version(tls->ssl, (int)SSL_CTX_get_min_proto_version(chosen->ssl_ctx));
    SSL_set_max_proto_version(tls->ssl, (int)SSL_CTX_get_max_proto_version(chosen->ssl_ctx));
    return 0;
}

/* Before anything else is looked at: a session of another context must not be resumed here, and
 * which context it is decides about that. */
static int
on_hello(SSL *ssl, int *ret_alert, void *arg)
{
    weft_tls_context *context = arg;
    struct weft__tls *tls = SSL_get_app_data(ssl);
    const unsigned char *extension, *name;
    size_t extension_len, len;
    if (tls->host != NULL)
        return SSL_CLIENT_HELLO_SUCCESS; /* the second hello of a handshake: known already */
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &extension_len) == 1 &&
        read_name(extension, extension_len, &name, &len)) {
        tls->host = weft_memory_zeroed(len + 1);
        if (tls->host == NULL) {
            *ret_alert = SSL_AD_INTERNAL_ERROR;
            return SSL_CLIENT_HELLO_ERROR;
        }
        memcpy(tls->host, name, len);
    }
    if (context->choose == NULL || tls->chosen != NULL)
        return SSL_CLIENT_HELLO_SUCCESS;
    weft_tls_context *chosen = NULL;
    int rc = context->choose(context->choose_arg, tls->host != NULL ? tls->host : "", &chosen);
    if (rc == 0 && chosen != NULL)
        rc = go_on_with(tls, chosen);
    if (rc == 0)
        return SSL_CLIENT_HELLO_SUCCESS;
    *ret_alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

/* ---- Sessions ------------------------------------------------------------------------------ */

/* On clients: a ticket has come. 1 takes it over. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct weft__tls *tls = SSL_get_app_data(ssl);
    if (tls->host == NULL || tls->context->sessions == NULL || !SSL_SESSION_is_resumable(session))
        return 0;
    weft__tls_session_keep(tls->context->sessions, tls->host, session);
    return 1;
}

static int
set_sessions(weft_tls_context *context, const weft_tls_options *options)
{
    SSL_CTX *ctx = context->ssl_ctx;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (options->no_sessions) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? 0 : -ENOMEM;
    }
    if (context->role == WEFT_TLS_SERVER) {
        /* Nothing is kept here: sessions are with the clients, in tickets. One each, as more cost
         * time and bytes in each handshake. A context has its own name for sessions, so that none
         * that another one granted, after other checks, is taken. */
        static uint64_t last;
        uint64_t id[2] = {(uint64_t)(uintptr_t)context, weft__fetch_add(&last, 1)};
        if (SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
            SSL_CTX_set_session_id_context(ctx, (const unsigned char *)id, sizeof id) != 1)
            return -ENOMEM;
        return 0;
    }
    context->sessions = weft__tls_sessions_new();
    if (context->sessions == NULL)
        return -ENOMEM;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return 0;
}

/* ---- Making one ---------------------------------------------------------------------------- */

static int
check_options(const weft_tls_options *options)
{
    if (options->role != WEFT_TLS_CLIENT && options->role != WEFT_TLS_SERVER)
        return weft_error_note(-EINVAL, "a role is WEFT_TLS_CLIENT or WEFT_TLS_SERVER");
    bool server = options->role == WEFT_TLS_SERVER;
    bool trusts = options->ca_dir != NULL || pem_given(options->ca_file, options->ca_pem);
    if (server && !pem_given(options->cert_file, options->cert_pem) && options->choose == NULL)
        return weft_error_note(-EINVAL, "a server has a certificate, or chooses by name");
    if (server && options->ask != WEFT_TLS_ASK_NOTHING && !trusts && !options->insecure)
        return weft_error_note(-EINVAL, "whose certificates clients may have is not said");
    if (!server && (options->ask != WEFT_TLS_ASK_NOTHING || options->choose != NULL))
        return weft_error_note(-EINVAL, "a client neither asks for certificates nor chooses");
    if (pem_given(options->key_file, options->key_pem) &&
        !pem_given(options->cert_file, options->cert_pem))
        return weft_error_note(-EINVAL, "a key without its certificate");
    if (options->cert_file != NULL && options->cert_pem.len > 0)
        return weft_error_note(-EINVAL, "the certificate is given twice");
    if (options->key_file != NULL && options->key_pem.len > 0)
        return weft_error_note(-EINVAL, "the key is given twice");
    return 0;
}

static int
set_protocol(SSL_CTX *ctx, const weft_tls_options *options)
{
    int lowest = options->version_min != 0 ? (int)options->version_min : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(ctx, lowest) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, (int)options->version_max) != 1) {
        ERR_clear_error();
        return weft_error_note(-EINVAL, "a version of TLS is WEFT_TLS_1_2 or WEFT_TLS_1_3");
    }
    if (options->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, options->ciphers) != 1)
        return weft__tls_fails(WEFT_E_TLS, "ciphers");
    if (options->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ctx, options->ciphersuites) != 1)
        return weft__tls_fails(WEFT_E_TLS, "ciphersuites");
    return 0;
}

static int
set_up(weft_tls_context *context, const weft_tls_options *options)
{
    SSL_CTX *ctx = context->ssl_ctx;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* A record at a time; buffers only while something is in them; one system call for the head
     * and the rest of a record. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    if (options->ktls)
        SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
    else
        SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_verify(ctx, verify_mode(options), on_verify);
    if (context->role == WEFT_TLS_SERVER)
        SSL_CTX_set_client_hello_cb(ctx, on_hello, context);
    int rc = set_protocol(ctx, options);
    if (rc == 0)
        rc = load_trust(ctx, options);
    if (rc == 0)
        rc = load_identity(ctx, options);
    if (rc == 0)
        rc = load_alpn(context, options);
    if (rc == 0)
        rc = set_sessions(context, options);
    return rc;
}

static void
context_free(weft_tls_context *context)
{
    SSL_CTX_free(context->ssl_ctx);
    weft__tls_sessions_free(context->sessions);
    weft_memory_free(context->alpn);
    weft_memory_free(context);
}

int
weft_tls_context_new(weft_tls_context **ret_context, const weft_tls_options *options)
{
    static const weft_tls_options defaults;
    if (options == NULL)
        options = &defaults;
    int rc = check_options(options);
    if (rc < 0)
        return rc;
    weft_tls_context *context = weft_memory_zeroed(sizeof *context);
    if (context == NULL)
        return -ENOMEM;
    context->count = 1;
    context->role = options->role;
    context->insecure = options->insecure != 0;
    context->ktls = options->ktls != 0;
    context->choose = options->choose;
    context->choose_arg = options->choose_arg;
    ERR_clear_error();
    context->ssl_ctx =
        SSL_CTX_new(options->role == WEFT_TLS_SERVER ? TLS_server_method() : TLS_client_method());
    rc = context->ssl_ctx == NULL ? weft__tls_fails(-ENOMEM, "a context for TLS")
                                  : set_up(context, options);
    ERR_clear_error();
    if (rc < 0) {
        context_free(context);
        return rc;
    }
    *ret_context = context;
    return 0;
}

weft_tls_context *
weft_tls_context_ref(weft_tls_context *context)
{
    weft__fetch_add(&context->count, 1); /* pairs with the others here and in unref */
    return context;
}

void
weft_tls_context_unref(weft_tls_context *context)
{
    if (context != NULL && weft__fetch_sub(&context->count, 1) == 1)
        context_free(context);
}

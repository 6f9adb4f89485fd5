/*
 * tls.h - TLS over any stream, by OpenSSL 3. Part of libweft-tls.
 *
 * A context says who we are and whom we trust; it is made once, does not change, and may serve any
 * number of connections on all loops. A TLS stream is a weft_stream like any other: the calls of
 * stream.h read, write and close it.
 *
 *     weft_tls_context_new(&context, &(weft_tls_options){.role = WEFT_TLS_CLIENT});
 *     weft_tls_client(&tls, &tcp, context, "example.org");
 *     weft_stream_write_all(&tls, ...);
 *     weft_stream_close(&tls);           (closes tcp as well)
 *
 * The TLS stream has the stream below it from the moment the handshake has succeeded until it is
 * closed; closing it closes that one. Its memory stays the caller's, and must last as long.
 *
 * A write counts the bytes that are on their way in whole records: one that a scope ended says
 * exactly how many, and whatever follows is written behind them. What the peer is too slow to take
 * of the last record goes out by itself, until the stream is closed.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <weft/base.h>
#include <weft/stream.h>

typedef struct weft_tls_context weft_tls_context;

typedef enum weft_tls_role { WEFT_TLS_CLIENT = 0, WEFT_TLS_SERVER = 1 } weft_tls_role;

typedef enum weft_tls_ask {
    WEFT_TLS_ASK_NOTHING = 0,  /* clients need no certificate */
    WEFT_TLS_ASK_OPTIONAL = 1, /* one that is sent must be right */
    WEFT_TLS_ASK_REQUIRED = 2  /* without one there is no connection */
} weft_tls_ask;

typedef enum weft_tls_version { WEFT_TLS_1_2 = 0x0303, WEFT_TLS_1_3 = 0x0304 } weft_tls_version;

/*
 * Chooses a server's context by the name that a client asks for. Called in the middle of a
 * handshake; must not wait.
 *
 * name         "" when the client gave none
 * ret_context  out: the context to go on with, a server's, counted for the connection (see
 *              weft_tls_context_ref); left alone, the connection keeps the one it began with
 *
 * Returns 0; a negative number refuses the connection (alert unrecognized_name).
 */
typedef int weft_tls_choose_fn(void *arg, const char *name, weft_tls_context **ret_context);

/* Zero means the default, everywhere. Texts and bytes are PEM, borrowed for the call alone. */
typedef struct weft_tls_options {
    weft_tls_role role;

    /* Whom we trust. Clients: none of the three is the system's store. */
    const char *ca_file; /* certificates, one after the other */
    const char *ca_dir;  /* a folder prepared by openssl-rehash(1) */
    weft_bytes ca_pem;
    unsigned insecure; /* 1: any certificate of anybody is accepted: only for experiments */

    /* Who we are; servers must say it, clients may. */
    const char *cert_file; /* certificate, then those between it and the authority */
    weft_bytes cert_pem;   /* the same, in memory */
    const char *key_file;  /* NULL and no key_pem: the key is beside the certificate */
    weft_bytes key_pem;
    const char *key_password; /* of an encrypted key; nobody is ever asked for one */

    /* Protocols of the layer above (ALPN), the best first: {"h2", "http/1.1", NULL}. Without one
     * in common the handshake fails; a peer that names none is accepted. */
    const char *const *alpn;

    /* Servers. */
    weft_tls_ask ask; /* for certificates; needs one of ca_file, ca_dir, ca_pem, or insecure */
    weft_tls_choose_fn *choose;
    void *choose_arg;

    /* Sessions are resumed: clients keep the newest tickets of 256 hosts, servers keep nothing. */
    unsigned no_sessions; /* 1: each handshake is a full one */

    weft_tls_version version_min; /* 0: 1.2 */
    weft_tls_version version_max; /* 0: the newest there is */
    const char *ciphers;          /* of TLS 1.2, in the language of openssl-ciphers(1) */
    const char *ciphersuites;     /* of TLS 1.3, names with colons between */

    unsigned ktls; /* 1: let the kernel encrypt, where it can, on sockets; the log says (once, at
                      level INFO) when it does not */
} weft_tls_options;

WEFT_BEGIN_DECLS

/* ---- Contexts ------------------------------------------------------------------------------ */

/*
 * weft_tls_context_new - make a context
 *
 * To reload certificates make a new one: connections that there are keep theirs.
 *
 * ret_context  out: counted once, for the caller
 * options      NULL for a client with the defaults
 *
 * Returns  0; -ENOMEM; -EINVAL for options that contradict each other; -ENOENT, -EACCES... for
 *          files; WEFT_E_TLS for what is in them, a key that does not belong to the certificate,
 *          unknown ciphers. weft_error_text() says which
 * Waits    no, but reads files, the system's store is some 200 KB: blocks for milliseconds. Do it
 *          before weft_run, or in weft_blocking
 * Threads  any
 * Source   ssl.SSLContext, SSL_CTX_new(3)
 */
int weft_tls_context_new(weft_tls_context **ret_context, const weft_tls_options *options);

/*
 * weft_tls_context_ref - count a context once more
 *
 * Returns  context
 * Waits    no
 * Threads  any that holds a count
 * Source   SSL_CTX_up_ref(3)
 */
weft_tls_context *weft_tls_context_ref(weft_tls_context *context);

/*
 * weft_tls_context_unref - give a count back; with the last one, connections' included, it ends
 *
 * context  may be NULL
 *
 * Waits    no
 * Threads  any that holds a count
 * Source   SSL_CTX_free(3)
 */
void weft_tls_context_unref(weft_tls_context *context);

/* ---- Connections --------------------------------------------------------------------------- */

/*
 * weft_tls_client - shake hands as a client, and open a TLS stream
 *
 * tls      out: an open stream on success
 * inner    an open stream, which nobody else uses from now on; what is in its read buffer is read
 *          first (STARTTLS)
 * context  a client's; counted for the connection
 * host     who the peer must be: a DNS name, which is also sent to it (SNI), or an IP address, as
 *          one of its certificate's alternative names. NULL for nobody in particular, with
 *          .insecure alone
 *
 * Returns  0: inner is the TLS stream's until that is closed. On failure inner is still the
 *          caller's, to close. WEFT_E_TLS_VERIFY for a certificate that was not accepted, and
 *          WEFT_E_TLS, with weft_error_text() saying why; WEFT_E_TLS_CUT when the peer hung up;
 *          -EINVAL; -ENOMEM; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first; errors
 *          of inner
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns inner
 * Source   asyncio loop.start_tls, SSL_connect(3), RFC 8446
 */
WEFT_WAITS int weft_tls_client(weft_stream *tls, weft_stream *inner, weft_tls_context *context,
                               const char *host);

/*
 * weft_tls_server - shake hands as a server, and open a TLS stream
 *
 * context  a server's; counted for the connection
 *
 * The other parameters as for weft_tls_client.
 *
 * Returns  as weft_tls_client; a client that does not accept our certificate is WEFT_E_TLS, with
 *          TLS 1.3 perhaps at the first read only
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns inner
 * Source   asyncio loop.start_tls(server_side=True), SSL_accept(3)
 */
WEFT_WAITS int weft_tls_server(weft_stream *tls, weft_stream *inner, weft_tls_context *context);

/*
 * TLS streams, where stream.h leaves something to the transport:
 *
 * Reading gives 0 when the peer has said good-bye (close_notify), and WEFT_E_TLS_CUT when the
 * connection ended without: what came may be only a part. WEFT_E_TLS is an alert of the peer, or
 * garbage. After such a failure, or one of the stream below, every call returns it again.
 *
 * weft_stream_shutdown says good-bye and shuts the stream below down; reading goes on. Closing
 * without it leaves the peer with a connection that was cut.
 *
 * weft_stream_raw gives the descriptor only while the kernel encrypts what is sent (.ktls).
 */

/* ---- What was agreed ----------------------------------------------------------------------- */

/*
 * weft_tls_alpn - the protocol that was chosen for the layer above
 *
 * Returns  its name, "" when none was; the stream's, until it is closed. NULL when stream is not an
 *          open TLS stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   RFC 7301, ssl.SSLSocket.selected_alpn_protocol
 */
const char *weft_tls_alpn(const weft_stream *stream);

/*
 * weft_tls_server_name - the name that the client asked for
 *
 * Returns  the name, "" when it gave none; the stream's, until it is closed. NULL when stream is
 *          not an open TLS stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   RFC 6066, SSL_get_servername(3)
 */
const char *weft_tls_server_name(const weft_stream *stream);

/*
 * weft_tls_protocol - the version of TLS that is spoken
 *
 * Returns  constant text: "TLSv1.3"; NULL when stream is not an open TLS stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   SSL_get_version(3)
 */
const char *weft_tls_protocol(const weft_stream *stream);

/*
 * weft_tls_cipher - the cipher that is used
 *
 * Returns  constant text: "TLS_AES_256_GCM_SHA384"; NULL when stream is not an open TLS stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   SSL_get_cipher_name(3)
 */
const char *weft_tls_cipher(const weft_stream *stream);

/*
 * weft_tls_resumed - whether an earlier session was gone on with
 *
 * Returns  1 or 0; -EBADF when stream is not an open TLS stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   SSL_session_reused(3)
 */
int weft_tls_resumed(const weft_stream *stream);

/*
 * weft_tls_ktls - what the kernel encrypts and decrypts for this connection
 *
 * Returns  of WEFT_STREAM_READ and WEFT_STREAM_WRITE, added; -EBADF when stream is not an open TLS
 *          stream
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   BIO_get_ktls_send(3)
 */
int weft_tls_ktls(const weft_stream *stream);

/*
 * weft_tls_peer_name - whom the peer's certificate is for: its first DNS name, else its common name
 *
 * buf      out: up to len - 1 bytes, always ends in a zero byte
 * len      1 or more
 *
 * Returns  length of the name, even when buf was too short for it; -ENOENT when the peer showed no
 *          certificate, or one without a name, or with a zero byte in it; -EBADF when stream is not
 *          an open TLS stream; -ENOMEM
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   RFC 6125, ssl.SSLSocket.getpeercert
 */
int weft_tls_peer_name(const weft_stream *stream, char *buf, size_t len);

/*
 * weft_tls_peer_subject - the subject of the peer's certificate
 *
 * buf, len  as for weft_tls_peer_name; text like "CN=ann,O=Example"
 *
 * Returns  as weft_tls_peer_name
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   RFC 2253
 */
int weft_tls_peer_subject(const weft_stream *stream, char *buf, size_t len);

WEFT_END_DECLS

#endif

/*
 * tls_bio.c - how OpenSSL reads from and writes to the stream below.
 *
 * Nothing here waits: the functions of the transport below are called directly, never those of
 * stream.h, because OpenSSL keeps state of the thread (its queue of errors) that another task must
 * not find. Reading says "try again" when inner has nothing. Writing always succeeds: what inner
 * does not take stays in `out`, and goes first the next time. So a task that reads and another one
 * that writes may share the connection, and no write has to be repeated with the same bytes.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <weft/error.h>

#include "base/sys.h"
#include "io/tls_priv.h"

#define OUT_MIN ((size_t)2048)

/* Controls that OpenSSL sends to BIOs of sockets; bio.h has their numbers in a comment alone. */
#define CTRL_SET_KTLS 72
#define CTRL_MARK_MESSAGE 74
#define CTRL_UNMARK_MESSAGE 75

/* ---- Out ----------------------------------------------------------------------------------- */

static void
out_drop(struct weft__tls *tls)
{
    weft_memory_free(tls->out);
    tls->out = NULL;
    tls->out_begin = tls->out_end = tls->out_cap = 0;
}

/* Some of the bytes, at least one; -EAGAIN; an error. */
static ssize_t
inner_write(struct weft__tls *tls, const void *bytes, size_t len)
{
    if (tls->inner->transport == NULL)
        return -EBADF;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    return tls->inner->transport->try_writev(tls->inner, &vector, 1);
}

int
weft__tls_flush(struct weft__tls *tls)
{
    while (tls->out_begin < tls->out_end) {
        ssize_t n = inner_write(tls, tls->out + tls->out_begin, tls->out_end - tls->out_begin);
        if (n < 0)
            return (int)n;
        tls->out_begin += (size_t)n;
    }
    if (tls->out != NULL)
        out_drop(tls);
    return 0;
}

static int
out_add(struct weft__tls *tls, const unsigned char *bytes, size_t len)
{
    if (len > tls->out_cap - tls->out_end && tls->out_begin > 0) {
        tls->out_end -= tls->out_begin;
        memmove(tls->out, tls->out + tls->out_begin, tls->out_end);
        tls->out_begin = 0;
    }
    if (len > tls->out_cap - tls->out_end) {
        size_t cap = tls->out_cap * 2 > OUT_MIN ? tls->out_cap * 2 : OUT_MIN;
        if (cap - tls->out_end < len)
            cap = tls->out_end + len;
        unsigned char *larger = weft_memory_resize(tls->out, cap);
        if (larger == NULL)
            return -ENOMEM;
        tls->out = larger;
        tls->out_cap = cap;
    }
    memcpy(tls->out + tls->out_end, bytes, len);
    tls->out_end += len;
    return 0;
}

static int
write_all(struct weft__tls *tls, const unsigned char *bytes, size_t len)
{
    size_t written = 0;
    int rc = weft__tls_flush(tls);
    while (rc == 0 && written < len) {
        ssize_t n = inner_write(tls, bytes + written, len - written);
        if (n < 0)
            rc = (int)n;
        else
            written += (size_t)n;
    }
    return rc == -EAGAIN ? out_add(tls, bytes + written, len - written) : rc;
}

/* ---- In ------------------------------------------------------------------------------------ */

static ssize_t
inner_read(struct weft__tls *tls, void *buf, size_t len)
{
    if (tls->inner->transport == NULL)
        return -EBADF;
    if (tls->mixed) {
        weft_bytes bytes = weft_stream_buffered(tls->inner);
        if (bytes.len > 0) {
            if (len > bytes.len)
                len = bytes.len;
            memcpy(buf, bytes.data, len);
            weft_stream_consume(tls->inner, len);
            return (ssize_t)len;
        }
        tls->mixed = false; /* it stays empty: nobody else reads */
    }
    return tls->inner->transport->try_read(tls->inner, buf, len);
}

/* ---- The kernel's TLS ---------------------------------------------------------------------- */

/* Once the kernel encrypts or decrypts, OpenSSL's own BIO of the socket does what that takes. */
static bool
by_kernel(const struct weft__tls *tls, unsigned what)
{
    return tls->socket != NULL && (weft__tls_ktls_state(tls) & what) != 0;
}

unsigned
weft__tls_ktls_state(const struct weft__tls *tls)
{
    if (tls->socket == NULL)
        return 0;
    return (BIO_get_ktls_send(tls->socket) > 0 ? WEFT_STREAM_WRITE : 0u) |
           (BIO_get_ktls_recv(tls->socket) > 0 ? WEFT_STREAM_READ : 0u);
}

/* A result of the socket's BIO as one of ours. */
static ssize_t
socket_result(const struct weft__tls *tls, int n)
{
    if (n > 0)
        return n;
    if (BIO_should_retry(tls->socket))
        return -EAGAIN;
    return n == 0 ? 0 : errno != 0 ? -errno : -EIO;
}

/* Data is a stream for the kernel, which makes records of it as it likes, so `out` can hold the
 * rest. An alert is one message, marked by OpenSSL as such: it goes whole, or is tried again. */
static int
kernel_write(struct weft__tls *tls, const unsigned char *bytes, size_t len)
{
    if (!tls->marked)
        return write_all(tls, bytes, len);
    int rc = weft__tls_flush(tls);
    if (rc < 0)
        return rc;
    struct weft__sys_hush hush; /* OpenSSL writes as if there were no SIGPIPE */
    weft__sys_hush(&hush);
    errno = 0;
    ssize_t n = socket_result(tls, BIO_write(tls->socket, bytes, (int)len));
    weft__sys_unhush(&hush, n);
    if (n < 0)
        return (int)n;
    tls->marked = false;
    return 0;
}

static ssize_t
kernel_read(struct weft__tls *tls, void *buf, size_t len)
{
    errno = 0;
    return socket_result(tls, BIO_read(tls->socket, buf, (int)(len < INT_MAX ? len : INT_MAX)));
}

/* ---- The BIO ------------------------------------------------------------------------------- */

static int
on_write(BIO *bio, const char *bytes, size_t len, size_t *ret_written)
{
    struct weft__tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len == 0 || tls->shut) { /* after the good-bye nothing may follow */
        *ret_written = len;
        return 1;
    }
    const unsigned char *at = (const unsigned char *)bytes;
    unsigned long error = ERR_peek_error();
    int rc =
        by_kernel(tls, WEFT_STREAM_WRITE) ? kernel_write(tls, at, len) : write_all(tls, at, len);
    /* An alert: it must still be known what it is about when inner, which may be TLS too, has
     * forgotten the errors of the thread. */
    if (error != 0 && ERR_peek_error() == 0)
        ERR_raise(ERR_GET_LIB(error), ERR_GET_REASON(error));
    if (rc == 0) {
        *ret_written = len;
        return 1;
    }
    if (rc == -EAGAIN)
        BIO_set_retry_write(bio);
    else
        tls->io_error = rc;
    return -1;
}

static int
on_read(BIO *bio, char *buf, size_t len, size_t *ret_read)
{
    struct weft__tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len == 0)
        return 0;
    if (tls->reads == WEFT__TLS_READS_MAX || tls->out_end - tls->out_begin > WEFT__TLS_OUT_MAX) {
        BIO_set_retry_read(bio);
        return -1;
    }
    tls->reads++;
    ssize_t n =
        by_kernel(tls, WEFT_STREAM_READ) ? kernel_read(tls, buf, len) : inner_read(tls, buf, len);
    if (n > 0) {
        *ret_read = (size_t)n;
        return 1;
    }
    if (n == 0) {
        tls->ended = true;
        return 0;
    }
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else
        tls->io_error = (int)n;
    return -1;
}

static long
start_ktls(struct weft__tls *tls, long number, void *pointer)
{
    /* Bytes that are here are not the kernel's to decrypt, or to overtake. */
    if (tls->out_end > tls->out_begin || tls->mixed)
        return 0;
    errno = 0;
    long rc = BIO_ctrl(tls->socket, CTRL_SET_KTLS, number, pointer);
    if (rc <= 0)
        tls->ktls_error = errno != 0 ? -errno : -EOPNOTSUPP;
    return rc;
}

static long
on_control(BIO *bio, int command, long number, void *pointer)
{
    struct weft__tls *tls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return tls->ended;
    case BIO_CTRL_WPENDING:
        return (long)(tls->out_end - tls->out_begin);
    case CTRL_SET_KTLS:
        return tls->socket != NULL ? start_ktls(tls, number, pointer) : 0;
    case CTRL_MARK_MESSAGE:
    case CTRL_UNMARK_MESSAGE:
        tls->marked = command == CTRL_MARK_MESSAGE;
        return tls->socket != NULL ? BIO_ctrl(tls->socket, command, number, pointer) : 0;
    case BIO_CTRL_GET_KTLS_SEND:
    case BIO_CTRL_GET_KTLS_RECV:
        return tls->socket != NULL ? BIO_ctrl(tls->socket, command, number, pointer) : 0;
    default:
        return 0;
    }
}

static BIO_METHOD *method; /* written once, before anybody reads it */

static void
method_make(void)
{
    int type = BIO_get_new_index();
    BIO_METHOD *made = type < 0 ? NULL : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "weft stream");
    if (made == NULL)
        return;
    BIO_meth_set_write_ex(made, on_write);
    BIO_meth_set_read_ex(made, on_read);
    BIO_meth_set_ctrl(made, on_control);
    method = made; /* kept for the life of the process, as OpenSSL keeps its own */
}

struct bio_st *
weft__tls_bio_new(struct weft__tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, method_make);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}

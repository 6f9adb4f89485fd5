/*
 * test_tls_torture.c - TLS conversations in which one thing goes wrong, each time another one.
 *
 * Whatever happens, a conversation ends, leaves nothing behind, and no byte arrives that was not
 * counted as written, nor in another place. OpenSSL's own allocations are not made to fail.
 */
#include <string.h>

#include <openssl/err.h>

#include <weft/scope.h>
#include <weft/stream.h>
#include <weft/time.h>
#include <weft/tls.h>

#include "io/t_io.h"
#include "t_cert.h"

TestSuite(tls_torture, .timeout = 180);

#define SAYS 30000u

static weft_tls_context *contexts[2]; /* by role; made before anything goes wrong */

struct end {
    weft_stream inner, stream;
    bool open;
    size_t said, heard;
    uint64_t seed;
    int send_rc, receive_rc;
};

struct talk {
    bool tcp;
    struct end ends[2]; /* by role */
    bool wrong;
};

static struct talk *now;

static int
end_send(void *arg)
{
    struct end *end = arg;
    unsigned char bytes[4000];
    int rc = 0;
    while (rc == 0 && end->said < SAYS) {
        size_t len = SAYS - end->said < sizeof bytes ? SAYS - end->said : sizeof bytes, n = 0;
        t_bytes_make(bytes, len, end->seed, end->said);
        rc = weft_stream_write_all(&end->stream, bytes, len, &n);
        end->said += n;
    }
    return rc < 0 ? rc : weft_stream_shutdown(&end->stream);
}

static int
end_receive(void *arg)
{
    struct end *end = arg;
    const struct end *other = &now->ends[end == &now->ends[0]];
    unsigned char bytes[3000];
    ssize_t n;
    while ((n = weft_stream_read(&end->stream, bytes, sizeof bytes)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, other->seed, end->heard))
            now->wrong = true;
        end->heard += (size_t)n;
    }
    return (int)n;
}

static int
end_main(void *arg)
{
    struct end *end = arg;
    int role = end == &now->ends[1];
    int rc = role == WEFT_TLS_CLIENT
                 ? weft_tls_client(&end->stream, &end->inner, contexts[role], "localhost")
                 : weft_tls_server(&end->stream, &end->inner, contexts[role]);
    if (rc == 0) {
        end->open = true;
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, end_send, end);
        weft_group_spawn(&group, end_receive, end);
        rc = weft_group_close(&group);
        weft_stream_close(&end->stream);
    }
    weft_stream_close(&end->inner); /* a handshake that failed has left it to us */
    return rc;
}

static int
over_tcp(struct talk *talk)
{
    weft_address address;
    weft_fd listener, fds[2];
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    int rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc < 0)
        return rc;
    rc = weft_fd_local_address(&listener, &address);
    if (rc == 0)
        rc = weft_tcp_connect(&fds[0], &address);
    if (rc == 0) {
        rc = weft_tcp_accept(&listener, &fds[1], NULL);
        if (rc < 0)
            weft_fd_close(&fds[0]);
    }
    weft_fd_close(&listener);
    for (int i = 0; rc == 0 && i < 2; i++) {
        int raw = weft_fd_release(&fds[i]);
        rc = weft_stream_open_fd(&talk->ends[i].inner, raw);
        if (rc < 0) {
            close(raw);
            if (i == 0)
                weft_fd_close(&fds[1]);
            else
                weft_stream_close(&talk->ends[0].inner);
        }
    }
    return rc;
}

static int
talk_main(void *arg)
{
    struct talk *talk = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = talk->tcp ? over_tcp(talk)
                       : weft_stream_open_pair(&talk->ends[0].inner, &talk->ends[1].inner, 2000);
    if (rc == 0) {
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, end_main, &talk->ends[0]);
        weft_group_spawn(&group, end_main, &talk->ends[1]);
        rc = weft_group_close(&group);
        for (int i = 0; i < 2; i++) /* a child cancelled before its start closes nothing */
            weft_stream_close(&talk->ends[i].inner);
    }
    weft_scope_close(&scope);
    cr_assert(ERR_peek_error() == 0, "OpenSSL's errors were left in the thread");
    return rc;
}

static void
talk_run(void *arg)
{
    struct talk talk = {.tcp = *(bool *)arg};
    talk.ends[0].seed = 1;
    talk.ends[1].seed = 2;
    now = &talk;
    int rc = weft_run(talk_main, &talk, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE});
    cr_assert(!talk.wrong, "a byte out of its place");
    for (int i = 0; i < 2; i++) {
        cr_assert(talk.ends[i].heard <= talk.ends[1 - i].said, "%zu bytes said, %zu heard",
                  talk.ends[1 - i].said, talk.ends[i].heard);
        cr_assert(rc < 0 || talk.ends[i].heard == SAYS);
    }
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    if (contexts[0] == NULL) {
        T_OK(weft_tls_context_new(&contexts[0],
                                  &(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca)}));
        T_OK(weft_tls_context_new(
            &contexts[1], &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                              .no_sessions = 1,
                                              .cert_pem = t_cert_with_key(&t_certs()->server)}));
    }
    for (int i = 0; i < 2; i++) {
        bool tcp = i == 1;
        if (kind == WEFT__TORTURE_SYSCALL && !tcp)
            continue;
        uint64_t visited = t_torture_run(&(struct t_torture){.kind = kind,
                                                             .from_on = from_on,
                                                             .error = error,
                                                             .max = 200 / T_SLOW,
                                                             .scenario = talk_run,
                                                             .arg = &tcp});
        cr_assert(visited >= 3, "only %lu points", (unsigned long)visited);
    }
}

Test(tls_torture, any_wait_is_cancelled)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
}

Test(tls_torture, any_wait_runs_into_a_deadline)
{
    torture(WEFT__TORTURE_DEADLINE, false, 0);
    torture(WEFT__TORTURE_DEADLINE, true, 0);
}

Test(tls_torture, any_allocation_fails)
{
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
}

Test(tls_torture, any_system_call_fails)
{
    static const int errors[] = {EMFILE, ENOBUFS, ECONNRESET, EPIPE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        torture(WEFT__TORTURE_SYSCALL, false, errors[i]);
        torture(WEFT__TORTURE_SYSCALL, true, errors[i]);
    }
}

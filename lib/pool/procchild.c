/*
 * procchild.c - inside a child: a clean process, and the loop that answers requests.
 *
 * A child has one thread and one descriptor of ours, its socket, number 3. It is either between
 * two requests or in the handler; it never waits for anything but its parent.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "pool/pool_priv.h"
#include "pool/pool_sys.h"

/* So much of a request is read at once; between two such pieces a child of a test may die. */
#define PIECE_BYTES ((size_t)1 << 20)

#ifdef WEFT_TEST

#include "base/atomic.h"

uint32_t *weft__procchild_die_at;

static void
stage(uint32_t reached)
{
    uint32_t *word = weft__procchild_die_at;
    /* pairs with the test's store; several children may come here, one dies */
    if (word != NULL && weft__cas(word, reached, WEFT__PROCCHILD_LIVE)) {
        (void)raise(SIGKILL);
    }
}

static bool
stage_is(uint32_t named)
{
    return weft__procchild_die_at != NULL && weft__load(weft__procchild_die_at) == named;
}

/* Leaves a part of the frame in the socket, if a child is to die that way. */
static void
stage_half_reply(const struct weft__frame_out *out, int fd)
{
    if (!stage_is(WEFT__PROCCHILD_AT_HALF_REPLY))
        return;
    size_t len = out->part[0].len;
    weft_ignore(weft__sys_send(fd, out->head, len > 0 ? sizeof out->head : 8, 0));
    if (len > 0)
        weft_ignore(weft__sys_send(fd, out->part[0].data, len / 2, 0));
    stage(WEFT__PROCCHILD_AT_HALF_REPLY);
}

#else

#define stage(reached) ((void)0)
#define stage_is(named) false
#define stage_half_reply(out, fd) ((void)0)

#endif

static void
close_above(unsigned last_kept)
{
    if (weft__sys_close_range(last_kept + 1, ~0u) == 0)
        return;
    /* An old kernel. The folder's own descriptor is among them: collect first, close then. */
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        for (int fd = (int)last_kept + 1; fd < 65536; fd++)
            weft__sys_close(fd);
        return;
    }
    int top = (int)last_kept;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int fd = atoi(entry->d_name);
        top = fd > top ? fd : top;
    }
    (void)closedir(folder);
    for (int fd = (int)last_kept + 1; fd <= top; fd++)
        weft__sys_close(fd);
}

/* The handlers of a program's own faults stay: weft's message about a stack that overflowed, and
 * the sanitizers' reports, are as good in a child. */
static bool
is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
}

void
weft__procchild_setup(int fd, pid_t parent, const char *name)
{
    weft_ignore(weft__sys_prctl(PR_SET_PDEATHSIG, SIGKILL));
    /* The parent may have ended before it could be asked for its death. */
    if (getppid() != parent)
        _exit(0);
    weft_ignore(weft__sys_prctl(PR_SET_NAME, (unsigned long)(uintptr_t)name));

    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        if (!is_fault(number))
            (void)sigaction(number, &plain, NULL); /* refused for two, and for libc's own */
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);

    /* Not weft__sys_: a child that cannot keep its socket must end, not report. */
    if (dup2(fd, 3) < 0)
        _exit(1);
    (void)fcntl(3, F_SETFD, FD_CLOEXEC);
    close_above(3);
    /* Stays open on exec, as it may be one of the three itself. */
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return;
    /* Standard input is the parent's to read. The other two exist in any case, so that no socket
     * ever gets their number and somebody's messages. */
    (void)dup2(null, 0);
    for (int standard = 1; standard <= 2; standard++)
        if (fcntl(standard, F_GETFD) < 0)
            (void)dup2(null, standard);
    if (null > 3)
        weft__sys_close(null);
}

static int
reply_send(int fd, int status, weft_buf *reply)
{
    if (reply->len > WEFT_PROCPOOL_BYTES_MAX) {
        weft_buf_free(reply);
        status = -EMSGSIZE;
    }
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REPLY, status, (weft_bytes){reply->data, reply->len},
                         (weft_bytes){0});
    stage_half_reply(&out, fd);
    int rc = weft__frame_send(&out, fd);
    weft_buf_free(reply);
    return rc;
}

static int
request_receive(struct weft__frame_in *in, int fd)
{
    for (;;) {
        int rc = weft__frame_receive(in, fd, PIECE_BYTES);
        if (in->got > 0 && rc != 1)
            stage(WEFT__PROCCHILD_AT_READING);
        if (rc != -EAGAIN)
            return rc;
    }
}

int
weft__procchild_serve(int fd, weft_procpool_handler *handler)
{
    stage(WEFT__PROCCHILD_AT_SPAWN);
    struct weft__frame_out hello;
    weft__frame_out_open(&hello, WEFT__FRAME_HELLO, 0, (weft_bytes){0}, (weft_bytes){0});
    int rc = weft__frame_send(&hello, fd);

    struct weft__frame_in in = {0};
    while (rc == 0 && (rc = request_receive(&in, fd)) == 1) {
        stage(WEFT__PROCCHILD_AT_READING); /* of a request that came in one piece */
        stage(WEFT__PROCCHILD_AT_RUNNING);
        bool last = stage_is(WEFT__PROCCHILD_AT_REPLY); /* of this one, not of the next */
        if (in.kind != WEFT__FRAME_REQUEST) {
            rc = -EPROTO;
            break;
        }
        weft_buf reply = {0};
        int status = in.lost;
        if (status == 0)
            status = handler((weft_bytes){in.body.data, in.body.len}, &reply);
        weft__frame_in_reset(&in);
        rc = reply_send(fd, status, &reply);
        if (last)
            stage(WEFT__PROCCHILD_AT_REPLY);
    }
    weft__frame_in_reset(&in);
    return rc;
}

int
weft_procpool_serve(int fd, weft_procpool_handler *handler)
{
    int type;
    int rc = weft__sys_getsockopt_int(fd, SOL_SOCKET, SO_TYPE, &type);
    if (rc < 0)
        return weft_error_note(rc, "descriptor %d is not the socket of a pool: %s", fd,
                               "the program is meant to be started by one");
    if (type != SOCK_STREAM)
        return weft_error_note(-EPROTOTYPE, "descriptor %d is not the socket of a pool", fd);
    if ((rc = weft__sys_fcntl_getfl(fd)) < 0 ||
        (rc = weft__sys_fcntl_setfl(fd, rc & ~O_NONBLOCK)) < 0)
        return rc;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    weft_ignore(weft__sys_prctl(PR_SET_NAME, (unsigned long)(uintptr_t) "weft-worker"));
    /* Were the parent dead already, this would come too late; but then its end of the socket is
     * closed, and the first read says so. */
    weft_ignore(weft__sys_prctl(PR_SET_PDEATHSIG, SIGKILL));
    return weft__procchild_serve(fd, handler);
}

/*
 * handover.c - listening sockets go from a server to its successor, without a gap.
 *
 * They meet at a Unix socket of type SOCK_SEQPACKET. The successor greets; the server answers with
 * a message for each socket, which carries its descriptor. The successor says which it has taken
 * once it accepts, and the server stops then. Until that message nothing has changed for the
 * server: a successor that dies, or closes, was none. Both must be the same user, or root.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <weft/error.h>
#include <weft/fd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "io/server_priv.h"

#define GREETING "weft-ho1"
#define GREETING_BYTES 8
#define ANSWER_WITHIN WEFT_SEC(10)  /* the server */
#define DECIDE_WITHIN WEFT_SEC(120) /* the successor: it may have much to load */
#define SOCKETS_MAX 65536u

struct answer {
    char greeting[GREETING_BYTES];
    uint32_t index;
    uint32_t total; /* 0: the message has no descriptor */
    char text[WEFT__LISTEN_TEXT_BYTES];
};

/* ---- Messages ------------------------------------------------------------------------------- */

static int
send_message(weft_fd *channel, const void *bytes, size_t len, int raw)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (raw >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof raw);
        memcpy(CMSG_DATA(header), &raw, sizeof raw);
    }
    for (;;) {
        ssize_t n = weft__sys_sendmsg(weft_fd_raw(channel), &message, MSG_DONTWAIT);
        if (n != -EAGAIN)
            return n < 0 ? (int)n : 0;
        int rc = weft_fd_wait_writable(channel);
        if (rc < 0)
            return rc;
    }
}

/* Bytes of the message, 0 at the end; with it a descriptor, or -1. */
static ssize_t
receive_message(weft_fd *channel, void *bytes, size_t len, int *ret_raw)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_LEN(sizeof(int))]; /* without padding, in which another one had room */
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = len};
    struct msghdr message;
    ssize_t n;
    int raw = -1;
    for (;;) {
        message = (struct msghdr){.msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof control.bytes};
        n = weft__sys_recvmsg(weft_fd_raw(channel), &message, MSG_DONTWAIT);
        if (n != -EAGAIN)
            break;
        int rc = weft_fd_wait_readable(channel);
        if (rc < 0)
            return rc;
    }
    if (n < 0)
        return n;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof raw))
        memcpy(&raw, CMSG_DATA(header), sizeof raw);
    int rc = 0;
    if (message.msg_flags & MSG_CTRUNC)
        rc = -EMFILE; /* no number was free for it */
    else if ((message.msg_flags & MSG_TRUNC) || (raw >= 0 && ret_raw == NULL))
        rc = -EPROTO;
    if (rc < 0) {
        if (raw >= 0)
            weft__sys_close(raw);
        return rc;
    }
    if (ret_raw != NULL)
        *ret_raw = raw;
    return n;
}

static bool
same_user(int raw)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(raw, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* ---- The successor -------------------------------------------------------------------------- */

static int
receive_sockets(weft_fd *channel, struct weft__heir *heir)
{
    int rc = send_message(channel, GREETING, GREETING_BYTES, -1);
    uint32_t total = 1;
    for (uint32_t i = 0; rc == 0 && i < total; i++) {
        struct answer answer;
        int raw = -1;
        ssize_t n = receive_message(channel, &answer, sizeof answer, &raw);
        if (n < 0)
            return (int)n;
        bool sane = n == (ssize_t)sizeof answer && answer.index == i &&
                    memcmp(answer.greeting, GREETING, GREETING_BYTES) == 0 &&
                    answer.total <= SOCKETS_MAX && (i == 0 || answer.total == total) &&
                    (raw >= 0) == (answer.total > 0);
        if (!sane)
            rc = n == 0 ? -ECONNRESET : -EPROTO;
        if (rc == 0 && i == 0 && answer.total > 0) {
            total = answer.total;
            /* With room for the answer, so that it cannot fail for want of memory. */
            heir->looms =
                weft__alloc_zeroed(total * (sizeof *heir->looms + sizeof(char)) + GREETING_BYTES);
            if (heir->looms == NULL)
                rc = -ENOMEM;
        }
        if (rc < 0) {
            if (raw >= 0)
                weft__sys_close(raw);
            return rc;
        }
        if (answer.total == 0)
            break;
        struct weft__heirloom *loom = &heir->looms[heir->n++];
        loom->raw = raw;
        memcpy(loom->text, answer.text, sizeof loom->text);
        loom->text[sizeof loom->text - 1] = '\0';
    }
    return rc;
}

/* A channel to the server at a path, raw; -1 when there is none. */
static int
connect_to(const char *path, int *ret_raw)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int rc;
    do {
        int raw = weft__sys_socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (raw < 0)
            return raw;
        rc = weft__sys_connect(raw, (struct sockaddr *)(void *)&address, sizeof address);
        if (rc == 0) {
            *ret_raw = raw;
            return 0;
        }
        weft__sys_close(raw);
        if (rc == -EAGAIN || rc == -EINTR) { /* its queue is full */
            int slept = weft_sleep(WEFT_MS(10));
            if (slept < 0)
                return slept;
        }
    } while (rc == -EAGAIN || rc == -EINTR);
    *ret_raw = -1;
    return rc == -ENOENT || rc == -ECONNREFUSED ? 0 : rc;
}

static int
ask(const char *path, struct weft__heir *heir)
{
    int raw = -1;
    int rc = connect_to(path, &raw);
    if (rc < 0 || raw < 0)
        return rc;
    weft_fd channel;
    if (!same_user(raw)) {
        weft__sys_close(raw);
        return -EACCES;
    }
    rc = weft_fd_open(&channel, raw);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    rc = receive_sockets(&channel, heir);
    raw = weft_fd_release(&channel);
    if (rc < 0) {
        weft__sys_close(raw);
        weft__heir_close(heir);
        return rc;
    }
    heir->channel = raw;
    return 0;
}

int
weft__handover_ask(const char *path, struct weft__heir *heir)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + ANSWER_WITHIN);
    int rc = ask(path, heir);
    while (rc == -ECONNRESET || rc == -EPIPE) { /* it was just taken over: the next one is there */
        rc = weft_sleep(WEFT_MS(10));           /* or it knows nothing better than to hang up */
        if (rc == 0)
            rc = ask(path, heir);
    }
    if (weft_scope_close(&scope) == -ETIMEDOUT && rc == -ETIMEDOUT)
        rc = -ETIME;
    if (rc < 0 && rc != -ECANCELED && rc != -ETIMEDOUT)
        weft_error_note(rc, "the server at '%s' did not hand its sockets over: %s", path,
                        weft_strerror(rc));
    return rc;
}

void
weft__handover_take(struct weft__heir *heir)
{
    if (heir->channel < 0)
        return;
    char none[GREETING_BYTES];
    char *bytes = heir->n > 0 ? (char *)&heir->looms[heir->n] : none;
    memcpy(bytes, GREETING, GREETING_BYTES);
    for (size_t i = 0; i < heir->n; i++)
        bytes[GREETING_BYTES + i] = heir->looms[i].taken;
    /* One message, the first that we write after the greeting: there is room for it. */
    (void)weft__sys_send(heir->channel, bytes, GREETING_BYTES + heir->n, MSG_DONTWAIT);
    weft__heir_close(heir);
}

void
weft__heir_close(struct weft__heir *heir)
{
    if (heir->channel >= 0)
        weft__sys_close(heir->channel);
    for (size_t i = 0; i < heir->n; i++) {
        if (heir->looms[i].raw >= 0)
            weft__sys_close(heir->looms[i].raw);
    }
    weft__free(heir->looms);
    *heir = (struct weft__heir){.channel = -1};
}

/* ---- The server ----------------------------------------------------------------------------- */

int
weft__handover_listen(struct weft_server *server)
{
    char path[sizeof server->handover + 8];
    struct stat status;
    snprintf(path, sizeof path, "%s.new", server->handover);
    if (weft__sys_stat(server->handover, &status) == 0 && !S_ISSOCK(status.st_mode))
        return -EADDRINUSE; /* not ours to replace */
    int raw = weft__listen_unix(path, SOCK_SEQPACKET, 0600, 16, &server->handover_file);
    if (raw < 0)
        return raw;
    int rc = weft__sys_rename(path, server->handover);
    if (rc < 0) {
        weft__socket_file_remove(&server->handover_file);
        weft__sys_close(raw);
        return rc;
    }
    strcpy(server->handover_file.path, server->handover);
    return raw;
}

static int
send_sockets(struct weft_server *server, weft_fd *channel)
{
    const struct weft__listen *set = &server->listen;
    struct answer answer;
    uint32_t n = (uint32_t)set->n_listeners;
    for (uint32_t i = 0; i < n; i++) {
        const struct weft__listener *listener = &set->listeners[i];
        weft__lock(&server->lock); /* its loop may be about to close it */
        int raw = listener->raw < 0 ? -ESHUTDOWN : weft__sys_dup(listener->raw);
        weft__unlock(&server->lock);
        if (raw < 0)
            return raw;
        memset(&answer, 0, sizeof answer);
        memcpy(answer.greeting, GREETING, GREETING_BYTES);
        answer.index = i;
        answer.total = n;
        strcpy(answer.text, set->bounds[listener->bound].text);
        int rc = send_message(channel, &answer, sizeof answer, raw);
        weft__sys_close(raw);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Before the stop: those that accept look at it after the stop. */
static void
mark_taken(struct weft_server *server, const char *taken)
{
    struct weft__listen *set = &server->listen;
    weft__lock(&server->lock); /* one that accepts may be about to remove a file */
    for (size_t i = 0; i < set->n_listeners; i++) {
        if (taken[i]) {
            set->listeners[i].taken = true;
            set->bounds[set->listeners[i].bound].file.path[0] = '\0';
        }
    }
    weft__unlock(&server->lock);
    weft__store(&server->gone, 1); /* pairs with the load in accept_task */
}

/* 1 when the successor has taken over; 0 when it went away; an error, a cancellation. */
static int
answer_one(struct weft_server *server, weft_fd *channel)
{
    char greeting[GREETING_BYTES];
    size_t len = GREETING_BYTES + server->listen.n_listeners;
    if (!same_user(weft_fd_raw(channel)))
        return 0;
    ssize_t n = receive_message(channel, greeting, sizeof greeting, NULL);
    if (n >= 0 && (n != GREETING_BYTES || memcmp(greeting, GREETING, GREETING_BYTES) != 0))
        return 0;
    if (n < 0)
        return (int)n;
    char *bytes = weft__alloc(len); /* before it has them: what it says must be heard */
    if (bytes == NULL)
        return -ENOMEM;
    int rc = send_sockets(server, channel);
    n = rc < 0 ? rc : receive_message(channel, bytes, len, NULL);
    bool took = n == (ssize_t)len && memcmp(bytes, GREETING, GREETING_BYTES) == 0;
    if (took)
        mark_taken(server, bytes + GREETING_BYTES);
    weft__free(bytes);
    return n < 0 ? (int)n : took;
}

int
weft__handover_serve(struct weft_server *server, int raw)
{
    weft_fd listener, channel;
    int rc = weft_fd_open(&listener, raw);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    for (;;) {
        rc = weft_tcp_accept(&listener, &channel, NULL);
        if (rc == -EINTR)
            continue;
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS) {
            rc = weft_sleep(WEFT_MS(100));
            if (rc == 0)
                continue;
        }
        if (rc < 0)
            break;
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + DECIDE_WITHIN);
        rc = answer_one(server, &channel);
        weft_scope_close(&scope);
        weft_fd_close(&channel);
        if (rc > 0)
            break;
        /* What went wrong with one is told by its end; a cancellation, by the next accept. */
    }
    /* Ours, if no successor has replaced it; while we listen no other file can have its number. */
    weft__socket_file_remove(&server->handover_file);
    weft_fd_close(&listener);
    return rc;
}

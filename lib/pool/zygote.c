/*
 * zygote.c - the helper that forks the pool's children, and how the parent speaks to it.
 *
 * The helper is forked while its parent has one thread, and has one itself for all its life, so
 * that each of its own forks is safe. It does what it is told, one message at a time, and ends
 * with its parent's end of the socket. Its children stay zombies until it is told to reap them,
 * so that a number it knows is never somebody else's.
 *
 * In the parent one message is under way at a time; the lock says whose. The helper is there
 * while it has users: runtimes with .processes, and pools.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/loop.h>

#include "base/log.h"
#include "base/san.h"
#include "loop/loop_priv.h"
#include "pool/pool_priv.h"
#include "pool/pool_sys.h"

#define FILE_BYTES_MAX 4096
#define TEXT_BYTES WEFT__ERROR_TEXT_BYTES
#define OWED_MAX 16 /* a child beyond this is left to the helper, and ends with it */

enum command_kind { COMMAND_LOAD, COMMAND_SPAWN, COMMAND_END };

/* One message each way: sequenced packets, so they arrive whole. Both ends are one program, so a
 * function's address means the same in both. */
struct command {
    enum command_kind kind;
    unsigned number;                /* of the command; its answer has the same */
    weft_procpool_handler *handler; /* SPAWN */
    int (*load)(const char *file);  /* LOAD */
    pid_t pid;                      /* END */
    char file[FILE_BYTES_MAX];      /* LOAD */
};

struct answer {
    unsigned number;
    int rc;
    pid_t pid;             /* SPAWN, else 0; with it come so many descriptors: */
    int n_fds;             /* the socket, and a pidfd where there are such */
    int status;            /* END */
    char text[TEXT_BYTES]; /* LOAD: detail of the failure */
};

static struct {
    pthread_mutex_t lock;
    unsigned users;
    unsigned number; /* of the last command */
    pid_t owner;     /* the process that started the helper; a fork of it has none */
    pid_t pid;
    int pidfd;
    int socket;
    pid_t owed[OWED_MAX]; /* children nobody else knows of, which the helper has yet to end */
    unsigned n_owed;
} zygote = {.lock = PTHREAD_MUTEX_INITIALIZER, .pidfd = -1, .socket = -1};

/* ---- Messages with two descriptors -----------------------------------------------------------*/

union fds_space {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
};

static int
answer_send(int fd, const struct answer *answer, const int *fds, size_t n_fds)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)answer, .iov_len = sizeof *answer};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    union fds_space space = {0};
    if (n_fds > 0) {
        message.msg_control = &space;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(head), fds, n_fds * sizeof(int));
    }
    ssize_t rc = weft__sys_sendmsg(fd, &message, 0);
    return rc < 0 ? (int)rc : 0;
}

/* What did not arrive is -1. */
static int
answer_receive(int fd, struct answer *ret_answer, int ret_fds[2])
{
    struct iovec iov = {.iov_base = ret_answer, .iov_len = sizeof *ret_answer};
    union fds_space space = {0};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
    ret_fds[0] = ret_fds[1] = -1;
    ssize_t rc = weft__sys_recvmsg(fd, &message, 0);
    if (rc < 0)
        return (int)rc;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return (size_t)rc == sizeof *ret_answer ? 0 : -EOWNERDEAD;
}

/* ---- The helper itself -----------------------------------------------------------------------*/

/* Nothing of the parent's helper is ours: a job that opens a pool of its own starts anew. */
static void
forget_inherited(void)
{
    (void)pthread_mutex_init(&zygote.lock, NULL);
    zygote.users = zygote.n_owed = 0;
    zygote.pidfd = zygote.socket = -1;
    /* weft_run_here would go on with a loop whose poller's descriptors are closed here. */
    struct weft__thread *thread = weft__thread_self();
    if (thread != NULL)
        thread->private_loop = NULL;
#ifdef WEFT_TEST
    /* Faults are for the process that armed them. */
    for (int kind = 0; kind < WEFT__TORTURE_KINDS; kind++)
        (void)weft__torture_disarm((enum weft__torture)kind);
#endif
}

/* Whether code at this address is there. Where nothing can be known, as in a static program,
 * the answer is yes. */
static bool
is_code(uintptr_t address)
{
    Dl_info info;
    if (dladdr((void *)(uintptr_t)is_code, &info) == 0)
        return true;
    return dladdr((void *)address, &info) != 0;
}

static void
helper_spawn(const struct command *command, int socket)
{
    struct answer answer = {.number = command->number, .rc = -EFAULT};
    int ends[2] = {-1, -1}, pidfd = -1;
    if (!is_code((uintptr_t)command->handler))
        goto out;
    answer.rc = weft__sys_socketpair(AF_UNIX, SOCK_STREAM, ends);
    if (answer.rc < 0)
        goto out;
    pid_t helper = getpid();
    answer.rc = weft__sys_fork();
    if (answer.rc < 0)
        goto out;
    if (answer.rc == 0) {
        weft__procchild_setup(ends[1], helper, "weft-worker");
        weft_ignore(weft__procchild_serve(3, command->handler));
        (void)fflush(NULL); /* what jobs have printed; the rest of an exit is the parent's */
        _exit(0);
    }
    answer.pid = answer.rc;
    answer.rc = weft__sys_pidfd_open(answer.pid, &pidfd);
    if (answer.rc >= 0)
        answer.rc = weft__sys_fcntl_setfl(ends[0], O_RDWR | O_NONBLOCK);
    answer.n_fds = pidfd >= 0 ? 2 : 1;
    if (answer.rc >= 0)
        answer.rc = answer_send(socket, &answer, (int[]){ends[0], pidfd}, (size_t)answer.n_fds);
    if (answer.rc < 0) {
        (void)kill(answer.pid, SIGKILL);
        (void)waitpid(answer.pid, NULL, 0);
        answer.pid = 0;
    }
out:
    if (answer.rc < 0)
        weft_ignore(answer_send(socket, &answer, NULL, 0));
    if (pidfd >= 0)
        weft__sys_close(pidfd);
    if (ends[0] >= 0) {
        weft__sys_close(ends[0]);
        weft__sys_close(ends[1]);
    }
}

static void
helper_load(const struct command *command, int socket)
{
    struct answer answer = {.number = command->number, .rc = -EFAULT};
    if (is_code((uintptr_t)command->load)) {
        answer.rc = command->load(command->file);
        (void)snprintf(answer.text, sizeof answer.text, "%s", weft_error_text());
        (void)fflush(NULL); /* or each child would print it again at its end */
    }
    weft_ignore(answer_send(socket, &answer, NULL, 0));
}

static void
helper_end(const struct command *command, int socket)
{
    struct answer answer = {.number = command->number};
    (void)kill(command->pid, SIGKILL);
    pid_t rc = weft__sys_waitpid(command->pid, &answer.status, 0);
    answer.rc = rc < 0 ? rc : 0;
    weft_ignore(answer_send(socket, &answer, NULL, 0));
}

static void
helper_main(void)
{
    for (;;) {
        struct command command;
        ssize_t rc = weft__sys_recv(3, &command, sizeof command, 0);
        if (rc != sizeof command)
            _exit(0); /* its children go with it: each has asked for that */
        switch (command.kind) {
        case COMMAND_LOAD:
            helper_load(&command, 3);
            break;
        case COMMAND_SPAWN:
            helper_spawn(&command, 3);
            break;
        case COMMAND_END:
            helper_end(&command, 3);
            break;
        }
    }
}

/* ---- The parent's side -----------------------------------------------------------------------*/

static unsigned
threads_now(void)
{
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL)
        return ~0u;
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(folder);
    return n;
}

#ifdef WEFT_TEST
unsigned weft__zygote_threads_besides;
#else
#define weft__zygote_threads_besides 0u
#endif

static bool
threads_run(void)
{
    unsigned allowed = 1 + weft__zygote_threads_besides;
#if defined(WEFT__SAN_THREAD)
    allowed++; /* TSan keeps one of its own once the first was made, and forks well with it */
#endif
    /* A thread that was joined is counted a moment longer. */
    for (int i = 0; i < 20; i++) {
        if (threads_now() <= allowed)
            return false;
        (void)weft__sys_ppoll(NULL, 0, 1000000);
    }
    return true;
}

/* Both ends above the standard descriptors, which a child keeps as they are: where the parent has
 * none of these, what a job prints would arrive as a message. */
static int
ends_open(int ends[2])
{
    int rc = weft__sys_socketpair(AF_UNIX, SOCK_SEQPACKET, ends);
    for (int i = 0; rc >= 0 && i < 2; i++) {
        if (ends[i] > 2)
            continue;
        int moved = weft__sys_dup_above(ends[i], 3);
        if (moved < 0) {
            weft__sys_close(ends[0]);
            weft__sys_close(ends[1]);
            return moved;
        }
        weft__sys_close(ends[i]);
        ends[i] = moved;
    }
    return rc;
}

static int
helper_start(void)
{
    if (threads_run())
        return weft_error_note(
            -ENOTSUP, "process: threads run already, so a safe fork is not possible: pass "
                      ".processes to weft_run, open the workers before any thread, or set .exec "
                      "to weft-worker");
    if (weft_loop_current() != NULL)
        return weft_error_note(
            -ENOTSUP, "process: a loop runs already, so a safe fork is not possible: pass "
                      ".processes to weft_run, open the workers before it, or set .exec to "
                      "weft-worker");
    int ends[2];
    int rc = ends_open(ends);
    if (rc < 0)
        return rc;
    (void)fflush(NULL); /* or a child that prints would print our text again */
    pid_t parent = getpid();
    pid_t pid = weft__sys_fork();
    if (pid < 0) {
        rc = pid;
        goto fail_ends;
    }
    if (pid == 0) {
        /* A Ctrl-C is for the parent, which then ends its children in good order. */
        (void)setpgid(0, 0);
        forget_inherited();
        weft__procchild_setup(ends[1], parent, "weft-zygote");
        helper_main();
    }
    int pidfd = -1;
    rc = weft__sys_pidfd_open(pid, &pidfd);
    if (rc < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        goto fail_ends;
    }
    weft__sys_close(ends[1]);
    zygote.owner = parent;
    zygote.pid = pid;
    zygote.pidfd = pidfd;
    zygote.socket = ends[0];
    zygote.n_owed = 0;
    return 0;

fail_ends:
    weft__sys_close(ends[0]);
    weft__sys_close(ends[1]);
    return rc;
}

static void
helper_stop(void)
{
    struct weft__child child = {.pid = zygote.pid, .pidfd = zygote.pidfd, .socket = zygote.socket};
    int status;
    weft_ignore(weft__child_end(&child, &status));
    zygote.pidfd = zygote.socket = -1;
}

int
weft__zygote_start(void)
{
    (void)pthread_mutex_lock(&zygote.lock);
    if (zygote.users > 0 && zygote.owner != getpid()) {
        /* We are a fork of the process whose helper this is. */
        weft__sys_close(zygote.socket);
        if (zygote.pidfd >= 0)
            weft__sys_close(zygote.pidfd);
        zygote.users = 0;
    }
    int rc = zygote.users > 0 ? 0 : helper_start();
    if (rc == 0)
        zygote.users++;
    (void)pthread_mutex_unlock(&zygote.lock);
    return rc;
}

void
weft__zygote_stop(void)
{
    (void)pthread_mutex_lock(&zygote.lock);
    if (--zygote.users == 0)
        helper_stop();
    (void)pthread_mutex_unlock(&zygote.lock);
}

static void
fds_close(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            weft__sys_close(fds[i]);
}

static void
owe(pid_t pid)
{
    if (zygote.n_owed < OWED_MAX)
        zygote.owed[zygote.n_owed++] = pid;
}

/* What is answered to these is older than the next answer waited for, and passed over. */
static void
owed_end(void)
{
    while (zygote.n_owed > 0) {
        struct command command = {
            .kind = COMMAND_END, .number = ++zygote.number, .pid = zygote.owed[zygote.n_owed - 1]};
        if (weft__sys_send(zygote.socket, &command, sizeof command, 0) < 0)
            return;
        zygote.n_owed--;
    }
}

/* One question and its answer. -EOWNERDEAD: the helper is gone, and its children with it. */
static int
ask(struct command *command, struct answer *ret_answer, int ret_fds[2])
{
    (void)pthread_mutex_lock(&zygote.lock);
    owed_end();
    command->number = ++zygote.number;
    ssize_t rc = weft__sys_send(zygote.socket, command, sizeof *command, 0);
    if (rc >= 0)
        rc = answer_receive(zygote.socket, ret_answer, ret_fds);
    else if (command->kind == COMMAND_END)
        owe(command->pid);
    /* An older answer is one that could not be received then, or that nobody waited for. */
    while (rc == 0 && ret_answer->number != command->number) {
        fds_close(ret_fds);
        if (ret_answer->pid > 0)
            owe(ret_answer->pid);
        rc = answer_receive(zygote.socket, ret_answer, ret_fds);
    }
    owed_end();
    (void)pthread_mutex_unlock(&zygote.lock);
    if (rc == -EPIPE || rc == -ECONNRESET)
        rc = -EOWNERDEAD;
    return rc < 0 ? (int)rc : 0;
}

int
weft__zygote_load(int (*load)(const char *file), const char *file)
{
    struct command command = {.kind = COMMAND_LOAD, .load = load};
    if (strlen(file) >= sizeof command.file)
        return weft_error_note(-ENAMETOOLONG, "process: a file name of %zu bytes", strlen(file));
    (void)strcpy(command.file, file);
    struct answer answer;
    int fds[2];
    int rc = ask(&command, &answer, fds);
    if (rc < 0)
        return rc;
    if (answer.rc < 0)
        return weft_error_note(answer.rc, "%s", answer.text);
    return answer.rc;
}

int
weft__zygote_spawn(struct weft__child *ret_child, weft_procpool_handler *handler)
{
    struct command command = {.kind = COMMAND_SPAWN, .handler = handler};
    struct answer answer;
    int fds[2];
    int rc = ask(&command, &answer, fds);
    if (rc < 0)
        return rc;
    if (answer.rc < 0)
        return answer.rc;
    *ret_child = (struct weft__child){
        .pid = answer.pid, .pidfd = fds[1], .socket = fds[0], .from_zygote = true};
    if (fds[0] >= 0 && (fds[1] >= 0 || answer.n_fds == 1))
        return 0;

    /* The kernel drops descriptors for which our table has no room. */
    fds_close(fds);
    int status;
    weft_ignore(weft__zygote_end(answer.pid, &status));
    return -EMFILE;
}

int
weft__zygote_end(pid_t pid, int *ret_status)
{
    struct command command = {.kind = COMMAND_END, .pid = pid};
    struct answer answer;
    int fds[2];
    int rc = ask(&command, &answer, fds);
    if (rc < 0)
        return rc;
    if (answer.rc == 0)
        *ret_status = answer.status;
    return answer.rc;
}

__attribute__((constructor)) static void
hooks_set(void)
{
    weft__zygote_start_hook = weft__zygote_start;
    weft__zygote_stop_hook = weft__zygote_stop;
}

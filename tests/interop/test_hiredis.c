/*
 * test_hiredis.c - hiredis' asynchronous client runs on a loop's base, beside tasks: its callbacks
 * wake tasks, and tasks send its commands. The Redis it talks to is made of tasks; where there is
 * a real one installed, that one is talked to as well.
 */
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "t_interop.h"

#define ROUNDS 20
#define PIPELINED 100

/* ---- A Redis of tasks ----------------------------------------------------------------------- */

/* Reads one more byte behind what is there. */
struct reader {
    weft_fd *fd;
    char buf[4096];
    size_t len, at;
};

static int
reader_byte(struct reader *reader)
{
    if (reader->at == reader->len) {
        ssize_t n = weft_fd_read(reader->fd, reader->buf, sizeof reader->buf);
        if (n <= 0)
            return n == 0 ? -EPIPE : (int)n;
        reader->len = (size_t)n;
        reader->at = 0;
    }
    return (unsigned char)reader->buf[reader->at++];
}

/* The number in a line "*3\r\n" or "$12\r\n". */
static int
reader_number(struct reader *reader, char kind)
{
    int c = reader_byte(reader);
    if (c < 0)
        return c;
    if (c != kind)
        return -EPROTO;
    int number = 0;
    while ((c = reader_byte(reader)) >= '0' && c <= '9')
        number = number * 10 + c - '0';
    if (c < 0)
        return c;
    c = c == '\r' ? reader_byte(reader) : -EPROTO;
    return c < 0 ? c : number;
}

/* A word of a command, as a string. */
static int
reader_word(struct reader *reader, char *word, int size)
{
    int len = reader_number(reader, '$');
    if (len < 0)
        return len;
    if (len >= size)
        return -EMSGSIZE;
    for (int i = 0; i < len + 2; i++) {
        int c = reader_byte(reader);
        if (c < 0)
            return c;
        if (i < len)
            word[i] = (char)c;
    }
    word[len] = '\0';
    return 0;
}

/* Understands ECHO word, LATER word (after two milliseconds) and HANGUP. */
static int
serve_commands(weft_fd *fd)
{
    struct reader reader = {.fd = fd};
    for (;;) {
        char words[2][256] = {"", ""}, reply[512];
        int n = reader_number(&reader, '*');
        if (n < 0)
            return n;
        if (n < 1 || n > 2)
            return -EPROTO;
        for (int i = 0; i < n; i++) {
            int rc = reader_word(&reader, words[i], sizeof words[i]);
            if (rc < 0)
                return rc;
        }
        int rc = 0;
        if (strcmp(words[0], "HANGUP") == 0)
            return 0;
        if (strcmp(words[0], "LATER") == 0)
            rc = weft_sleep(WEFT_MS(2));
        if (rc < 0)
            return rc;
        int len = snprintf(reply, sizeof reply, "$%zu\r\n%s\r\n", strlen(words[1]), words[1]);
        rc = weft_fd_write_all(fd, reply, (size_t)len, NULL);
        if (rc < 0)
            return rc;
    }
}

static int
serve_redis(void *arg)
{
    weft_fd *fd = arg;
    weft_ignore(serve_commands(fd)); /* a client that leaves is no failure */
    weft_fd_close(fd);
    free(fd);
    return 0;
}

/* ---- The client ----------------------------------------------------------------------------- */

/* A command on its way: its callback wakes the task that asked. */
struct asked {
    weft_future done; /* 0, or -EPIPE when the connection went */
    char reply[256];
};

static void
on_reply(redisAsyncContext *context, void *reply_, void *arg)
{
    struct asked *asked = arg;
    redisReply *reply = reply_;
    (void)context;
    if (reply != NULL)
        snprintf(asked->reply, sizeof asked->reply, "%s", reply->str != NULL ? reply->str : "");
    weft_future_set(&asked->done, reply != NULL ? 0 : -EPIPE);
}

/* What hiredis tells of its connection. */
struct state {
    weft_future connected, disconnected;
};

static void
on_connect(const redisAsyncContext *context, int status)
{
    struct state *state = context->data;
    weft_future_set(&state->connected, status == REDIS_OK ? 0 : -ECONNREFUSED);
}

static void
on_disconnect(const redisAsyncContext *context, int status)
{
    struct state *state = context->data;
    weft_future_set(&state->disconnected, status == REDIS_OK ? 0 : -EPIPE);
}

static int
attach(redisAsyncContext *context, struct state *state)
{
    T_EXPECT(context != NULL && context->err == 0);
    T_EXPECT(weft_loop_base() != NULL);
    weft_future_open(&state->connected);
    weft_future_open(&state->disconnected);
    context->data = state;
    T_EXPECT(redisLibeventAttach(context, weft_loop_base()) == REDIS_OK);
    T_EXPECT(redisAsyncSetConnectCallback(context, on_connect) == REDIS_OK);
    T_EXPECT(redisAsyncSetDisconnectCallback(context, on_disconnect) == REDIS_OK);
    int rc;
    T_EXPECT(weft_future_wait(&state->connected, &rc) == 0 && rc == 0);
    return 0;
}

/* Waits until hiredis has freed its connection. */
static int
detached(struct state *state)
{
    int rc;
    T_EXPECT(weft_future_wait(&state->disconnected, &rc) == 0);
    weft_future_close(&state->connected);
    weft_future_close(&state->disconnected);
    return rc;
}

static int
ask(redisAsyncContext *context, const char *command, const char *word)
{
    struct asked asked = {.reply = ""};
    int rc;
    weft_future_open(&asked.done);
    T_EXPECT(redisAsyncCommand(context, on_reply, &asked, "%s %s", command, word) == REDIS_OK);
    T_EXPECT(weft_future_wait(&asked.done, &rc) == 0 && rc == 0);
    T_EXPECT(strcmp(asked.reply, word) == 0);
    weft_future_close(&asked.done);
    return 0;
}

static int
ask_many(redisAsyncContext *context)
{
    struct asked *asked = calloc(PIPELINED, sizeof *asked);
    for (int i = 0; i < PIPELINED; i++) {
        weft_future_open(&asked[i].done);
        T_EXPECT(redisAsyncCommand(context, on_reply, &asked[i], "ECHO %d", i) == REDIS_OK);
    }
    for (int i = 0; i < PIPELINED; i++) {
        int rc;
        T_EXPECT(weft_future_wait(&asked[i].done, &rc) == 0 && rc == 0);
        T_EXPECT(atoi(asked[i].reply) == i);
        weft_future_close(&asked[i].done);
    }
    free(asked);
    return 0;
}

/* Several tasks of a loop ask on one connection. */
struct asker {
    redisAsyncContext *context;
    const char *command;
    int number;
};

static int
ask_on(void *arg)
{
    struct asker *asker = arg;
    for (int i = 0; i < ROUNDS / T_SLOW; i++) {
        char word[64];
        snprintf(word, sizeof word, "task-%d-round-%d", asker->number, i);
        int rc = ask(asker->context, asker->command, word);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
converse(redisAsyncContext *context, const char *slow_command)
{
    struct state state;
    int rc = attach(context, &state);
    if (rc < 0)
        return rc;
    struct asker askers[4];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++) {
        askers[i] = (struct asker){context, i % 2 == 0 ? "ECHO" : slow_command, i};
        weft_group_spawn(&group, ask_on, &askers[i]);
    }
    rc = weft_group_close(&group);
    if (rc == 0)
        rc = ask_many(context);
    if (rc < 0)
        return rc;
    redisAsyncDisconnect(context);
    return detached(&state);
}

static int
converse_with_tasks(void *arg)
{
    return converse(redisAsyncConnect("127.0.0.1", t_port(arg)), "LATER");
}

static void
beside(unsigned busy)
{
    struct t_server server;
    t_server_open(&server, serve_redis);
    t_beside(&(struct t_beside){converse_with_tasks, &server.address, busy});
    t_server_close(&server);
}

LOOPS_TEST(hiredis, commands_of_tasks_are_answered_on_one_loop, 1)
{
    beside(0);
}

LOOPS_TEST(hiredis, commands_of_tasks_are_answered_beside_busy_tasks, 1)
{
    beside(3);
}

LOOPS_TEST(hiredis, each_of_two_loops_has_its_own_connection, 2)
{
    beside(4);
}

LOOPS_TEST(hiredis, a_server_that_hangs_up_wakes_who_waits_for_a_reply, 1)
{
    struct t_server server;
    struct state state;
    struct asked asked = {.reply = ""};
    t_server_open(&server, serve_redis);
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", t_port(&server.address));
    T_OK(attach(context, &state));
    weft_future_open(&asked.done);
    cr_assert(redisAsyncCommand(context, on_reply, &asked, "HANGUP") == REDIS_OK);
    int rc;
    T_OK(weft_future_wait(&asked.done, &rc));
    cr_assert(rc == -EPIPE);
    weft_future_close(&asked.done);
    T_ERR(-EPIPE, detached(&state));
    t_server_close(&server);
}

LOOPS_TEST(hiredis, a_reply_that_comes_after_the_deadline_finds_its_callback, 1)
{
    struct t_server server;
    struct state state;
    struct asked asked = {.reply = ""};
    t_server_open(&server, serve_redis);
    redisAsyncContext *context = redisAsyncConnect("127.0.0.1", t_port(&server.address));
    T_OK(attach(context, &state));
    weft_future_open(&asked.done);
    cr_assert(redisAsyncCommand(context, on_reply, &asked, "LATER on") == REDIS_OK);
    weft_scope scope;
    weft_scope_open(&scope, weft_now());
    T_ERR(-ETIMEDOUT, weft_future_wait(&asked.done, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_future_wait(&asked.done, NULL)); /* hiredis has its callback still: it comes */
    cr_assert_str_eq(asked.reply, "on");
    weft_future_close(&asked.done);
    redisAsyncDisconnect(context);
    T_OK(detached(&state));
    t_server_close(&server);
}

/* ---- A real one ----------------------------------------------------------------------------- */

static int
converse_with_redis(void *arg)
{
    return converse(redisAsyncConnectUnix(arg), "ECHO");
}

static int
converse_beside(void *arg)
{
    t_beside(&(struct t_beside){converse_with_redis, arg, 4});
    return 0;
}

/* Starts redis-server on a socket in a folder of its own. False where there is none. */
static bool
redis_start(const char *path, pid_t *ret_pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    *ret_pid = fork();
    cr_assert(*ret_pid >= 0);
    if (*ret_pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "",
               "--appendonly", "no", (char *)NULL);
        _exit(127);
    }
    for (;;) {
        int status, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert(fd >= 0);
        bool up = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (up)
            return true;
        if (waitpid(*ret_pid, &status, WNOHANG) == *ret_pid)
            return false;
        usleep(5000);
    }
}

Test(hiredis, a_real_server_is_talked_to_on_two_loops)
{
    char folder[] = "/tmp/weft-redis-XXXXXX", path[64];
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/socket", folder);
    pid_t pid;
    if (redis_start(path, &pid)) {
        t_run_loops(converse_beside, path, 2);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    } else {
        printf("skipped: there is no redis-server to talk to\n");
    }
    unlink(path);
    rmdir(folder);
}

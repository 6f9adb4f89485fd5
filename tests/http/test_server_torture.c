/*
 * test_server_torture.c - a server in which one thing goes wrong, each time another one: a wait is
 * cancelled or runs into its deadline, an allocation or a system call fails.
 *
 * The clients are a plain thread, which nothing of this concerns. Whatever happens, each answer it
 * gets is the right one, or one that says what is wrong, or cut off at the end of the connection.
 * Never are two answers mixed, or is one taken for another.
 */
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "http/t_web.h"

TestSuite(http_torture, .timeout = 600);

#define ANSWERS 7
#define TEXT_BYTES 400000

static const char asked[] =
    T_REQUEST("GET /hello") "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n" T_REQUEST("GET /chunks")
                                T_REQUEST("GET /files/known")
                                    T_REQUEST("GET /big") "POST /ignore HTTP/1.1\r\nHost: "
                                                          "a\r\nContent-Length: 4\r\n\r\n"
                                                          "body" T_LAST_REQUEST("GET /describe/x");

static char folder[64];
static weft_http_files files = {.root = folder};

static int
big(weft_http_exchange *x, void *arg)
{
    static char bytes[50000];
    (void)arg;
    memset(bytes, 'b', sizeof bytes);
    int rc = weft_http_response_begin(x, 200, T_TEXT, 3 * sizeof bytes);
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = weft_http_response_write(x, bytes, sizeof bytes);
    return rc;
}

static const weft_http_route routes[] = {
    {"GET /hello", t_do_hello, NULL},
    {"POST /echo", t_do_echo, NULL},
    {"GET /chunks", t_do_chunks, NULL},
    {"GET /files/{rest...}", weft_http_serve_files, &files},
    {"GET /big", big, NULL},
    {"POST /ignore", t_do_hello, "ignored"},
    {"* /describe/{rest...}", t_do_describe, NULL},
    {NULL, NULL, NULL},
};

/* What goes between the server's task and the clients' thread. */
static struct {
    weft_event done;
    _Atomic int port; /* 0: not yet; -1: there will be none */
    char text[2][TEXT_BYTES];
    bool hung[2];
    bool hopeless;           /* nothing goes right any more */
    char *expected[ANSWERS]; /* of the run in which nothing goes wrong; malloc'ed */
} shared;

static void
exchange(int port, char *text, bool *ret_hung)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = 0;
    *ret_hung = false;
    setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(raw, (struct sockaddr *)&to, sizeof to) == 0 &&
        send(raw, asked, sizeof asked - 1, MSG_NOSIGNAL) > 0) {
        ssize_t n;
        while ((n = recv(raw, text + len, TEXT_BYTES - 1 - len, 0)) > 0)
            len += (size_t)n;
        *ret_hung = n < 0 && errno == EAGAIN;
    }
    text[len] = '\0';
    close(raw);
}

static void *
clients(void *arg)
{
    int port;
    (void)arg;
    while ((port = atomic_load(&shared.port)) == 0)
        usleep(100);
    for (int i = 0; port > 0 && i < 2; i++)
        exchange(port, shared.text[i], &shared.hung[i]);
    if (port > 0)
        weft_event_set(&shared.done);
    return NULL;
}

static int
run_server(void *arg)
{
    weft_ignore(t_web_run(arg));
    weft_event_set(&shared.done); /* nobody serves these clients any more */
    return 0;
}

static int
server_main(void *arg)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    struct t_web web = {.rc = 0};
    weft_scope scope;
    (void)arg;
    /* Without any memory the server waits for some, and its clients with it. */
    weft_scope_open(&scope, weft_now() + (shared.hopeless ? WEFT_MS(300) : WEFT_SEC(30)));
    int rc =
        weft_http_server_new(&web.server, &(weft_http_server_options){.net.listen = listen,
                                                                      .routes = routes,
                                                                      .server_name = "",
                                                                      .access_log = "/dev/null",
                                                                      .idle_timeout = WEFT_SEC(5),
                                                                      .head_timeout = WEFT_SEC(5)});
    if (rc == 0)
        rc = weft_server_address(weft_http_server_net(web.server), 0, &web.address);
    weft_event_open(&shared.done);
    if (rc == 0)
        rc = weft_task_spawn(&web.task, run_server, &web, NULL);
    if (rc == 0) {
        atomic_store(&shared.port,
                     ntohs(((const struct sockaddr_in *)&web.address.storage)->sin_port));
        weft_ignore(weft_event_wait(&shared.done));
        weft_http_server_stop(web.server, WEFT_MS(20));
        weft_scope shield;
        weft_shield_open(&shield, WEFT_FOREVER);
        weft_ignore(weft_task_join(web.task, NULL));
        weft_ignore(weft_scope_close(&shield));
    } else {
        atomic_store(&shared.port, -1);
    }
    weft_http_server_free(web.server);
    weft_ignore(weft_scope_close(&scope));
    return rc;
}

/* The length of the first answer in a text, if it is there to its end; else 0. */
static size_t
answer_len(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n");
    if (body == NULL)
        return 0;
    body += 4;
    const char *length = strstr(text, "\r\nContent-Length: ");
    if (length != NULL && length < body) {
        size_t len = strtoull(length + 18, NULL, 10);
        return strlen(body) >= len ? (size_t)(body - text) + len : 0;
    }
    const char *end = strstr(body, "0\r\n\r\n");
    return end != NULL ? (size_t)(end - text) + 5 : 0;
}

/* Out of the first answer's head, if it is there. */
static bool
take_line(char *text, const char *line)
{
    char *end = strstr(text, "\r\n\r\n"), *at = strstr(text, line);
    if (at == NULL || end == NULL || at > end)
        return false;
    char *next = strstr(at, "\r\n") + 2;
    memmove(at, next, strlen(next) + 1);
    return true;
}

static void
judge(char *text)
{
    char *rest = text;
    for (int i = 0; i < ANSWERS && *rest != '\0'; i++) {
        if (strstr(rest, "\r\n\r\n") == NULL) {
            cr_assert(strncmp(rest, "HTTP/1.1 ", strlen(rest) < 9 ? strlen(rest) : 9) == 0, "%s",
                      rest);
            return; /* cut off in the head */
        }
        take_line(rest, "Date: ");
        bool last = take_line(rest, "Connection: close");
        size_t expected = strlen(shared.expected[i]), have = strlen(rest);
        if (strncmp(rest, shared.expected[i], expected) == 0) {
            rest += expected;
        } else if (have < expected && strncmp(rest, shared.expected[i], have) == 0) {
            return; /* cut off */
        } else {
            int status = t_status(rest);
            cr_assert(status >= 400, "answer %d is:\n%.300s\ninstead of\n%.300s", i, rest,
                      shared.expected[i]);
            size_t len = answer_len(rest);
            if (len == 0)
                return;
            rest += len;
        }
        cr_assert(!last || *rest == '\0', "behind the last answer: %.100s", rest);
    }
    cr_assert(*rest == '\0', "more than was asked for: %.100s", rest);
}

static void
learn(char *text)
{
    for (int i = 0; i < ANSWERS; i++) {
        take_line(text, "Date: ");
        take_line(text, "Connection: close");
        size_t len = answer_len(text);
        cr_assert(t_status(text) == 200 && len > 0, "answer %d: %.300s", i, text);
        shared.expected[i] = strndup(text, len);
        text += len;
    }
    cr_assert(*text == '\0');
}

static void
scenario(void *arg)
{
    (void)arg;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    atomic_store(&shared.port, 0);
    shared.text[0][0] = shared.text[1][0] = '\0';
    shared.hung[0] = shared.hung[1] = false;
    pthread_t thread = t_thread(clients, NULL);
    int rc = weft_run(server_main, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE});
    if (atomic_load(&shared.port) == 0)
        atomic_store(&shared.port, -1);
    t_thread_join(thread);
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start.tv_sec < 15,
              "a wait that nothing ended: run %d, clients %d %d: %s", rc, shared.hung[0],
              shared.hung[1], shared.text[0]);
    for (int i = 0; i < 2; i++) {
        cr_assert(!shared.hung[i], "a client waits for ever");
        if (shared.expected[0] == NULL)
            learn(shared.text[i]);
        else
            judge(shared.text[i]);
    }
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    shared.hopeless = from_on;
    t_torture_run(&(struct t_torture){.kind = kind,
                                      .from_on = from_on,
                                      .error = error,
                                      .max = (from_on ? 30 : 150) / T_SLOW,
                                      .scenario = scenario});
}

static void
begin(void)
{
    char path[100];
    unsigned char bytes[50000];
    snprintf(folder, sizeof folder, "/tmp/weft-torture-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/known", folder);
    memset(bytes, 'k', sizeof bytes);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert(fd >= 0 && write(fd, bytes, sizeof bytes) == sizeof bytes);
    close(fd);
    weft_set_log(t_log_line, NULL);
    t_leak_begin();
    scenario(NULL);
    t_leak_end();
}

static void
end(void)
{
    char path[100];
    snprintf(path, sizeof path, "%s/known", folder);
    unlink(path);
    rmdir(folder);
    for (int i = 0; i < ANSWERS; i++)
        free(shared.expected[i]);
}

Test(http_torture, any_wait_is_cancelled)
{
    begin();
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
    end();
}

Test(http_torture, any_wait_runs_into_a_deadline)
{
    begin();
    torture(WEFT__TORTURE_DEADLINE, false, 0);
    end();
}

Test(http_torture, any_allocation_fails)
{
    begin();
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
    end();
}

Test(http_torture, any_system_call_fails)
{
    static const int errors[] = {EAGAIN, EIO, EMFILE, ENOMEM, ECONNRESET};
    begin();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        torture(WEFT__TORTURE_SYSCALL, false, errors[i]);
    end();
}

/*
 * test_server_log.c - the access log: its lines, what clients cannot put into it, and disks that do
 * not keep up.
 */
#include "http/t_web.h"

TestSuite(http_log, .timeout = 120);

static char path[64], text[4000000];

static void
begin_file(void)
{
    snprintf(path, sizeof path, "/tmp/weft-log-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
}

static void
end_file(void)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    unlink(path);
}

/* The next line, without its time; NULL behind the last one. */
static char *
next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (end == NULL) {
        cr_assert(*line == '\0', "half a line: %s", line);
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    char *from = strchr(line, '['), *to = strchr(line, ']');
    cr_assert(from != NULL && to != NULL && to - from == 27 && strncmp(to - 6, " +0000", 6) == 0,
              "%s", line);
    memmove(from + 1, to, strlen(to) + 1);
    return line;
}

LOOPS_TEST(http_log, each_request_has_its_line, 1)
{
    static const char *const expected[] = {
        "127.0.0.1 - - [] \"GET /hello HTTP/1.1\" 200 5 \"-\" \"-\"",
        "127.0.0.1 - - [] \"GET /hello?a=b&c=%22 HTTP/1.0\" 200 5 \"http://r/\" \"me/1.0\"",
        "127.0.0.1 - - [] \"HEAD /hello HTTP/1.1\" 200 0 \"-\" \"-\"",
        "127.0.0.1 - - [] \"GET /none HTTP/1.1\" 404 14 \"\" \"-\"",
        ("127.0.0.1 - - [] \"GET /describe/\\x22\\x5c HTTP/1.1\" 200 28 \"-\" "
         "\"\\x22 - - [] \\x5cn\\x09\\xff\""),
        "127.0.0.1 - - [] \"- - HTTP/1.1\" 400 16 \"-\" \"-\"",
        "127.0.0.1 - - [] \"POST /echo HTTP/1.1\" 413 22 \"-\" \"big\"",
        "127.0.0.1 - - [] \"GET /fail-late HTTP/1.1\" 200 4 \"-\" \"-\"",
    };
    struct t_web web;
    begin_file();
    t_web_begin(&web, &(weft_http_server_options){.access_log = path, .body_bytes = 10});
    weft_ignore(t_talk(&web, T_LAST_REQUEST("GET /hello")));
    weft_ignore(t_talk(&web, "GET /hello?a=b&c=%22 HTTP/1.0\r\nReferer: http://r/\r\n"
                             "User-Agent: me/1.0\r\n\r\n"));
    weft_ignore(t_talk(&web, T_LAST_REQUEST("HEAD /hello")));
    weft_ignore(t_talk(&web, "GET /none HTTP/1.1\r\nHost: a\r\nReferer:\r\n"
                             "Connection: close\r\n\r\n"));
    weft_ignore(t_talk(&web, "GET /describe/\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: \" - - [] "
                             "\\n\t\xff\r\nConnection: close\r\n\r\n"));
    weft_ignore(t_talk(&web, "nonsense\r\n\r\n"));
    weft_ignore(t_talk(&web, "POST /echo HTTP/1.1\r\nHost: a\r\nUser-Agent: big\r\n"
                             "Content-Length: 11\r\n\r\n"));
    weft_ignore(t_talk(&web, T_LAST_REQUEST("GET /fail-late")));
    t_web_end(&web);
    end_file();
    char *at = text;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char *line = next_line(&at);
        cr_assert(line != NULL);
        cr_expect_str_eq(line, expected[i], "%s\ninstead of\n%s", line, expected[i]);
    }
    cr_assert(next_line(&at) == NULL);
}

LOOPS_TEST(http_log, all_lines_of_all_loops_are_written, 2)
{
    enum { CLIENTS = 50, EACH = 100 };
    struct t_web web;
    begin_file();
    t_web_begin(&web, &(weft_http_server_options){.access_log = path});
    static char all[EACH * 64];
    size_t len = 0;
    for (int i = 0; i < EACH; i++)
        len += (size_t)snprintf(all + len, sizeof all - len,
                                "GET /hello HTTP/1.1\r\nHost: a\r\n%s\r\n",
                                i == EACH - 1 ? "Connection: close\r\n" : "");
    for (int i = 0; i < CLIENTS; i++)
        weft_ignore(t_talk_bytes(&web, all, len));
    cr_assert(t_web_stats(&web).requests == CLIENTS * EACH);
    weft_http_server_stop(web.server, WEFT_FOREVER);
    T_OK(weft_task_join(web.task, NULL));
    weft_http_server_stats stats = t_web_stats(&web);
    weft_http_server_free(web.server);
    cr_assert(stats.log_lines == CLIENTS * EACH && stats.log_dropped == 0);
    end_file();
    char *at = text;
    unsigned n = 0;
    for (char *line; (line = next_line(&at)) != NULL; n++)
        cr_assert_str_eq(line, "127.0.0.1 - - [] \"GET /hello HTTP/1.1\" 200 5 \"-\" \"-\"");
    cr_assert(n == CLIENTS * EACH, "%u lines", n);
}

LOOPS_TEST(http_log, lines_come_to_the_file_while_the_server_runs, 1)
{
    struct t_web web;
    begin_file();
    t_web_begin(&web, &(weft_http_server_options){.access_log = path});
    weft_ignore(t_talk(&web, T_LAST_REQUEST("GET /hello")));
    off_t size = 0;
    while (size == 0) {
        weft_ignore(weft_sleep(WEFT_MS(20)));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size = lseek(fd, 0, SEEK_END);
        close(fd);
    }
    t_web_end(&web);
    end_file();
}

LOOPS_TEST(http_log, a_full_disk_drops_lines_and_nobody_waits, 1)
{
    struct t_web web;
    t_log_begin();
    t_web_begin(&web, &(weft_http_server_options){.access_log = "/dev/full"});
    for (int i = 0; i < 50; i++)
        T_STATUS(200, t_talk(&web, T_LAST_REQUEST("GET /hello")));
    weft_http_server_stop(web.server, WEFT_FOREVER);
    T_OK(weft_task_join(web.task, NULL));
    weft_http_server_stats stats = t_web_stats(&web);
    weft_http_server_free(web.server);
    weft_set_log(NULL, NULL);
    cr_assert(stats.log_dropped == 50 && stats.log_lines == 0, "%llu dropped, %llu written",
              (unsigned long long)stats.log_dropped, (unsigned long long)stats.log_lines);
    cr_assert(t_logged("access log: "), "%s", t_log_text);
    T_OK(web.rc);
}

/* A limit for the size of files takes the place of a disk that is full, and then is not. */
LOOPS_TEST(http_log, a_line_that_was_cut_by_a_full_disk_spoils_no_other, 1)
{
    struct t_web web;
    struct rlimit old, small;
    begin_file();
    signal(SIGXFSZ, SIG_IGN);
    t_web_begin(&web, &(weft_http_server_options){.access_log = path});
    cr_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = (struct rlimit){.rlim_cur = 50, .rlim_max = old.rlim_max};
    t_log_begin();
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    weft_ignore(t_talk(&web, T_LAST_REQUEST("GET /hello?lost")));
    T_UNTIL(t_web_stats(&web).log_dropped == 1);
    cr_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
    weft_ignore(t_talk(&web, T_LAST_REQUEST("GET /hello?kept")));
    t_web_end(&web);
    weft_set_log(NULL, NULL);
    end_file();
    char *half = text, *at = strchr(text, '\n');
    cr_assert(at != NULL && strlen(half) > 50 && at - half == 50, "%s", text);
    at++;
    char *line = next_line(&at);
    cr_assert(line != NULL && next_line(&at) == NULL);
    cr_assert_str_eq(line, "127.0.0.1 - - [] \"GET /hello?kept HTTP/1.1\" 200 5 \"-\" \"-\"");
}

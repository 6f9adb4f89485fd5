/*
 * test_server_files.c - files as answers: parts of them, conditions, folders, and ways out of these
 * that lead nowhere.
 */
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "http/t_web.h"

TestSuite(http_files, .timeout = 120);

static char top[64], root[80];
static weft_http_files files, dotted, aged;

static void
write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", top, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert(fd >= 0, "%s", path);
    cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void
make_link(const char *to, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", top, name);
    cr_assert(symlink(to, path) == 0);
}

static void
make_folder(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", top, name);
    cr_assert(mkdir(path, 0755) == 0);
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

static void
end_folder(void)
{
    nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
begin_folder(void)
{
    snprintf(top, sizeof top, "/tmp/weft-files-XXXXXX");
    cr_assert(mkdtemp(top) != NULL);
    snprintf(root, sizeof root, "%s/root", top);
    files = aged = dotted = (weft_http_files){.root = root};
    dotted.dot_files = 1;
    aged.max_age = 60;
    write_file("secret.txt", "secret");
    make_folder("root");
    make_folder("rooted");
    write_file("rooted/secret.txt", "secret");
    make_folder("root/sub");
    make_folder("root/empty");
    make_folder("root/.git");
    write_file("root/a.txt", "0123456789");
    write_file("root/empty.bin", "");
    write_file("root/index.html", "<top>");
    write_file("root/sub/index.html", "<sub>");
    write_file("root/sub/b c.txt", "b c");
    write_file("root/.git/config", "dot");
    write_file("root/.env", "dot");
    write_file("root/..x", "dot");
    write_file("root/\xc3\xa4.txt", "umlaut");
    make_link("../secret.txt", "root/out");
    make_link("/etc", "root/etc");
    make_link("..", "root/up");
    make_link("loop", "root/loop");
    make_link("nowhere", "root/broken");
    char fifo[200];
    snprintf(fifo, sizeof fifo, "%s/fifo", root);
    cr_assert(mkfifo(fifo, 0644) == 0);
}

static int
reply_secret(weft_http_exchange *x, void *arg)
{
    char path[200];
    t_seen.handled++;
    snprintf(path, sizeof path, "%s/%s", top, (const char *)arg);
    int rc = weft_http_reply_file(x, path, NULL);
    return t_note(rc);
}

static const weft_http_route routes[] = {
    {"* /{path...}", weft_http_serve_files, &files},
    {"GET /s/{path...}", weft_http_serve_files, &files},
    {"GET /dot/{path...}", weft_http_serve_files, &dotted},
    {"GET /age/{path...}", weft_http_serve_files, &aged},
    {"GET /secret", reply_secret, "secret.txt"},
    {"GET /folder", reply_secret, "root"},
    {"GET /pipe", reply_secret, "root/fifo"},
    {"GET /none", reply_secret, "none"},
    {"POST /done", reply_secret, "secret.txt"},
    {"GET /hello", t_do_hello, NULL},
    {"GET /{who}/files/{path...}", weft_http_serve_files, &files},
    {NULL, NULL, NULL},
};

#define FILES_TEST(name, ...)                                                                      \
    static void name##_files(struct t_web *web);                                                   \
    static int name##_files_task(void *arg)                                                        \
    {                                                                                              \
        struct t_web web;                                                                          \
        (void)arg;                                                                                 \
        t_web_begin(&web, &(weft_http_server_options){.routes = routes, __VA_ARGS__});             \
        name##_files(&web);                                                                        \
        t_web_end(&web);                                                                           \
        return 0;                                                                                  \
    }                                                                                              \
    Test(http_files, name)                                                                         \
    {                                                                                              \
        begin_folder();                                                                            \
        t_run_loops(name##_files_task, NULL, 1);                                                   \
        end_folder();                                                                              \
    }                                                                                              \
    static void name##_files(struct t_web *web)

/* What is asked for with these headers, on a connection of its own. */
static char *
ask(struct t_web *web, const char *line, const char *more)
{
    char text[600];
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", line,
             more);
    return t_talk(web, text);
}

static const char *
body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end != NULL ? end + 4 : "?";
}

/* The value of a header, in a buffer of its own. */
static char *
field_of(const char *answer, const char *name)
{
    static char values[4][128];
    static unsigned next;
    char *value = values[next++ % 4], key[64];
    snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *at = strstr(answer, key);
    value[0] = '\0';
    if (at != NULL) {
        at += strlen(key);
        snprintf(value, sizeof values[0], "%.*s", (int)strcspn(at, "\r"), at);
    }
    return value;
}

FILES_TEST(a_file_is_sent_with_what_is_known_of_it, .head_bytes = 0)
{
    const char *answer = ask(web, "GET /a.txt", "");
    T_STATUS(200, answer);
    T_SAYS(body_of(answer), "0123456789");
    T_SAYS(field_of(answer, "Content-Length"), "10");
    T_SAYS(field_of(answer, "Accept-Ranges"), "bytes");
    T_SAYS(field_of(answer, "Cache-Control"), "");
    T_HAS(field_of(answer, "Content-Type"), "text/plain");
    int64_t at;
    const char *modified = field_of(answer, "Last-Modified");
    T_OK(weft_http_date_parse(modified, strlen(modified), time(NULL), &at));
    cr_assert(at > time(NULL) - 100 && at <= time(NULL));
    cr_assert(field_of(answer, "ETag")[0] == '"');
    T_SAYS(field_of(ask(web, "GET /age/a.txt", ""), "Cache-Control"), "max-age=60");
    T_SAYS(body_of(ask(web, "GET /s/a.txt?query", "")), "0123456789");
    T_SAYS(body_of(ask(web, "GET http://a/a.txt", "")), "0123456789");
    T_SAYS(body_of(ask(web, "GET /empty.bin", "")), "");
    T_SAYS(body_of(ask(web, "GET /sub/b%20c.txt", "")), "b c");
    T_SAYS(body_of(ask(web, "GET /%c3%a4.txt", "")), "umlaut");
    answer = ask(web, "HEAD /a.txt", "");
    T_STATUS(200, answer);
    T_SAYS(field_of(answer, "Content-Length"), "10");
    T_SAYS(body_of(answer), "");
    answer = ask(web, "POST /a.txt", "Content-Length: 0\r\n");
    T_STATUS(405, answer);
    T_SAYS(field_of(answer, "Allow"), "GET, HEAD");
}

FILES_TEST(folders_show_their_index, .head_bytes = 0)
{
    T_SAYS(body_of(ask(web, "GET /", "")), "<top>");
    T_SAYS(body_of(ask(web, "GET /s/", "")), "<top>");
    T_STATUS(301, ask(web, "GET /s", ""));
    T_SAYS(field_of(ask(web, "GET /s?a=b", ""), "Location"), "/s/?a=b");
    T_SAYS(body_of(ask(web, "GET http://a", "")), "<top>");
    T_SAYS(body_of(ask(web, "GET /sub/", "")), "<sub>");
    T_HAS(field_of(ask(web, "GET /sub/", ""), "Content-Type"), "text/html");
    T_SAYS(body_of(ask(web, "GET /s/sub//", "")), "<sub>");
    const char *answer = ask(web, "GET /sub", "");
    T_STATUS(301, answer);
    T_SAYS(field_of(answer, "Location"), "/sub/");
    T_SAYS(field_of(ask(web, "GET /sub?a=b", ""), "Location"), "/sub/?a=b");
    /* Never to another host. */
    T_SAYS(field_of(ask(web, "GET //sub", ""), "Location"), "/sub/");
    T_SAYS(field_of(ask(web, "GET ///s/../sub", ""), "Location"), "/s/../sub/");
    T_SAYS(field_of(ask(web, "GET /\\evil.com/files/sub", ""), "Location"),
           "/%5Cevil.com/files/sub/");
    T_SAYS(field_of(ask(web, "GET /\\evil.com/files", ""), "Location"), "/%5Cevil.com/files/");
    T_STATUS(404, ask(web, "GET /empty/", ""));
    T_STATUS(404, ask(web, "GET /a.txt/", ""));
    T_STATUS(404, ask(web, "GET /a.txt/b", ""));
    T_STATUS(404, ask(web, "GET /s/none", ""));
}

FILES_TEST(nothing_leads_out_of_the_folder, .head_bytes = 0)
{
    static const char *const paths[] = {
        "/../secret.txt",
        "/s/../secret.txt",
        "/s/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E%2Fsecret.txt",
        "/..%2fsecret.txt",
        "/.%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%5c..%5csecret.txt",
        "/..%c0%afsecret.txt",
        "/..%00/secret.txt",
        "/a.txt%00.html",
        "/../rooted/secret.txt",
        "/out",
        "/up/secret.txt",
        "/s/up/secret.txt",
        "/etc/passwd",
        "/etc/",
        "/up/",
        "/loop",
        "/broken",
        "/fifo",
        "/s/fifo",
        "//etc/passwd",
        "/s//etc/passwd",
        "/./../secret.txt",
        "/%2fetc%2fpasswd",
        "/.git/config",
        "/.env",
        "/s/.env",
        "/sub/../.env",
        "/%2eenv",
        "/..x",
        "/.git",
        "/.git/",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char line[200];
        snprintf(line, sizeof line, "GET %s", paths[i]);
        const char *answer = ask(web, line, "");
        int status = t_status(answer);
        cr_assert(status == 404 || status == 400, "%s: %s", paths[i], answer);
        cr_assert(strstr(answer, "secret") == NULL && strstr(answer, "dot") == NULL, "%s: %s",
                  paths[i], answer);
    }
    T_SAYS(body_of(ask(web, "GET /dot/.env", "")), "dot");
    T_SAYS(body_of(ask(web, "GET /dot/.git/config", "")), "dot");
    T_STATUS(400, ask(web, "GET /dot/../../secret.txt", ""));
    T_STATUS(404, ask(web, "GET /dot/up/secret.txt", ""));
}

FILES_TEST(a_part_of_a_file_can_be_had, .head_bytes = 0)
{
    static const struct {
        const char *range;
        int status;
        const char *content, *body;
    } rows[] = {
        {"bytes=0-0", 206, "bytes 0-0/10", "0"},
        {"bytes=2-4", 206, "bytes 2-4/10", "234"},
        {"bytes=5-", 206, "bytes 5-9/10", "56789"},
        {"bytes=-3", 206, "bytes 7-9/10", "789"},
        {"bytes=-100", 206, "bytes 0-9/10", "0123456789"},
        {"bytes=8-100", 206, "bytes 8-9/10", "89"},
        {"BYTES=0-1", 206, "bytes 0-1/10", "01"},
        {"bytes=10-", 416, "bytes */10", ""},
        {"bytes=-0", 416, "bytes */10", ""},
        {"bytes=0-1,4-5", 200, "", "0123456789"},
        {"bytes=4-2", 200, "", "0123456789"},
        {"bytes=x", 200, "", "0123456789"},
        {"lines=1-2", 200, "", "0123456789"},
        {"bytes=99999999999999999999999-", 416, "bytes */10", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char more[100];
        snprintf(more, sizeof more, "Range: %s\r\n", rows[i].range);
        const char *answer = ask(web, "GET /a.txt", more);
        cr_expect(t_status(answer) == rows[i].status, "%s: %s", rows[i].range, answer);
        cr_expect_str_eq(field_of(answer, "Content-Range"), rows[i].content, "%s", rows[i].range);
        cr_expect_str_eq(body_of(answer), rows[i].body, "%s", rows[i].range);
    }
    T_STATUS(200, ask(web, "HEAD /a.txt", "Range: bytes=0-0\r\n"));
    T_STATUS(416, ask(web, "GET /empty.bin", "Range: bytes=0-0\r\n"));
}

FILES_TEST(conditions_are_kept, .head_bytes = 0)
{
    const char *answer = ask(web, "GET /a.txt", "");
    char etag[100], modified[100];
    snprintf(etag, sizeof etag, "%s", field_of(answer, "ETag"));
    snprintf(modified, sizeof modified, "%s", field_of(answer, "Last-Modified"));
    static const char before[] = "Mon, 01 Jan 2001 00:00:00 GMT";
    static const char after[] = "Fri, 01 Jan 2100 00:00:00 GMT";
    const struct {
        int status;
        const char *fields; /* %s: the tag, $: the date */
        const char *value;
    } rows[] = {
        {304, "If-None-Match: %s\r\n", etag},
        {304, "If-None-Match: W/%s\r\n", etag},
        {304, "If-None-Match: \"x\", %s\r\n", etag},
        {304, "If-None-Match: *\r\n", ""},
        {200, "If-None-Match: \"x\"\r\n", ""},
        {304, "If-Modified-Since: %s\r\n", modified},
        {304, "If-Modified-Since: %s\r\n", after},
        {200, "If-Modified-Since: %s\r\n", before},
        {200, "If-Modified-Since: nonsense\r\n", ""},
        {200, "If-None-Match: \"x\"\r\nIf-Modified-Since: %s\r\n", modified},
        {200, "If-Match: %s\r\n", etag},
        {412, "If-Match: W/%s\r\n", etag},
        {412, "If-Match: \"x\"\r\n", ""},
        {200, "If-Match: *\r\n", ""},
        {412, "If-Unmodified-Since: %s\r\n", before},
        {200, "If-Unmodified-Since: %s\r\n", modified},
        {206, "Range: bytes=1-2\r\nIf-Range: %s\r\n", etag},
        {200, "Range: bytes=1-2\r\nIf-Range: W/%s\r\n", etag},
        {200, "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", ""},
        {206, "Range: bytes=1-2\r\nIf-Range: %s\r\n", modified},
        {200, "Range: bytes=1-2\r\nIf-Range: %s\r\n", before},
        {200, "Range: bytes=1-2\r\nIf-Range: %s\r\n", after},
        {304, "Range: bytes=1-2\r\nIf-None-Match: %s\r\n", etag},
        {412, "Range: bytes=1-2\r\nIf-Match: \"x\"\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char more[300];
        const char *at = strstr(rows[i].fields, "%s");
        snprintf(more, sizeof more, "%.*s%s%s",
                 at != NULL ? (int)(at - rows[i].fields) : (int)strlen(rows[i].fields),
                 rows[i].fields, at != NULL ? rows[i].value : "", at != NULL ? at + 2 : "");
        answer = ask(web, "GET /a.txt", more);
        cr_expect(t_status(answer) == rows[i].status, "%s: %s", more, answer);
        if (rows[i].status == 304) {
            cr_expect_str_eq(body_of(answer), "");
            cr_expect_str_eq(field_of(answer, "ETag"), etag);
        }
    }
    write_file("root/a.txt", "changed");
    char more[200];
    snprintf(more, sizeof more, "If-None-Match: %s\r\n", etag);
    T_SAYS(body_of(ask(web, "GET /a.txt", more)), "changed");
    snprintf(more, sizeof more, "Range: bytes=1-2\r\nIf-Range: %s\r\n", etag);
    T_SAYS(body_of(ask(web, "GET /a.txt", more)), "changed");
}

/* A cache that keeps them would answer others with them, who have set no condition. */
FILES_TEST(refusals_are_not_to_be_kept, .head_bytes = 0)
{
    T_SAYS(field_of(ask(web, "GET /age/a.txt", ""), "Cache-Control"), "max-age=60");
    const char *answer = ask(web, "GET /age/a.txt", "Range: bytes=0-1\r\n");
    T_STATUS(206, answer);
    T_SAYS(field_of(answer, "Cache-Control"), "max-age=60");
    answer = ask(web, "GET /age/a.txt", "If-None-Match: *\r\n");
    T_STATUS(304, answer);
    T_SAYS(field_of(answer, "Cache-Control"), "max-age=60");
    answer = ask(web, "GET /age/a.txt", "If-Match: \"x\"\r\n");
    T_STATUS(412, answer);
    T_SAYS(field_of(answer, "Cache-Control"), "");
    answer = ask(web, "GET /age/a.txt", "Range: bytes=10-\r\n");
    T_STATUS(416, answer);
    T_SAYS(field_of(answer, "Cache-Control"), "");
    T_SAYS(field_of(answer, "Content-Range"), "bytes */10");
}

/* They are about what the client has of the resource, which is not what a POST is answered with. */
FILES_TEST(conditions_are_for_get_and_head_alone, .head_bytes = 0)
{
    static const char *const conditions[] = {
        "If-None-Match: *\r\n",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        "If-Match: \"x\"\r\n",
        "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT\r\n",
    };
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        const char *answer = ask(web, "POST /done", conditions[i]);
        cr_expect(t_status(answer) == 200, "%s: %s", conditions[i], answer);
        cr_expect_str_eq(body_of(answer), "secret");
    }
}

FILES_TEST(a_program_answers_with_any_file, .head_bytes = 0)
{
    const char *answer = ask(web, "GET /secret", "Range: bytes=0-2\r\n");
    T_STATUS(206, answer);
    T_SAYS(body_of(answer), "sec");
    t_log_begin();
    T_STATUS(500, ask(web, "GET /none", ""));
    cr_assert(t_seen.rc == -ENOENT);
    T_STATUS(500, ask(web, "GET /folder", ""));
    cr_assert(t_seen.rc == -EISDIR);
    T_STATUS(500, ask(web, "GET /pipe", ""));
    cr_assert(t_seen.rc == -EACCES);
    weft_set_log(NULL, NULL);
}

/* A file of that many known bytes, with holes where it is large. */
static void
grow_file(const char *name, size_t known, off_t size)
{
    char path[200];
    unsigned char *bytes = malloc(known);
    t_bytes_make(bytes, known, 7, 0);
    snprintf(path, sizeof path, "%s/%s", root, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert(fd >= 0 && write(fd, bytes, known) == (ssize_t)known && ftruncate(fd, size) == 0);
    close(fd);
    free(bytes);
}

FILES_TEST(a_large_file_arrives_whole, .head_bytes = 0)
{
    static unsigned char bytes[1000000];
    grow_file("large", 1000000, 50000000);
    weft_stream stream;
    weft_bytes head;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /large") T_REQUEST("GET /hello"));
    T_OK(weft_stream_read_until(&stream, "\r\n\r\n", 4, &head));
    for (int i = 0; i < 50; i++) {
        T_OK(weft_stream_read_exact(&stream, bytes, sizeof bytes, NULL));
        cr_assert(i == 0 ? t_bytes_match(bytes, sizeof bytes, 7, 0)
                         : bytes[0] == 0 && memcmp(bytes, bytes + 1, sizeof bytes - 1) == 0);
    }
    T_SAYS(t_hear(&stream), T_OK_TEXT("5", "hello"));
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).bytes_sent == 50000005);
    /* Beyond what 32 bits count. */
    grow_file("larger", 10, 5000000000);
    const char *answer = ask(web, "GET /larger", "Range: bytes=4999999990-\r\n");
    T_SAYS(field_of(answer, "Content-Range"), "bytes 4999999990-4999999999/5000000000");
    answer = ask(web, "HEAD /larger", "");
    T_SAYS(field_of(answer, "Content-Length"), "5000000000");
}

FILES_TEST(a_file_cut_short_meanwhile_cuts_the_answer, .head_bytes = 0)
{
    static unsigned char bytes[65536];
    char path[200];
    grow_file("shrinking", 1000000, 100000000);
    weft_stream stream;
    weft_bytes head;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /shrinking") T_REQUEST("GET /hello"));
    T_OK(weft_stream_read_until(&stream, "\r\n\r\n", 4, &head));
    snprintf(path, sizeof path, "%s/shrinking", root);
    cr_assert(truncate(path, 1000) == 0);
    uint64_t sum = 0;
    ssize_t n;
    while ((n = weft_stream_read(&stream, bytes, sizeof bytes)) > 0) {
        cr_assert(memmem(bytes, (size_t)n, "HTTP/1.1", 8) == NULL, "an answer in the file");
        sum += (uint64_t)n;
    }
    cr_assert(sum < 100000000);
    weft_stream_close(&stream);
    cr_assert(t_web_stats(web).failed == 1);
    T_SAYS(t_talk(web, T_LAST_REQUEST("GET /hello")), T_LAST_TEXT("5", "hello"));
}

FILES_TEST(who_reads_no_file_is_cut_off, .write_timeout = WEFT_MS(100))
{
    grow_file("large", 1000000, 100000000);
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /large"));
    T_UNTIL(t_web_stats(web).failed == 1);
    weft_stream_close(&stream);
}

FILES_TEST(no_descriptors_are_503_and_none_is_lost, .head_bytes = 0)
{
    weft_stream stream;
    t_dial(web, &stream);
    t_tell(&stream, T_REQUEST("GET /a.txt"));
    T_STATUS(200, t_hear(&stream));
    rlim_t old = t_forbid_descriptors();
    t_tell(&stream, T_REQUEST("GET /a.txt"));
    const char *answer = t_hear(&stream);
    t_allow_descriptors(old);
    T_STATUS(503, answer);
    t_tell(&stream, T_REQUEST("GET /a.txt"));
    T_STATUS(200, t_hear(&stream));
    weft_stream_close(&stream);
}

/* ---- Without openat2 ------------------------------------------------------------------------- */

/* From here on this process has a kernel that knows it not, or a container that forbids it. */
static void
forbid_openat2(unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    cr_assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
    cr_assert(syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) < 0 && errno == (int)error);
}

static void
serve_without_openat2(unsigned error)
{
    begin_folder();
    forbid_openat2(error);
    t_run_loops(a_file_is_sent_with_what_is_known_of_it_files_task, NULL, 1);
    t_run_loops(folders_show_their_index_files_task, NULL, 1);
    t_run_loops(nothing_leads_out_of_the_folder_files_task, NULL, 1);
    t_run_loops(a_program_answers_with_any_file_files_task, NULL, 1);
    end_folder();
}

Test(http_files, are_served_by_an_old_kernel_too)
{
    serve_without_openat2(ENOSYS);
}

Test(http_files, are_served_where_openat2_is_forbidden_too)
{
    serve_without_openat2(EPERM);
}

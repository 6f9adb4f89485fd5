/*
 * test_file.c - open files, whole files, and names: on tasks, on plain threads, and when the disk
 * is full.
 */
#include <signal.h>
#include <sys/resource.h>

#include "io/t_file.h"

TestSuite(file, .timeout = 60, .init = t_dir_make, .fini = t_dir_remove);

static const weft_file_options to_write = {.flags = O_RDWR | O_CREAT | O_TRUNC};

static weft_bytes
bytes_of(const char *text)
{
    return (weft_bytes){text, strlen(text)};
}

/* ---- An open file --------------------------------------------------------------------------- */

static void
reads_and_writes(void)
{
    weft_file file;
    char buf[64];
    T_OK(weft_file_open(&file, t_path("a"), &to_write));
    T_ERR(5, weft_file_write(&file, "hello", 5));
    T_OK(weft_file_write_all(&file, ", world", 7, NULL));
    T_ERR(12, weft_file_tell(&file));
    T_ERR(0, weft_file_read(&file, buf, sizeof buf));
    T_ERR(7, weft_file_seek(&file, 7, SEEK_SET));
    T_ERR(5, weft_file_read(&file, buf, sizeof buf));
    cr_assert(memcmp(buf, "world", 5) == 0);
    T_ERR(2, weft_file_pread(&file, buf, 2, 1));
    cr_assert(memcmp(buf, "el", 2) == 0);
    T_ERR(2, weft_file_pwrite(&file, "EL", 2, 1));
    T_ERR(12, weft_file_tell(&file));
    struct stat status;
    T_OK(weft_file_stat(&file, &status));
    cr_assert(status.st_size == 12);
    T_OK(weft_file_truncate(&file, 5));
    T_OK(weft_file_sync(&file));
    T_OK(weft_file_datasync(&file));
    T_ERR(5, weft_file_seek(&file, 0, SEEK_END));
    T_ERR(0, weft_file_write(&file, NULL, 0));
    T_OK(weft_file_close(&file));
    T_OK(weft_file_close(&file));
    T_ERR(-EBADF, weft_file_read(&file, buf, 1));
    T_ERR(-EBADF, weft_file_tell(&file));
    T_ERR(-EBADF, weft_file_raw(&file));
    cr_assert(t_holds(t_path("a"), "hELlo"));
}

TASK_TEST(file, reads_and_writes_at_its_position)
{
    reads_and_writes();
}

Test(file, calls_simply_block_on_a_plain_thread)
{
    t_leak_begin();
    reads_and_writes();
    t_leak_end();
}

TASK_TEST(file, seeks_where_positions_are_and_nowhere_else)
{
    weft_file file;
    T_OK(weft_file_open(&file, t_path("a"), &to_write));
    T_ERR(10, weft_file_seek(&file, 10, SEEK_CUR));
    T_ERR(-EINVAL, weft_file_seek(&file, -11, SEEK_CUR));
    T_ERR(-EINVAL, weft_file_seek(&file, -1, SEEK_SET));
    T_ERR(-EINVAL, weft_file_seek(&file, -1, SEEK_END));
    T_ERR(-EINVAL, weft_file_seek(&file, 0, 99));
    T_ERR(-EOVERFLOW, weft_file_seek(&file, INT64_MAX, SEEK_CUR));
    T_ERR(10, weft_file_tell(&file));
    T_ERR(1, weft_file_write(&file, "x", 1)); /* behind a hole */
    T_ERR(11, weft_file_seek(&file, 0, SEEK_END));
    T_ERR(-EINVAL, weft_file_pread(&file, &(char){0}, 1, UINT64_MAX));
    T_ERR(-EINVAL, weft_file_truncate(&file, UINT64_MAX));
    T_OK(weft_file_close(&file));
}

TASK_TEST(file, beyond_four_gigabytes_offsets_are_whole)
{
    weft_file file;
    char byte;
    int64_t far = INT64_C(5) << 30;
    T_OK(weft_file_open(&file, t_path("huge"), &to_write));
    T_ERR(far, weft_file_seek(&file, far, SEEK_SET));
    T_OK(weft_file_write_all(&file, "ab", 2, NULL));
    T_ERR(far + 2, weft_file_tell(&file));
    T_ERR(1, weft_file_pread(&file, &byte, 1, (uint64_t)far + 1));
    cr_assert(byte == 'b');
    struct stat status;
    T_OK(weft_file_stat(&file, &status));
    cr_assert(status.st_size == far + 2);
    T_OK(weft_file_close(&file));
    weft_buf all = {0};
    T_ERR(-EFBIG, weft_file_read_all(t_path("huge"), &all, 1 << 20));
    cr_assert(all.len == 0);
    weft_buf_free(&all);
}

TASK_TEST(file, appends_at_the_end_wherever_the_position_is)
{
    weft_file file;
    char buf[8];
    t_put(t_path("a"), "one ");
    T_OK(weft_file_open(&file, t_path("a"), &(weft_file_options){.flags = O_RDWR | O_APPEND}));
    T_ERR(2, weft_file_read(&file, buf, 2));
    T_OK(weft_file_write_all(&file, "two ", 4, NULL));
    T_ERR(8, weft_file_tell(&file));
    T_ERR(0, weft_file_seek(&file, 0, SEEK_SET));
    T_ERR(5, weft_file_write(&file, "three", 5));
    T_OK(weft_file_close(&file));
    cr_assert(t_holds(t_path("a"), "one two three"));
}

TASK_TEST(file, what_cannot_be_opened_says_why)
{
    weft_file file;
    T_ERR(-ENOENT, weft_file_open(&file, t_path("none"), NULL));
    cr_assert(strstr(weft_error_text(), t_path("none")) != NULL, "%s", weft_error_text());
    T_ERR(-EISDIR, weft_file_open(&file, t_dir, &to_write));
    T_ERR(-EINVAL, weft_file_open(&file, t_dir, &(weft_file_options){.flags = O_PATH}));
    cr_assert(mkfifo(t_path("pipe"), 0600) == 0);
    T_ERR(-ESPIPE, weft_file_open(&file, t_path("pipe"), NULL));
    T_ERR(-ENXIO, weft_file_open(&file, t_path("pipe"), &(weft_file_options){.flags = O_WRONLY}));
    t_put(t_path("there"), "");
    T_ERR(-EEXIST, weft_file_open(&file, t_path("there"),
                                  &(weft_file_options){.flags = O_WRONLY | O_CREAT | O_EXCL}));
    T_OK(weft_file_open(&file, t_path("there"), NULL));
    T_ERR(-EBADF, weft_file_write(&file, "x", 1));
    T_OK(weft_file_close(&file));
    T_OK(weft_file_open(&file, t_dir, NULL));
    T_ERR(-EISDIR, weft_file_read(&file, &(char){0}, 1));
    T_OK(weft_file_close(&file));
}

TASK_TEST(file, a_full_disk_is_told)
{
    weft_file file;
    size_t written = 9;
    T_OK(weft_file_open(&file, "/dev/full", &(weft_file_options){.flags = O_RDWR}));
    T_ERR(-ENOSPC, weft_file_write(&file, "x", 1));
    T_ERR(-ENOSPC, weft_file_write_all(&file, "xyz", 3, &written));
    cr_assert(written == 0);
    T_ERR(0, weft_file_tell(&file));
    T_ERR(-ENOSPC, weft_file_pwrite(&file, "x", 1, 0));
    T_OK(weft_file_close(&file));
    T_ERR(-ENOSPC, weft_file_append("/dev/full", bytes_of("x"), 0, &written));
}

static void
limited(void)
{
    struct rlimit old, limit;
    cr_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
    limit = old;
    limit.rlim_cur = 10;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    weft_file file;
    size_t written;
    int opened = weft_file_open(&file, t_path("a"), &to_write);
    ssize_t some = weft_file_write(&file, "0123456", 7);
    int all = weft_file_write_all(&file, "789abc", 6, &written);
    ssize_t none = weft_file_write(&file, "x", 1);
    int longer = weft_file_truncate(&file, 11);
    int atomic = weft_file_write_atomic(t_path("b"), bytes_of("more than that"), 0);
    int closed = weft_file_close(&file);
    cr_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
    T_OK(opened);
    T_ERR(7, some);
    T_ERR(-EFBIG, all);
    cr_assert(written == 3);
    T_ERR(-EFBIG, none);
    T_ERR(-EFBIG, longer);
    T_ERR(-EFBIG, atomic);
    T_OK(closed);
    cr_assert(t_holds(t_path("a"), "0123456789"));
    cr_assert(t_count(t_dir) == 1);
    sigset_t pending;
    sigpending(&pending);
    cr_assert(!sigismember(&pending, SIGXFSZ));
}

TASK_TEST(file, a_limit_of_size_is_an_error_and_no_signal)
{
    limited();
}

Test(file, a_limit_of_size_is_no_signal_on_a_plain_thread_either)
{
    limited();
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void
expect_line(weft_file *file, const char *text)
{
    weft_bytes line;
    T_ERR(1, weft_file_read_line(file, &line));
    cr_assert(line.len == strlen(text) && memcmp(line.data, text, line.len) == 0, "got %.*s",
              (int)line.len, (const char *)line.data);
}

TASK_TEST(file, gives_line_after_line_with_either_end)
{
    weft_file file;
    weft_bytes line;
    t_put(t_path("a"), "one\r\n\ntwo\rx\n\r\nlast");
    T_OK(weft_file_open(&file, t_path("a"), NULL));
    expect_line(&file, "one");
    T_ERR(5, weft_file_tell(&file));
    expect_line(&file, "");
    expect_line(&file, "two\rx");
    expect_line(&file, "");
    expect_line(&file, "last");
    T_ERR(0, weft_file_read_line(&file, &line));
    T_ERR(0, weft_file_read_line(&file, &line));
    T_ERR(1, weft_file_seek(&file, 1, SEEK_SET));
    expect_line(&file, "ne");
    T_OK(weft_file_close(&file));

    t_put(t_path("empty"), "");
    T_OK(weft_file_open(&file, t_path("empty"), NULL));
    T_ERR(0, weft_file_read_line(&file, &line));
    T_OK(weft_file_close(&file));
}

TASK_TEST(file, lines_longer_than_what_is_read_at_once_are_whole)
{
    size_t len = 200000;
    char *text = malloc(2 * len + 3);
    memset(text, 'a', len);
    text[len] = '\n';
    memset(text + len + 1, 'b', len);
    text[2 * len + 1] = '\n';
    text[2 * len + 2] = '\0';
    t_put(t_path("a"), text);
    weft_file file;
    T_OK(weft_file_open(&file, t_path("a"), NULL));
    text[len] = '\0';
    text[2 * len + 1] = '\0';
    expect_line(&file, text);
    expect_line(&file, text + len + 1);
    T_ERR(0, weft_file_read_line(&file, &(weft_bytes){0}));
    T_OK(weft_file_close(&file));
    free(text);
}

TASK_TEST(file, a_line_over_the_limit_is_refused_and_stays)
{
    weft_file file;
    weft_bytes line;
    char buf[8];
    t_put(t_path("a"), "12345\r\n123456\nrest");
    T_OK(weft_file_open(&file, t_path("a"), &(weft_file_options){.line_max = 5}));
    expect_line(&file, "12345");
    T_ERR(-EMSGSIZE, weft_file_read_line(&file, &line));
    T_ERR(-EMSGSIZE, weft_file_read_line(&file, &line));
    T_ERR(7, weft_file_tell(&file));
    T_ERR(7, weft_file_read(&file, buf, 7));
    expect_line(&file, "rest");
    T_OK(weft_file_close(&file));
}

TASK_TEST(file, lines_show_what_the_file_itself_wrote_and_what_grew)
{
    weft_file file;
    weft_bytes line;
    t_put(t_path("a"), "one\ntwo\nthr");
    T_OK(weft_file_open(&file, t_path("a"), &(weft_file_options){.flags = O_RDWR}));
    expect_line(&file, "one");
    T_ERR(3, weft_file_pwrite(&file, "TWO", 3, 4));
    expect_line(&file, "TWO");
    T_ERR(2, weft_file_pwrite(&file, "ee", 2, 11));
    expect_line(&file, "three");
    T_ERR(0, weft_file_read_line(&file, &line));
    T_OK(weft_file_append(t_path("a"), bytes_of("\nmore\n"), 0, NULL));
    expect_line(&file, "");
    expect_line(&file, "more");
    T_OK(weft_file_close(&file));
}

/* ---- Several at once ------------------------------------------------------------------------ */

struct part {
    weft_file *file;
    unsigned number;
    char bytes[1000];
};

static int
write_part(void *arg)
{
    struct part *part = arg;
    memset(part->bytes, 'a' + (int)part->number, sizeof part->bytes);
    ssize_t n = weft_file_pwrite(part->file, part->bytes, sizeof part->bytes,
                                 part->number * sizeof part->bytes);
    return n == sizeof part->bytes ? 0 : -EIO;
}

static int
write_parts(void *arg)
{
    (void)arg;
    weft_file file;
    static struct part parts[26];
    T_OK(weft_file_open(&file, t_path("a"), &to_write));
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 26; i++) {
        parts[i] = (struct part){.file = &file, .number = i};
        cr_assert(weft_group_spawn(&group, write_part, &parts[i]) >= 0);
    }
    T_OK(weft_group_close(&group));
    for (unsigned i = 0; i < 26; i++) {
        char bytes[1000];
        T_ERR(1000, weft_file_read(&file, bytes, sizeof bytes));
        cr_assert(memcmp(bytes, parts[i].bytes, sizeof bytes) == 0);
    }
    T_OK(weft_file_close(&file));
    return 0;
}

Test(file, is_written_at_many_places_at_once_from_any_loop)
{
    t_run_loops(write_parts, NULL, 2);
}

static int
read_some(void *arg)
{
    char buf[8];
    return (int)weft_file_read(arg, buf, sizeof buf);
}

TASK_TEST(file, a_second_user_of_the_position_is_refused)
{
    weft_file file;
    int result;
    t_put(t_path("a"), "0123");
    T_OK(weft_file_open(&file, t_path("a"), NULL));
    weft_task *task;
    T_OK(weft_task_spawn(&task, read_some, &file, NULL));
    T_OK(weft_yield()); /* it is in its call, which ends only when we wait */
    T_ERR(-EBUSY, weft_file_tell(&file));
    T_ERR(-EBUSY, weft_file_read(&file, &(char){0}, 1));
    T_OK(weft_file_close(&file)); /* its call goes on, and closes it */
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 4);
    T_ERR(-EBADF, weft_file_read(&file, &(char){0}, 1));
}

TASK_TEST(file, a_cancelled_call_leaves_all_as_it_was_and_closing_works)
{
    weft_file file, other;
    char buf[8] = "";
    weft_bytes line;
    t_put(t_path("a"), "0123\n");
    T_OK(weft_file_open(&file, t_path("a"), &(weft_file_options){.flags = O_RDWR}));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_file_read(&file, buf, 1));
    T_ERR(-ECANCELED, weft_file_read_line(&file, &line));
    T_ERR(-ECANCELED, weft_file_write(&file, "x", 1));
    T_ERR(-ECANCELED, weft_file_seek(&file, 1, SEEK_SET));
    T_ERR(-ECANCELED, weft_file_open(&other, t_path("b"), &to_write));
    T_ERR(-ECANCELED, weft_path_exists(t_path("a")));
    T_OK(weft_file_close(&file));
    weft_scope_close(&scope);
    cr_assert(buf[0] == '\0');
    cr_assert(t_holds(t_path("a"), "0123\n"));
    cr_assert(t_count(t_dir) == 1);
}

/* ---- Whole files ---------------------------------------------------------------------------- */

TASK_TEST(file, read_all_adds_behind_what_is_there_or_changes_nothing)
{
    weft_buf buf = {0};
    T_OK(weft_buf_append(&buf, "> ", 2));
    t_put(t_path("a"), "text");
    t_put(t_path("empty"), "");
    T_OK(weft_file_read_all(t_path("a"), &buf, 4));
    cr_assert(buf.len == 6 && memcmp(buf.data, "> text", 6) == 0);
    T_ERR(-EFBIG, weft_file_read_all(t_path("a"), &buf, 3));
    T_ERR(-EFBIG, weft_file_read_all("/dev/zero", &buf, 100));
    T_ERR(-EISDIR, weft_file_read_all(t_dir, &buf, SIZE_MAX));
    T_ERR(-ENOENT, weft_file_read_all(t_path("none"), &buf, SIZE_MAX));
    T_OK(weft_file_read_all(t_path("empty"), &buf, 0));
    cr_assert(buf.len == 6);
    weft_buf_free(&buf);
}

TASK_TEST(file, read_all_reads_files_that_say_they_are_empty)
{
    weft_buf buf = {0};
    T_OK(weft_file_read_all("/proc/self/status", &buf, SIZE_MAX));
    cr_assert(buf.len > 100 && memcmp(buf.data, "Name:", 5) == 0);
    weft_buf_free(&buf);
}

TASK_TEST(file, read_all_takes_several_steps_for_a_large_file)
{
    size_t len = ((size_t)20 << 20) + 7;
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    T_OK(weft_file_write_atomic(t_path("large"), (weft_bytes){bytes, len}, 0));
    weft_buf buf = {0};
    T_OK(weft_file_read_all(t_path("large"), &buf, len));
    cr_assert(buf.len == len && memcmp(buf.data, bytes, len) == 0);
    buf.len = 0;
    T_OK(weft_file_append(t_path("large"), (weft_bytes){bytes, len}, 0, NULL));
    T_OK(weft_file_read_all(t_path("large"), &buf, SIZE_MAX));
    cr_assert(buf.len == 2 * len && memcmp(buf.data + len, bytes, len) == 0);
    weft_buf_free(&buf);
    free(bytes);
}

TASK_TEST(file, write_atomic_replaces_content_and_keeps_the_mode)
{
    struct stat status;
    umask(022);
    T_OK(weft_file_write_atomic(t_path("a"), bytes_of("one"), 0));
    T_OK(weft_path_stat(t_path("a"), WEFT_LINKS_KEEP, &status));
    cr_assert((status.st_mode & 07777) == 0644);
    cr_assert(chmod(t_path("a"), 0604) == 0);
    T_OK(weft_file_write_atomic(t_path("a"), bytes_of("two"), 0));
    T_OK(weft_path_stat(t_path("a"), WEFT_LINKS_KEEP, &status));
    cr_assert((status.st_mode & 07777) == 0604);
    T_OK(weft_file_write_atomic(t_path("a"), bytes_of(""), 0600));
    T_OK(weft_path_stat(t_path("a"), WEFT_LINKS_KEEP, &status));
    cr_assert((status.st_mode & 07777) == 0600 && status.st_size == 0);
    cr_assert(t_count(t_dir) == 1);

    cr_assert(chdir(t_dir) == 0); /* a name without a directory */
    T_OK(weft_file_write_atomic("b", bytes_of("here"), 0));
    cr_assert(t_holds(t_path("b"), "here"));
    cr_assert(chdir("/") == 0);

    T_ERR(-EISDIR, weft_file_write_atomic(t_dir, bytes_of("x"), 0));
    T_ERR(-ENOENT, weft_file_write_atomic(t_path("no/such"), bytes_of("x"), 0));
    T_ERR(-ENOENT, weft_file_write_atomic("", bytes_of("x"), 0));
    cr_assert(weft_file_write_atomic(t_path("b/"), bytes_of("x"), 0) < 0);
    cr_assert(t_count(t_dir) == 2);
}

TASK_TEST(file, write_atomic_replaces_links_but_no_devices)
{
    struct stat status;
    t_put(t_path("a"), "kept");
    cr_assert(symlink("a", t_path("link")) == 0);
    T_OK(weft_file_write_atomic(t_path("link"), bytes_of("new"), 0));
    cr_assert(t_holds(t_path("a"), "kept") && t_holds(t_path("link"), "new"));
    cr_assert(mkfifo(t_path("pipe"), 0600) == 0);
    T_ERR(-EINVAL, weft_file_write_atomic(t_path("pipe"), bytes_of("new"), 0));
    cr_assert(stat(t_path("pipe"), &status) == 0 && S_ISFIFO(status.st_mode));
    cr_assert(t_count(t_dir) == 3);
}

TASK_TEST(file, append_makes_the_file_and_adds_to_it)
{
    size_t written;
    T_OK(weft_file_append(t_path("log"), bytes_of("one\n"), 0600, NULL));
    T_OK(weft_file_append(t_path("log"), bytes_of("two\n"), 0, &written));
    T_OK(weft_file_append(t_path("log"), bytes_of(""), 0, NULL));
    cr_assert(written == 4);
    cr_assert(t_holds(t_path("log"), "one\ntwo\n"));
}

/* ---- Names ---------------------------------------------------------------------------------- */

TASK_TEST(file, names_are_made_renamed_and_removed)
{
    struct stat status;
    T_OK(weft_path_mkdir(t_path("d"), 0, 0));
    T_ERR(-EEXIST, weft_path_mkdir(t_path("d"), 0, 0));
    T_OK(weft_path_mkdir(t_path("d"), 0, 1));
    T_ERR(-ENOENT, weft_path_mkdir(t_path("x/y"), 0, 0));
    T_OK(weft_path_mkdir(t_path("x//y/z/"), 0, 1));
    T_ERR(-ENOENT, weft_path_mkdir("", 0, 1));
    T_ERR(1, weft_path_exists(t_path("x/y/z")));
    t_put(t_path("x/file"), "");
    T_ERR(-ENOTDIR, weft_path_mkdir(t_path("x/file/more"), 0, 1));
    T_ERR(-EEXIST, weft_path_mkdir(t_path("x/file"), 0, 1));
    T_ERR(0, weft_path_exists(t_path("x/file/more")));
    T_OK(weft_path_rename(t_path("x/file"), t_path("d/moved")));
    T_ERR(0, weft_path_exists(t_path("x/file")));
    T_ERR(-ENOTEMPTY, weft_path_remove(t_path("d")));
    T_OK(weft_path_remove(t_path("d/moved")));
    T_OK(weft_path_remove(t_path("d")));
    T_ERR(-ENOENT, weft_path_remove(t_path("d")));
    T_ERR(-ENOENT, weft_path_rename(t_path("d"), t_path("e")));
    cr_assert(symlink("nowhere", t_path("link")) == 0);
    T_ERR(0, weft_path_exists(t_path("link")));
    T_ERR(-ENOENT, weft_path_stat(t_path("link"), WEFT_LINKS_FOLLOW, &status));
    T_OK(weft_path_stat(t_path("link"), WEFT_LINKS_KEEP, &status));
    cr_assert(S_ISLNK(status.st_mode));
}

TASK_TEST(file, temporary_directories_have_names_of_their_own)
{
    char a[PATH_MAX], b[PATH_MAX];
    snprintf(a, sizeof a, "%s", t_path("tmp-XXXXXX"));
    snprintf(b, sizeof b, "%s", t_path("tmp-XXXXXX"));
    T_OK(weft_path_mkdir_temp(a));
    T_OK(weft_path_mkdir_temp(b));
    cr_assert(strcmp(a, b) != 0);
    char bad[] = "/tmp/none";
    T_ERR(-EINVAL, weft_path_mkdir_temp(bad));
    cr_assert_str_eq(bad, "/tmp/none");
    char no[] = "/no/such/dirXXXXXX";
    T_ERR(-ENOENT, weft_path_mkdir_temp(no));
    cr_assert_str_eq(no, "/no/such/dirXXXXXX");
}

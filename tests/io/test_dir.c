/*
 * test_dir.c - the names of a directory, walks through trees, and removing these.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "io/t_file.h"

TestSuite(dir, .timeout = 60, .init = t_dir_make, .fini = t_dir_remove);

static void
make_dir(const char *name)
{
    cr_assert(mkdir(t_path(name), 0700) == 0);
}

/* ---- One directory -------------------------------------------------------------------------- */

TASK_TEST(dir, gives_each_name_once_with_its_kind)
{
    weft_dir dir;
    weft_dir_entry entry;
    unsigned seen = 0;
    t_put(t_path("file"), "");
    make_dir("dir");
    cr_assert(symlink("nowhere", t_path("link")) == 0);
    cr_assert(mkfifo(t_path("pipe"), 0600) == 0);
    T_OK(weft_dir_open(&dir, t_dir));
    int rc;
    while ((rc = weft_dir_next(&dir, &entry)) > 0) {
        cr_assert(entry.name_len == strlen(entry.name) && entry.inode != 0);
        static const char *const names[] = {"pipe", "file", "dir", "link"}; /* by kind */
        cr_assert_str_eq(entry.name, names[entry.kind]);
        cr_assert(!(seen & 1u << entry.kind));
        seen |= 1u << entry.kind;
    }
    T_OK(rc);
    cr_assert(seen == 15);
    T_OK(weft_dir_next(&dir, &entry));
    weft_dir_close(&dir);
    weft_dir_close(&dir);
    T_ERR(-EBADF, weft_dir_next(&dir, &entry));
}

TASK_TEST(dir, that_cannot_be_opened_says_why)
{
    weft_dir dir;
    t_put(t_path("file"), "");
    T_ERR(-ENOTDIR, weft_dir_open(&dir, t_path("file")));
    T_ERR(-ENOENT, weft_dir_open(&dir, t_path("none")));
    cr_assert(strstr(weft_error_text(), t_path("none")) != NULL);
}

static void
make_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[100];
        snprintf(name, sizeof name, "a-name-that-is-rather-long-so-that-few-fit-%05u", i);
        t_put(t_path(name), "");
    }
}

#define MANY 3000

/* Every name once, though each second call is cancelled. */
TASK_TEST(dir, of_many_names_loses_none_to_a_cancellation)
{
    static bool seen[MANY];
    make_many(MANY);
    weft_dir dir;
    weft_dir_entry entry;
    T_OK(weft_dir_open(&dir, t_dir));
    unsigned n = 0;
    for (;;) {
        weft_scope scope;
        weft_scope_open(&scope, WEFT_FOREVER);
        weft_scope_cancel(&scope);
        T_ERR(-ECANCELED, weft_dir_next(&dir, &entry));
        weft_scope_close(&scope);
        int rc = weft_dir_next(&dir, &entry);
        if (rc == 0)
            break;
        T_ERR(1, rc);
        int i = atoi(strrchr(entry.name, '-') + 1);
        cr_assert(!seen[i]);
        seen[i] = true;
        n++;
    }
    cr_assert(n == MANY);
    weft_dir_close(&dir);
}

/* ---- Trees ---------------------------------------------------------------------------------- */

static char walked[8192];

/* Each entry of a walk as a line: its path behind the test's directory, and the error. */
static int
walk_all(const char *root, const weft_walk_options *options, const char *skip)
{
    weft_walk walk;
    weft_walk_entry entry;
    walked[0] = '\0';
    size_t len = 0;
    T_OK(weft_walk_open(&walk, root, options));
    int rc;
    while ((rc = weft_walk_next(&walk, &entry)) > 0) {
        cr_assert(strncmp(entry.path, root, strlen(root)) == 0);
        const char *name = strrchr(entry.path, '/') + 1;
        cr_assert_str_eq(entry.name, entry.depth > 0 ? name : "");
        len += (size_t)snprintf(walked + len, sizeof walked - len, "%u%c %s%s%s\n", entry.depth,
                                "ofdl"[entry.kind], entry.path + strlen(root),
                                entry.error < 0 ? " " : "",
                                entry.error < 0 ? weft_errname(entry.error) : "");
        if (skip != NULL && strcmp(name, skip) == 0)
            weft_walk_skip(&walk);
    }
    weft_walk_close(&walk);
    weft_walk_close(&walk);
    T_ERR(-EBADF, weft_walk_next(&walk, &entry));
    return rc;
}

static void
make_tree(void)
{
    make_dir("b");
    make_dir("b/inner");
    make_dir("b/inner/most");
    t_put(t_path("b/inner/most/deep"), "");
    t_put(t_path("b/file"), "");
    t_put(t_path("a"), "");
    make_dir("c");
    make_dir("empty");
    cr_assert(symlink("../b", t_path("c/to-b")) == 0);
    cr_assert(symlink("nowhere", t_path("c/dangling")) == 0);
}

static const weft_walk_options sorted = {.sorted = 1};

#define WHOLE_TREE                                                                                 \
    "1f /a\n1d /b\n2f /b/file\n2d /b/inner\n3d /b/inner/most\n4f /b/inner/most/deep\n"             \
    "1d /c\n2l /c/dangling\n2l /c/to-b\n1d /empty\n"

TASK_TEST(dir, a_walk_gives_directories_before_what_is_in_them)
{
    make_tree();
    T_OK(walk_all(t_dir, &sorted, NULL));
    cr_assert_str_eq(walked, WHOLE_TREE);
    size_t len = strlen(walked);
    T_OK(walk_all(t_dir, NULL, NULL));
    cr_assert(strlen(walked) == len); /* the same, in some order */
}

TASK_TEST(dir, a_walk_stays_within_its_depth_and_skips)
{
    make_tree();
    T_OK(walk_all(t_dir, &(weft_walk_options){.sorted = 1, .depth = 1}, NULL));
    cr_assert_str_eq(walked, "1f /a\n1d /b\n1d /c\n1d /empty\n");
    T_OK(walk_all(t_dir, &(weft_walk_options){.sorted = 1, .depth = 2}, "c"));
    cr_assert_str_eq(walked, "1f /a\n1d /b\n2f /b/file\n2d /b/inner\n1d /c\n1d /empty\n");
}

TASK_TEST(dir, a_walk_follows_links_but_not_in_a_circle)
{
    make_tree();
    cr_assert(symlink("../..", t_path("b/inner/up")) == 0);
    T_OK(walk_all(t_dir, &(weft_walk_options){.sorted = 1, .follow = 1}, NULL));
    cr_assert_str_eq(
        walked, "1f /a\n1d /b\n2f /b/file\n2d /b/inner\n3d /b/inner/most\n4f /b/inner/most/deep\n"
                "3d /b/inner/up\n3d /b/inner/up ELOOP\n"
                "1d /c\n2l /c/dangling\n2d /c/to-b\n3f /c/to-b/file\n3d /c/to-b/inner\n"
                "4d /c/to-b/inner/most\n5f /c/to-b/inner/most/deep\n4d /c/to-b/inner/up\n"
                "4d /c/to-b/inner/up ELOOP\n1d /empty\n");
}

TASK_TEST(dir, a_walk_tells_of_what_it_cannot_read_and_goes_on)
{
    weft_walk walk;
    weft_walk_entry entry;
    T_OK(walk_all(t_path("none"), NULL, NULL));
    cr_assert_str_eq(walked, "0d  ENOENT\n");
    T_ERR(-EINVAL, weft_walk_open(&walk, "", NULL));
    make_tree();
    /* Not by permissions: tests may run as a user who needs none. */
    T_OK(weft_walk_open(&walk, t_dir, &sorted));
    T_ERR(1, weft_walk_next(&walk, &entry));
    T_ERR(1, weft_walk_next(&walk, &entry));
    cr_assert_str_eq(entry.name, "b");
    cr_assert(rename(t_path("b"), t_path("elsewhere")) == 0);
    T_ERR(1, weft_walk_next(&walk, &entry));
    cr_assert_str_eq(entry.name, "b");
    T_ERR(-ENOENT, entry.error);
    cr_assert(entry.depth == 1);
    T_ERR(1, weft_walk_next(&walk, &entry));
    cr_assert_str_eq(entry.name, "c");
    weft_walk_close(&walk); /* in the midst of it */
}

TASK_TEST(dir, a_walk_goes_on_after_a_cancellation)
{
    make_tree();
    weft_walk walk;
    weft_walk_entry entry;
    unsigned n = 0;
    T_OK(weft_walk_open(&walk, t_dir, NULL));
    for (;;) {
        weft_scope scope;
        weft_scope_open(&scope, WEFT_FOREVER);
        weft_scope_cancel(&scope);
        T_ERR(-ECANCELED, weft_walk_next(&walk, &entry));
        weft_scope_close(&scope);
        int rc = weft_walk_next(&walk, &entry);
        if (rc == 0)
            break;
        T_ERR(1, rc);
        n++;
    }
    weft_walk_close(&walk);
    cr_assert(n == 10);
}

/* ---- Removing ------------------------------------------------------------------------------- */

TASK_TEST(dir, a_tree_is_removed_and_nothing_links_lead_to)
{
    make_tree();
    make_dir("kept");
    t_put(t_path("kept/file"), "text");
    cr_assert(symlink("../kept", t_path("b/link")) == 0);
    cr_assert(symlink("kept", t_path("itself")) == 0);
    T_OK(weft_path_remove_tree(t_path("b")));
    T_OK(weft_path_remove_tree(t_path("b")));
    T_OK(weft_path_remove_tree(t_path("c/")));
    T_OK(weft_path_remove_tree(t_path("a")));
    T_OK(weft_path_remove_tree(t_path("itself")));
    T_OK(weft_path_remove_tree(t_path("empty")));
    cr_assert(t_count(t_dir) == 1);
    cr_assert(t_holds(t_path("kept/file"), "text"));
    T_ERR(-EINVAL, weft_path_remove_tree("//"));
}

TASK_TEST(dir, a_large_tree_is_removed_in_several_steps)
{
    make_many(MANY);
    char path[4096] = "deep";
    for (int i = 0; i < 100; i++) {
        make_dir(path);
        char file[sizeof path + 8];
        snprintf(file, sizeof file, "%s/file", path);
        t_put(t_path(file), "");
        strcat(path, "/deeper");
    }
    T_OK(weft_path_remove_tree(t_dir));
    cr_assert(access(t_dir, F_OK) < 0);
}

/* As deep as there are descriptors for, on threads with little stack. */
static int
remove_deep(void *arg)
{
    T_OK(weft_path_remove_tree(arg));
    return 0;
}

Test(dir, a_deep_tree_is_removed_on_a_small_stack)
{
    struct rlimit files;
    cr_assert(getrlimit(RLIMIT_NOFILE, &files) == 0);
    rlim_t levels = files.rlim_max < 10100 ? files.rlim_max - 100 : 10000;
    files.rlim_cur = levels + 100;
    cr_assert(setrlimit(RLIMIT_NOFILE, &files) == 0);
    pthread_attr_t small;
    cr_assert(pthread_attr_init(&small) == 0);
    cr_assert(pthread_attr_setstacksize(&small, (size_t)256 << 10) == 0);
    cr_assert(pthread_setattr_default_np(&small) == 0);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(here >= 0 && chdir(t_dir) == 0);
    for (rlim_t i = 0; i < levels; i++)
        cr_assert(mkdir("d", 0700) == 0 && chdir("d") == 0);
    cr_assert(fchdir(here) == 0);
    close(here);
    cr_assert(weft_run(remove_deep, t_dir, NULL) == 0);
    cr_assert(access(t_dir, F_OK) < 0);
    pthread_attr_destroy(&small);
}

/*
 * test_notify.c - files watched: each kind of event, directories that come, move and go, and what
 * happens when there are too many of anything.
 */
#include <stdarg.h>
#include <sys/stat.h>

#include <weft/notify.h>

#include "io/t_io.h"

TestSuite(notify, .timeout = 120);

/* ---- A folder of its own --------------------------------------------------------------------- */

static char folder[64];

static const char *
in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void
folder_make(void)
{
    strcpy(folder, "/tmp/weft-notify-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void
folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert(system(command) == 0);
}

static void
file_write(const char *name)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
}

static void
dir_make(const char *name)
{
    cr_assert(mkdir(in_folder(name), 0700) == 0);
}

static void
move(const char *from, const char *to)
{
    cr_assert(rename(in_folder(from), in_folder(to)) == 0);
}

#define NOTIFY_TEST(name)                                                                          \
    static void name##_with_folder(void);                                                          \
    LOOPS_TEST(notify, name, 1)                                                                    \
    {                                                                                              \
        folder_make();                                                                             \
        name##_with_folder();                                                                      \
        folder_remove();                                                                           \
    }                                                                                              \
    static void name##_with_folder(void)

/* An event as text: its kind, a slash for directories, the path within the folder. */
static const char *
text_of(const weft_notify_event *event, char text[256])
{
    static const char *const kinds[] = {"?",     "created", "modified",   "closed",
                                        "moved", "removed", "attributes", "overflow"};
    size_t len = strlen(folder);
    snprintf(text, 256, "%s%s%s%s%s%s", kinds[event->kind], event->is_directory ? "/" : "",
             event->from != NULL ? " from " : "", event->from != NULL ? event->from + len : "",
             event->path != NULL ? " " : "", event->path != NULL ? event->path + len : "");
    return text;
}

static void
assert_next(weft_notify *notify, const char *expected)
{
    weft_notify_event event;
    char text[256];
    T_OK(weft_notify_next(notify, &event));
    cr_assert_str_eq(text_of(&event, text), expected, "%s, not %s", text, expected);
}

static void
assert_none(weft_notify *notify)
{
    weft_notify_event event;
    char text[256];
    int rc = weft_notify_try_next(notify, &event);
    cr_assert(rc == -EAGAIN, "%d: %s", rc, rc == 0 ? text_of(&event, text) : "");
}

/* In either order: as the directory has them. */
static void
assert_next_two(weft_notify *notify, const char *one, const char *two)
{
    for (int i = 0; i < 2; i++) {
        weft_notify_event event;
        char text[256];
        T_OK(weft_notify_next(notify, &event));
        text_of(&event, text);
        cr_assert(strcmp(text, one) == 0 || strcmp(text, two) == 0, "%s", text);
        if (strcmp(text, one) == 0)
            one = two;
        else
            two = one;
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

NOTIFY_TEST(the_life_of_a_file_is_told)
{
    weft_notify notify;
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, 0));
    assert_none(&notify);
    file_write("a");
    assert_next(&notify, "created /a");
    assert_next(&notify, "modified /a");
    assert_next(&notify, "closed /a");
    cr_assert(chmod(in_folder("a"), 0644) == 0);
    assert_next(&notify, "attributes /a");
    move("a", "b");
    assert_next(&notify, "moved from /a /b");
    cr_assert(unlink(in_folder("b")) == 0);
    assert_next(&notify, "removed /b");
    dir_make("d");
    assert_next(&notify, "created/ /d");
    file_write("d/inside"); /* not recursive */
    cr_assert(chmod(in_folder("d"), 0755) == 0);
    assert_next(&notify, "attributes/ /d");
    assert_none(&notify);
    weft_notify_close(&notify);
    weft_notify_close(&notify);
}

NOTIFY_TEST(a_file_alone_can_be_watched)
{
    weft_notify notify;
    file_write("a");
    file_write("b");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, in_folder("a"), WEFT_NOTIFY_RECURSIVE));
    file_write("b");
    file_write("a");
    assert_next(&notify, "modified /a");
    assert_next(&notify, "closed /a");
    cr_assert(unlink(in_folder("a")) == 0);
    assert_next(&notify, "attributes /a");
    assert_next(&notify, "removed /a");
    weft_notify_event event;
    T_ERR(-ENOENT, weft_notify_next(&notify, &event));
    weft_notify_close(&notify);
    T_ERR(-EBADF, weft_notify_next(&notify, &event));
    T_ERR(-EBADF, weft_notify_add(&notify, folder, 0));
}

NOTIFY_TEST(moves_in_and_out_have_one_end)
{
    weft_notify notify;
    weft_notify_event event;
    dir_make("seen");
    file_write("outside");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, in_folder("seen"), 0));
    move("outside", "seen/x");
    assert_next(&notify, "moved /seen/x");
    move("seen/x", "outside");
    T_OK(weft_notify_next(&notify, &event));
    cr_assert(event.kind == WEFT_NOTIFY_MOVED && event.path == NULL && event.cookie != 0);
    cr_assert_str_eq(event.from, in_folder("seen/x"));
    move("outside", "seen/y");
    assert_next(&notify, "moved /seen/y");
    move("seen/y", "outside");
    int rc;
    while ((rc = weft_notify_try_next(&notify, &event)) == -EAGAIN)
        T_OK(weft_sleep(WEFT_MS(1))); /* half a move does not keep this one from going on either */
    T_OK(rc);
    cr_assert(event.kind == WEFT_NOTIFY_MOVED && event.path == NULL);
    weft_notify_close(&notify);
}

static int
wait_next(void *arg)
{
    weft_notify_event event;
    int rc = weft_notify_next(arg, &event);
    return rc < 0 ? rc : (int)event.kind;
}

NOTIFY_TEST(who_waits_is_woken_or_cancelled_or_told_of_the_end)
{
    weft_notify notify;
    weft_notify_event event;
    int result;
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, 0));
    weft_task *task = t_start(wait_next, &notify);
    T_ERR(-EBUSY, weft_notify_next(&notify, &event));
    T_ERR(-EBUSY, weft_notify_try_next(&notify, &event));
    dir_make("d");
    T_OK(weft_task_join(task, &result));
    T_ERR(WEFT_NOTIFY_CREATED, result);
    task = t_start(wait_next, &notify);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_notify_next(&notify, &event));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    task = t_start(wait_next, &notify);
    weft_notify_close(&notify);
    memset(&notify, 0, sizeof notify);
    T_OK(weft_task_join(task, &result));
    T_ERR(-EBADF, result);
}

NOTIFY_TEST(a_watch_can_be_taken_back)
{
    weft_notify notify;
    dir_make("d");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, WEFT_NOTIFY_RECURSIVE));
    T_ERR(-EEXIST, weft_notify_add(&notify, folder, 0));
    cr_assert(strstr(weft_error_text(), folder) != NULL);
    T_ERR(-EEXIST, weft_notify_add(&notify, in_folder("d/../d"), 0));
    T_ERR(-ENOENT, weft_notify_remove(&notify, in_folder("d")));
    file_write("a"); /* what is on its way goes, too */
    T_OK(weft_notify_remove(&notify, folder));
    file_write("d/b");
    T_OK(weft_notify_add(&notify, in_folder("d"), 0));
    file_write("c");
    assert_none(&notify);
    file_write("d/e");
    assert_next(&notify, "created /d/e");
    weft_notify_close(&notify);
}

NOTIFY_TEST(what_cannot_be_watched_is_named)
{
    weft_notify notify;
    T_OK(weft_notify_open(&notify));
    T_ERR(-ENOENT, weft_notify_add(&notify, in_folder("nothing"), WEFT_NOTIFY_RECURSIVE));
    cr_assert(strstr(weft_error_text(), "nothing") != NULL);
    T_ERR(-EINVAL, weft_notify_add(&notify, folder, 8));
    weft_notify_event event;
    T_ERR(-ENOENT, weft_notify_next(&notify, &event));
    T_ERR(-ENOENT, weft_notify_try_next(&notify, &event));
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, false, ENOSPC);
    T_ERR(-ENOSPC, weft_notify_add(&notify, folder, 0));
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
    cr_assert(strstr(weft_error_text(), "max_user_watches") != NULL);
    weft_notify_close(&notify);
}

/* ---- Directories ----------------------------------------------------------------------------- */

NOTIFY_TEST(directories_below_are_watched_those_made_later_too)
{
    weft_notify notify;
    dir_make("a");
    dir_make("a/b");
    cr_assert(symlink("/etc", in_folder("a/link")) == 0);
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, WEFT_NOTIFY_RECURSIVE));
    file_write("a/b/f");
    assert_next(&notify, "created /a/b/f");
    assert_next(&notify, "modified /a/b/f");
    assert_next(&notify, "closed /a/b/f");
    dir_make("new");
    dir_make("new/er");
    file_write("new/er/f"); /* before anybody could watch it */
    assert_next(&notify, "created/ /new");
    assert_next(&notify, "created/ /new/er");
    assert_next(&notify, "created /new/er/f");
    assert_none(&notify);
    file_write("new/er/g");
    assert_next(&notify, "created /new/er/g");
    assert_next(&notify, "modified /new/er/g");
    assert_next(&notify, "closed /new/er/g");
    cr_assert(chmod(in_folder("new/er"), 0755) == 0); /* told of once */
    assert_next(&notify, "attributes/ /new/er");
    assert_none(&notify);
    weft_notify_close(&notify);
}

NOTIFY_TEST(directories_that_move_are_found_where_they_are)
{
    weft_notify notify;
    dir_make("in");
    dir_make("in/a");
    dir_make("in/a/b");
    dir_make("in/ab"); /* whose name only begins alike */
    dir_make("out");
    dir_make("out/c");
    dir_make("out/c/d");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, in_folder("in"), WEFT_NOTIFY_RECURSIVE));
    move("in/a", "in/moved");
    assert_next(&notify, "moved/ from /in/a /in/moved");
    dir_make("in/moved/b/x");
    assert_next(&notify, "created/ /in/moved/b/x");
    dir_make("in/ab/y");
    assert_next(&notify, "created/ /in/ab/y");
    move("in/moved", "out/gone");
    assert_next(&notify, "moved/ from /in/moved");
    dir_make("out/gone/b/z"); /* nobody's any more */
    assert_none(&notify);
    move("out/c", "in/c");
    assert_next(&notify, "moved/ /in/c");
    assert_next(&notify, "created/ /in/c/d");
    assert_none(&notify); /* all that was in it has been told of */
    dir_make("in/c/d/e");
    assert_next(&notify, "created/ /in/c/d/e");
    move("in/c", "in/k"); /* at once, and what is in it is found by its new name */
    dir_make("in/k/d/f");
    assert_next(&notify, "moved/ from /in/c /in/k");
    assert_next(&notify, "created/ /in/k/d/f");
    assert_none(&notify);
    weft_notify_close(&notify);
}

NOTIFY_TEST(directories_that_moved_before_they_were_told_of_are_watched)
{
    weft_notify notify;
    dir_make("old");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, WEFT_NOTIFY_RECURSIVE));
    dir_make("a");
    dir_make("a/in");
    dir_make("old/new"); /* it is the one above that moves */
    file_write("old/new/f");
    dir_make("old/new/deep");
    move("a", "b");
    move("old", "gone");
    assert_next(&notify, "created/ /a");
    assert_next(&notify, "created/ /old/new");
    assert_next(&notify, "moved/ from /a /b");
    assert_next(&notify, "created/ /b/in");
    assert_next(&notify, "moved/ from /old /gone");
    assert_next_two(&notify, "created /gone/new/f", "created/ /gone/new/deep");
    assert_none(&notify);
    dir_make("b/in/x");
    assert_next(&notify, "created/ /b/in/x");
    dir_make("gone/new/y");
    assert_next(&notify, "created/ /gone/new/y");
    dir_make("gone/new/deep/z");
    assert_next(&notify, "created/ /gone/new/deep/z");
    move("gone/new/deep", "gone/deep"); /* nothing is told twice */
    assert_next(&notify, "moved/ from /gone/new/deep /gone/deep");
    assert_none(&notify);
    weft_notify_close(&notify);
}

NOTIFY_TEST(a_watched_directory_that_goes_ends_its_watch)
{
    weft_notify notify;
    weft_notify_event event;
    dir_make("a");
    dir_make("a/b");
    dir_make("m");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, in_folder("a"), WEFT_NOTIFY_RECURSIVE));
    T_OK(weft_notify_add(&notify, in_folder("m"), 0));
    cr_assert(rmdir(in_folder("a/b")) == 0);
    assert_next(&notify, "removed/ /a/b");
    cr_assert(rmdir(in_folder("a")) == 0);
    T_OK(weft_notify_next(&notify, &event));
    cr_assert(event.kind == WEFT_NOTIFY_REMOVED);
    cr_assert_str_eq(event.path, in_folder("a"));
    move("m", "n");
    T_OK(weft_notify_next(&notify, &event));
    cr_assert(event.kind == WEFT_NOTIFY_MOVED && event.path == NULL);
    cr_assert_str_eq(event.from, in_folder("m"));
    T_ERR(-ENOENT, weft_notify_next(&notify, &event));
    dir_make("a"); /* the name can be watched again */
    T_OK(weft_notify_add(&notify, in_folder("a"), 0));
    file_write("a/f");
    assert_next(&notify, "created /a/f");
    weft_notify_close(&notify);
}

NOTIFY_TEST(a_deep_tree_is_watched_to_its_ground)
{
    weft_notify notify;
    char name[128] = "d";
    dir_make(name);
    for (int i = 0; i < 30; i++) {
        strcat(name, "/d");
        dir_make(name);
    }
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, WEFT_NOTIFY_RECURSIVE));
    strcat(name, "/f");
    file_write(name);
    weft_notify_event event;
    T_OK(weft_notify_next(&notify, &event));
    cr_assert_str_eq(event.path, in_folder(name));
    /* All of it is removed, from below. */
    folder_remove();
    int removed = 0, rc;
    while ((rc = weft_notify_next(&notify, &event)) == 0)
        removed += event.kind == WEFT_NOTIFY_REMOVED;
    T_ERR(-ENOENT, rc);
    cr_assert(removed == 33, "%d removed", removed);
    weft_notify_close(&notify);
}

/* ---- Too many -------------------------------------------------------------------------------- */

NOTIFY_TEST(events_that_were_lost_are_said_to_be)
{
    weft_notify notify;
    weft_notify_event event;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    unsigned max = 0;
    cr_assert(file != NULL && fscanf(file, "%u", &max) == 1);
    fclose(file);
    if (max > 100000)
        return;
    file_write("a");
    file_write("b");
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, 0));
    for (unsigned i = 0; i < max; i++) /* by turns, so that none is told of with the one before */
        cr_assert(chmod(in_folder(i % 2 ? "a" : "b"), 0600) == 0);
    file_write("c");
    unsigned n = 0;
    do {
        T_OK(weft_notify_next(&notify, &event));
        n++;
    } while (event.kind == WEFT_NOTIFY_ATTRIBUTES);
    cr_assert(event.kind == WEFT_NOTIFY_OVERFLOW && event.path == NULL);
    cr_assert(n == max + 1, "%u events of %u", n, max);
    assert_none(&notify);
    file_write("d");
    assert_next(&notify, "created /d");
    weft_notify_close(&notify);
}

NOTIFY_TEST(many_events_come_in_their_order)
{
    weft_notify notify;
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, 0));
    for (int i = 0; i < 500; i++) {
        char name[64], other[64];
        snprintf(name, sizeof name, "a-name-that-takes-some-room-%d", i);
        snprintf(other, sizeof other, "b-name-that-takes-some-room-%d", i);
        dir_make(name);
        move(name, other);
    }
    for (int i = 0; i < 500; i++) {
        char expected[256];
        snprintf(expected, sizeof expected, "created/ /a-name-that-takes-some-room-%d", i);
        assert_next(&notify, expected);
        snprintf(expected, sizeof expected,
                 "moved/ from /a-name-that-takes-some-room-%d /b-name-that-takes-some-room-%d", i,
                 i);
        assert_next(&notify, expected);
    }
    assert_none(&notify);
    weft_notify_close(&notify);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
tortured_main(void *arg)
{
    weft_notify notify;
    weft_notify_event event;
    weft_scope scope;
    (void)arg;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = weft_notify_open(&notify);
    if (rc < 0)
        goto out;
    rc = weft_notify_add(&notify, folder, WEFT_NOTIFY_RECURSIVE);
    if (rc == 0) {
        file_write("a/f");
        move("a", "c");
        dir_make("n");
        dir_make("n/m");
        move("c/b", "n/b");
        move("c", "a");
        move("n/b", "a/b");
        cr_assert(rmdir(in_folder("n/m")) == 0 && rmdir(in_folder("n")) == 0);
        cr_assert(unlink(in_folder("a/f")) == 0);
        int n = 0;
        while (n++ < 100 && (rc = weft_notify_next(&notify, &event)) == 0)
            if (event.kind == WEFT_NOTIFY_REMOVED && strstr(event.path, "a/f") != NULL)
                break;
    }
    weft_notify_close(&notify);
out:
    weft_scope_close(&scope);
    return rc;
}

static void
tortured_run(void *arg)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    weft_ignore(
        weft_run(tortured_main, arg, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start.tv_sec < 9, "a wait that nothing ended");
}

Test(notify, any_wait_allocation_or_system_call_goes_wrong)
{
    folder_make();
    dir_make("a");
    dir_make("a/b");
    for (int from_on = 0; from_on < 2; from_on++) {
        for (int kind = 0; kind < WEFT__TORTURE_KINDS; kind++) {
            for (int i = 0; i < (kind == WEFT__TORTURE_SYSCALL ? 2 : 1); i++) {
                uint64_t visited =
                    t_torture_run(&(struct t_torture){.kind = (enum weft__torture)kind,
                                                      .from_on = from_on,
                                                      .error = i == 0 ? EMFILE : ENOSPC,
                                                      .max = 150,
                                                      .scenario = tortured_run});
                cr_assert(visited >= 3);
            }
        }
    }
    folder_remove();
}

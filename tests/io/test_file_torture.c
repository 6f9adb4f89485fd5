/*
 * test_file_torture.c - files and directories when one thing goes wrong, each time another one: a
 * wait is cancelled or runs into its deadline, an allocation or a system call fails.
 *
 * Whatever happens, a scenario ends and leaves no descriptor and no temporary file; what was to be
 * replaced has its old content or its new one, and the old one if the call failed.
 */
#include "io/t_file.h"

TestSuite(file_torture, .timeout = 240, .init = t_dir_make, .fini = t_dir_remove);

static const weft_options one_loop = {.loops = 1, .signals = WEFT_SIGNALS_NONE};

/* How scenarios are run: by weft_run, by weft_run_here on a thread that ends, on none at all. */
struct run {
    weft_task_fn *fn;
    enum { RUN, HERE, PLAIN } how;
};

static void *
run_on_thread(void *arg)
{
    const struct run *run = arg;
    if (run->how == HERE)
        weft_ignore(weft_run_here(run->fn, NULL));
    else
        weft_ignore(run->fn(NULL) < 0);
    return NULL;
}

static void
scenario(void *arg)
{
    const struct run *run = arg;
    if (run->how == RUN)
        weft_ignore(weft_run(run->fn, NULL, &one_loop));
    else
        t_thread_join(t_thread(run_on_thread, arg));
}

static void
torture(weft_task_fn *fn)
{
    static const int errors[] = {EIO, ENOSPC, EINTR, EMFILE, ENOENT};
    for (int how = RUN; how <= PLAIN; how++) {
        struct run run = {fn, how};
        struct t_torture t = {.scenario = scenario, .arg = &run, .max = 200 / T_SLOW};
        for (int kind = how == PLAIN ? WEFT__TORTURE_ALLOC : WEFT__TORTURE_CANCEL;
             kind <= WEFT__TORTURE_ALLOC; kind++) {
            t.kind = (enum weft__torture)kind;
            for (int from_on = 0; from_on < 2; from_on++) {
                t.from_on = from_on;
                t_torture_run(&t);
            }
        }
        t.from_on = false;
        t.kind = WEFT__TORTURE_SYSCALL;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            t.error = errors[i];
            t_torture_run(&t);
        }
    }
}

/* ---- An open file --------------------------------------------------------------------------- */

static int
use_file(void *arg)
{
    (void)arg;
    weft_file file;
    char buf[100];
    weft_bytes line;
    int rc = weft_file_open(&file, t_path("a"), &(weft_file_options){.flags = O_RDWR | O_CREAT});
    if (rc < 0)
        return rc;
    size_t written;
    rc = weft_file_write_all(&file, "one\ntwo\nthree", 13, &written);
    cr_assert(written <= 13 && (rc < 0 || written == 13));
    int64_t at = weft_file_tell(&file);
    cr_assert(at == (int64_t)written, "at %ld after %zu", (long)at, written);
    if (rc == 0)
        rc = (int)weft_file_seek(&file, 0, SEEK_SET);
    unsigned n = 0;
    while (rc >= 0 && (rc = weft_file_read_line(&file, &line)) > 0)
        n++;
    cr_assert(rc < 0 || n == 3);
    if (rc == 0)
        rc = (int)weft_file_pread(&file, buf, sizeof buf, 0);
    if (rc >= 0)
        rc = weft_file_sync(&file);
    int closed = weft_file_close(&file);
    return rc < 0 ? rc : closed;
}

Test(file_torture, an_open_file)
{
    torture(use_file);
}

/* ---- Whole files ---------------------------------------------------------------------------- */

static int
replace(void *arg)
{
    (void)arg;
    return weft_file_write_atomic(t_path("a"), (weft_bytes){"new content", 11}, 0);
}

static int replaced; /* what the last call gave; 1: there was none */

static int
replace_noting(void *arg)
{
    replaced = replace(arg);
    return replaced;
}

static void
replace_and_look(void *arg)
{
    replaced = 1;
    t_put(t_path("a"), "old");
    scenario(arg);
    bool is_new = t_holds(t_path("a"), "new content");
    cr_assert(is_new || t_holds(t_path("a"), "old"), "the content is neither");
    cr_assert(replaced != 0 || is_new);
    if (replaced == -ECANCELED || replaced == -ETIMEDOUT)
        cr_assert(!is_new, "cancelled, and done all the same");
    cr_assert(t_count(t_dir) == 1, "a temporary file is left");
}

Test(file_torture, a_file_is_replaced_wholly_or_not_at_all)
{
    static const int errors[] = {EIO, ENOSPC, EINTR, EMFILE, EACCES};
    for (int how = RUN; how <= PLAIN; how++) {
        struct run run = {replace_noting, how};
        struct t_torture t = {.scenario = replace_and_look, .arg = &run};
        for (int kind = how == PLAIN ? WEFT__TORTURE_ALLOC : WEFT__TORTURE_CANCEL;
             kind <= WEFT__TORTURE_ALLOC; kind++) {
            t.kind = (enum weft__torture)kind;
            for (int from_on = 0; from_on < 2; from_on++) {
                t.from_on = from_on;
                t_torture_run(&t);
            }
        }
        t.from_on = false;
        t.kind = WEFT__TORTURE_SYSCALL;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            t.error = errors[i];
            t_torture_run(&t);
        }
    }
}

static int
read_and_append(void *arg)
{
    (void)arg;
    weft_buf buf = {0};
    int rc = weft_file_append(t_path("a"), (weft_bytes){"more\n", 5}, 0, NULL);
    if (rc == 0)
        rc = weft_file_read_all(t_path("a"), &buf, SIZE_MAX);
    cr_assert(rc == 0 || buf.len == 0);
    weft_buf_free(&buf);
    return rc;
}

Test(file_torture, files_are_read_and_appended_to)
{
    t_put(t_path("a"), "text\n");
    torture(read_and_append);
}

/* ---- Names and trees ------------------------------------------------------------------------ */

static int
make_and_remove(void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", t_path("tmp-XXXXXX"));
    int rc = weft_path_mkdir_temp(path);
    if (rc < 0)
        return rc;
    char inner[PATH_MAX + 10];
    snprintf(inner, sizeof inner, "%s/x/y/z", path);
    rc = weft_path_mkdir(inner, 0, 1);
    weft_walk walk;
    if (rc == 0 && (rc = weft_walk_open(&walk, path, &(weft_walk_options){.sorted = 1})) == 0) {
        weft_walk_entry entry;
        while ((rc = weft_walk_next(&walk, &entry)) > 0)
            continue;
        weft_walk_close(&walk);
    }
    weft_dir dir;
    if (rc == 0 && (rc = weft_dir_open(&dir, path)) == 0) {
        weft_dir_entry entry;
        while ((rc = weft_dir_next(&dir, &entry)) > 0)
            continue;
        weft_dir_close(&dir);
    }
    int removed = weft_path_remove_tree(path);
    return rc < 0 ? rc : removed;
}

Test(file_torture, trees_are_made_walked_and_removed)
{
    torture(make_and_remove);
}

static void
make_temp_and_look(void *arg)
{
    scenario(arg);
    cr_assert(t_count(t_dir) == 0, "a directory is left");
}

static int
make_temp(void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", t_path("tmp-XXXXXX"));
    int rc = weft_path_mkdir_temp(path);
    return rc < 0 ? rc : rmdir(path);
}

Test(file_torture, a_temporary_directory_that_was_not_given_is_not_there)
{
    struct run run = {make_temp, RUN};
    for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_SYSCALL; kind++)
        t_torture((enum weft__torture)kind, make_temp_and_look, &run);
}

/* A call that is cancelled while its thread makes it: what it opened is closed again. */
static int
cancel_in_the_midst(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200 / T_SLOW; i++) {
        weft_scope scope;
        weft_file file;
        weft_dir dir;
        weft_scope_open(&scope, weft_now() + WEFT_US(i % 50 * 2));
        if (weft_file_open(&file, t_path("a"), NULL) == 0)
            weft_file_close(&file);
        if (weft_dir_open(&dir, t_dir) == 0)
            weft_dir_close(&dir);
        weft_ignore(replace(NULL));
        weft_scope_close(&scope);
    }
    return 0;
}

Test(file_torture, calls_are_cut_off_at_any_moment)
{
    t_put(t_path("a"), "old");
    t_run_loops(cancel_in_the_midst, NULL, 1);
    cr_assert(t_count(t_dir) == 1);
}

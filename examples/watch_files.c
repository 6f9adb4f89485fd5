/*
 * watch_files.c - what happens in a directory, told as it happens.
 *
 * watchfiles.awatch() beside asyncio. With a path: watches that until Ctrl-C; without: a directory
 * of its own, in which a second task does things.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft.h>

static const char *const kinds[] = {"",      "created", "modified",   "closed",
                                    "moved", "removed", "attributes", "overflow"};

static int
watch(const char *path)
{
    weft_notify notify;
    int rc = weft_notify_open(&notify);
    if (rc < 0)
        return rc;
    rc = weft_notify_add(&notify, path, WEFT_NOTIFY_RECURSIVE);
    if (rc < 0) {
        weft_notify_close(&notify);
        return rc;
    }
    weft_notify_event event;
    while ((rc = weft_notify_next(&notify, &event)) == 0) {
        const char *at = event.path != NULL ? event.path : "away";
        printf("%-10s %s%s%s%s\n", kinds[event.kind], event.from != NULL ? event.from : "",
               event.from != NULL ? " -> " : "", at, event.is_directory ? "/" : "");
        fflush(stdout);
    }
    weft_notify_close(&notify);
    return rc == -ENOENT ? 0 : rc; /* what was watched is gone */
}

static int
watch_here(void *arg)
{
    (void)arg;
    return watch(".");
}

/* One at a time: the watcher is ahead of us all the while. */
static int
do_things(void *arg)
{
    (void)arg;
    int rc = mkdir("notes", 0700);
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(50));
    int fd = open("notes/draft", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "weft", 4) != 4)
        return -EIO;
    close(fd);
    if (rc == 0)
        rc = rename("notes/draft", "notes/final");
    if (rc == 0)
        rc = rename("notes", "done");
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(50));
    if (unlink("done/final") < 0 || rmdir("done") < 0)
        return -EIO;
    char here[4096];
    return rc < 0 || getcwd(here, sizeof here) == NULL || rmdir(here) < 0 || chdir("/") < 0 ? -EIO
                                                                                            : 0;
}

static int
main_task(void *arg)
{
    char **argv = arg;
    if (argv[1] != NULL)
        return watch(argv[1]);
    char path[] = "/tmp/weft-watch-XXXXXX";
    if (mkdtemp(path) == NULL || chdir(path) < 0)
        return -errno;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, watch_here, NULL);
    weft_group_spawn(&group, do_things, NULL);
    return weft_group_close(&group);
}

int
main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: watch_files [PATH]\n");
        return 2;
    }
    int rc = weft_run(main_task, argv, NULL);
    if (rc < 0 && rc != -ECANCELED) {
        const char *detail = weft_error_text();
        fprintf(stderr, "watch_files: %s\n", *detail != '\0' ? detail : weft_strerror(rc));
    }
    return rc < 0 && rc != -ECANCELED;
}

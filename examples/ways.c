/*
 * ways.c - three ways to run a function that waits: call it, spawn it and join, three in a group.
 *
 * asyncio: await coro(), create_task(), gather(). There is no fourth, a coroutine object nobody
 * awaits: a call runs. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
say_after(void *arg)
{
    int rc = weft_sleep(WEFT_SEC(1));
    if (rc < 0)
        return rc;
    printf("  %s, in %s\n", (const char *)arg, weft_task_name(NULL));
    return (int)strlen(arg); /* 0 or more is success, and a small result */
}

static int
call_it(void)
{
    return say_after("called");
}

static int
spawn_it(void)
{
    weft_task *task;
    int rc = weft_task_spawn(&task, say_after, "spawned",
                             &(weft_task_options){.name = "a task of its own"});
    if (rc < 0)
        return rc;
    int result;
    rc = weft_task_join(task, &result);
    if (rc < 0)
        weft_task_close(task);
    return rc < 0 ? rc : result;
}

static int
group_them(void)
{
    static char *const words[] = {"one", "two", "three"};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&group, say_after, words[i],
                              &(weft_task_options){.name = "a child of the group"});
    return weft_group_close(&group);
}

static int
all_ways(void *arg)
{
    static const struct {
        const char *title;
        int (*run)(void);
    } ways[] = {{"a call", call_it}, {"spawn and join", spawn_it}, {"a group", group_them}};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        weft_time start = weft_now();
        printf("%s\n", ways[i].title);
        int rc = ways[i].run();
        if (rc < 0)
            return rc;
        printf("  result %d after %.2f s\n", rc, (double)(weft_now() - start) / 1e9);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(all_ways, NULL, &options) < 0;
}

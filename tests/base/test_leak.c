/*
 * test_leak.c - the leak check sees each kind of thing left behind.
 */
#include <pthread.h>
#include <string.h>

#include "t.h"
#include "base/mem.h"
#include "base/sys.h"

TestSuite(leak, .timeout = 20);

static struct t_leak before;
static char text[1024];

static bool
clean(void)
{
    return t_leak_check(&before, text, sizeof text);
}

Test(leak, nothing_left_is_clean)
{
    t_leak_begin();
    int fds[2];
    T_OK(weft__sys_pipe(fds));
    weft__sys_close(fds[0]);
    weft__sys_close(fds[1]);
    t_leak_end();
}

Test(leak, an_open_descriptor_is_named)
{
    t_leak_take(&before);
    int fd = weft__sys_eventfd(0);
    cr_assert(!clean());
    cr_assert(strstr(text, "eventfd") != NULL, "%s", text);
    weft__sys_close(fd);
    cr_assert(clean());
}

Test(leak, a_descriptor_closed_by_mistake_is_seen)
{
    int fd = weft__sys_eventfd(0);
    t_leak_take(&before);
    weft__sys_close(fd);
    cr_assert(!clean());
    cr_assert(strstr(text, "is gone") != NULL, "%s", text);
}

Test(leak, a_block_is_counted)
{
    t_leak_take(&before);
    void *block = weft__alloc(1);
    cr_assert(!clean());
    cr_assert(strstr(text, "blocks: 1, were 0") != NULL, "%s", text);
    weft__free(block);
    cr_assert(clean());
}

static void *
wait_for_end(void *arg)
{
    char byte;
    (void)!weft__sys_read(*(int *)arg, &byte, 1);
    return NULL;
}

Test(leak, a_running_thread_is_seen)
{
    int fds[2];
    T_OK(weft__sys_pipe(fds));
    t_leak_take(&before);
    pthread_t thread;
    T_OK(weft__sys_thread_create(&thread, NULL, wait_for_end, &fds[0]));
    cr_assert(!clean());
    cr_assert(strstr(text, "threads") != NULL, "%s", text);
    cr_assert(weft__sys_write(fds[1], "", 1) == 1);
    T_OK(pthread_join(thread, NULL));
    cr_assert(clean(), "%s", text);
    weft__sys_close(fds[0]);
    weft__sys_close(fds[1]);
}

Test(leak, a_child_not_waited_for_is_seen)
{
    t_leak_take(&before);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        _exit(0);
    cr_assert(!clean());
    cr_assert(strstr(text, "children: 1, were 0") != NULL, "%s", text);
    cr_assert(weft__sys_waitpid(pid, NULL, 0) == pid);
    cr_assert(clean(), "%s", text);
}

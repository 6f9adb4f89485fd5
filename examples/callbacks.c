/*
 * callbacks.c - a user, then his posts: as callbacks, as a task, and two users at once.
 *
 * asyncio: loop.call_later() against coroutines and gather(). The callbacks need a record for what
 * a task keeps in its local variables, and the order is spread over three functions. Virtual clock.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define USER_TAKES WEFT_SEC(1)
#define POSTS_TAKE WEFT_SEC(2)

static weft_time start;

static double
seconds(void)
{
    return (double)(weft_now() - start) / 1e9;
}

/* ---- Callbacks ------------------------------------------------------------------------------ */

struct request {
    const char *user;
    weft_callback callback; /* one at a time */
    weft_future done;
};

static void
got_posts(void *arg)
{
    struct request *request = arg;
    printf("  %.0f s: %s wrote 2 posts\n", seconds(), request->user);
    weft_future_set(&request->done, 0);
}

static void
got_user(void *arg)
{
    struct request *request = arg;
    printf("  %.0f s: user %s\n", seconds(), request->user);
    weft_call_later(&request->callback, POSTS_TAKE, got_posts, request);
}

static int
with_callbacks(const char *user)
{
    struct request request = {.user = user};
    weft_future_open(&request.done);
    weft_call_later(&request.callback, USER_TAKES, got_user, &request);
    int rc = weft_future_wait(&request.done, NULL);
    weft_ignore(weft_callback_cancel(&request.callback)); /* when the wait was cancelled */
    weft_future_close(&request.done);
    return rc;
}

/* ---- The same as a task --------------------------------------------------------------------- */

static int
user_and_posts(void *arg)
{
    const char *user = arg;
    int rc = weft_sleep(USER_TAKES);
    if (rc < 0)
        return rc;
    printf("  %.0f s: user %s\n", seconds(), user);
    rc = weft_sleep(POSTS_TAKE);
    if (rc == 0)
        printf("  %.0f s: %s wrote 2 posts\n", seconds(), user);
    return rc;
}

static int
compare(void *arg)
{
    (void)arg;
    start = weft_now();
    printf("callbacks\n");
    int rc = with_callbacks("ada");
    if (rc < 0)
        return rc;
    start = weft_now();
    printf("a task\n");
    rc = user_and_posts("ada");
    if (rc < 0)
        return rc;
    start = weft_now();
    printf("two users at once\n");
    weft_group both;
    weft_group_open(&both, NULL);
    weft_group_spawn(&both, user_and_posts, "ada");
    weft_group_spawn(&both, user_and_posts, "linus");
    return weft_group_close(&both);
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(compare, NULL, &options) < 0;
}

/*
 * timeouts.c - work of 1 s and of 3 s, each with 2 s to spare: as a region, and as a call.
 *
 * asyncio: async with timeout(2), wait_for(work(), 2). Virtual clock; --real waits in earnest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
work(void *arg)
{
    const int *seconds = arg;
    return weft_sleep(WEFT_SEC(*seconds));
}

static void
say(const char *how, int seconds, int rc)
{
    printf("%s, %d s of work within 2 s: %s\n", how, seconds,
           rc == -ETIMEDOUT ? "timed out"
           : rc == 0        ? "done"
                            : weft_errname(rc));
}

static int
in_a_scope(int seconds)
{
    weft_scope scope; /* holds for everything called inside, however deep */
    weft_scope_open(&scope, weft_now() + WEFT_SEC(2));
    int rc = work(&seconds);
    /* -ETIMEDOUT from here only if it was this scope's own deadline. */
    int closed = weft_scope_close(&scope);
    return closed < 0 ? closed : rc;
}

static int
compare(void *arg)
{
    (void)arg;
    static int takes[] = {1, 3};
    for (int i = 0; i < 2; i++)
        say("a scope", takes[i], in_a_scope(takes[i]));
    for (int i = 0; i < 2; i++)
        say("a call", takes[i], weft_wait_for(work, &takes[i], WEFT_SEC(2)));
    return weft_checkpoint();
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(compare, NULL, &options) < 0;
}

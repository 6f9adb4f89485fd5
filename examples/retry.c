/*
 * retry.c - a server that fails now and then: tried again ever more rarely, under a rate limit,
 * with a deadline for each attempt and one for it all.
 *
 * Python: tenacity, aiolimiter. Delays are drawn from 0 to a bound that doubles; the seed makes the
 * output the same each time. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static weft_time started;
static weft_rate limit;

struct server {
    const char *name;
    const int *answers; /* one for each attempt; 1: none at all */
    int asked;
};

static int
ask(void *arg)
{
    struct server *server = arg;
    int rc = weft_rate_acquire(&limit, 1); /* however many ask: five a second */
    if (rc < 0)
        return rc;
    int answer = server->answers[server->asked++];
    weft_scope attempt;
    weft_scope_open(&attempt, weft_now() + WEFT_MS(300));
    rc = weft_sleep(answer == 1 ? WEFT_FOREVER : WEFT_MS(50));
    weft_ignore(weft_scope_close(&attempt));
    if (rc == 0)
        rc = answer;
    printf("%5.2f s  %s, attempt %d: %s\n", (double)(weft_now() - started) / 1e9, server->name,
           server->asked, weft_strerror(rc));
    return rc;
}

static int
not_when_refused(int rc, void *arg)
{
    (void)arg;
    return rc != -EACCES;
}

static int
ask_all(void *arg)
{
    static const int soon[] = {-ECONNREFUSED, 1, -ECONNRESET, 0};
    static const int refuses[] = {-ECONNRESET, -EACCES};
    static const int never[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct server servers[] = {{"soon", soon, 0}, {"refuses", refuses, 0}, {"never", never, 0}};
    weft_retry_options options = {
        .attempts = 20, .base = WEFT_MS(200), .cap = WEFT_SEC(2), .seed = 1};
    (void)arg;
    options.again = not_when_refused;
    started = weft_now();
    int rc = weft_rate_open(&limit, &(weft_rate_options){.tokens = 5, .burst = 2});
    if (rc < 0)
        return rc;
    for (int i = 0; i < 3; i++) {
        weft_scope all;
        weft_scope_open(&all, weft_now() + WEFT_SEC(3));
        rc = weft_retry(ask, &servers[i], &options);
        weft_ignore(weft_scope_close(&all));
        printf("%5.2f s  %s: %s after %d attempts\n", (double)(weft_now() - started) / 1e9,
               servers[i].name, weft_errname(rc), servers[i].asked);
    }
    weft_rate_close(&limit);
    return 0;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(ask_all, NULL, &options) < 0;
}

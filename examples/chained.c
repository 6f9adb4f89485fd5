/*
 * chained.c - each chain awaits one part and feeds the next; all chains run at once.
 *
 * asyncio: chained coroutines, chain(n) with part1 and part2. An await is a plain call here.
 * The whole takes as long as the longest chain. chained [--real] [N...]; virtual clock unless
 * --real. The waiting times come from a fixed seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#define CHAINS_MAX 64

struct chain {
    int n;
    weft_time took;
};
struct chains {
    size_t count;
    struct chain chain[CHAINS_MAX];
};

/* Waits a random whole number of seconds, 0 to 10. */
static int
wait_a_while(const char *who, int n)
{
    static uint64_t state = 444;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    int seconds = (int)((state >> 33) % 11);
    printf("%s(%d) takes %d s\n", who, n, seconds);
    return weft_sleep(WEFT_SEC(seconds));
}

static int
part1(int n, char *result, size_t size)
{
    int rc = wait_a_while("part1", n);
    if (rc == 0)
        snprintf(result, size, "result%d-1", n);
    return rc;
}

static int
part2(int n, const char *first, char *result, size_t size)
{
    int rc = wait_a_while("part2", n);
    if (rc == 0)
        snprintf(result, size, "result%d-2, made from %s", n, first);
    return rc;
}

static int
run_chain(void *arg)
{
    struct chain *chain = arg;
    char first[32], second[80];
    weft_time start = weft_now();
    int rc = part1(chain->n, first, sizeof first);
    if (rc == 0)
        rc = part2(chain->n, first, second, sizeof second);
    if (rc < 0)
        return rc;
    chain->took = weft_now() - start;
    printf("chain(%d): %s, after %.2f s\n", chain->n, second, (double)chain->took / 1e9);
    return 0;
}

static int
run_all(void *arg)
{
    struct chains *chains = arg;
    weft_time start = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; i < chains->count; i++)
        weft_group_spawn(&group, run_chain, &chains->chain[i]);
    int rc = weft_group_close(&group);
    printf("all chains took %.2f s\n", (double)(weft_now() - start) / 1e9);
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    struct chains chains = {.count = 3, .chain = {{.n = 1}, {.n = 2}, {.n = 3}}};
    if (argc > 1 + real) {
        chains.count = 0;
        for (int i = 1 + real; i < argc && chains.count < CHAINS_MAX; i++)
            chains.chain[chains.count++] = (struct chain){.n = atoi(argv[i])};
    }
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(run_all, &chains, &options) < 0;
}

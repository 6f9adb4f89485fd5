/*
 * rand.c - three tasks draw numbers until one is high enough; their results are gathered.
 *
 * asyncio: makerandom(). Each task has a colour when the output is a terminal. The same seed
 * gives the same numbers: rand [--real] [SEED]. Virtual clock unless --real.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

struct drawer {
    unsigned index;
    unsigned threshold;
    unsigned result;
};

static uint64_t random_state;
static bool coloured;

/* 0 to 10. A generator of our own, so that a seed means the same with every C library. */
static unsigned
draw(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((random_state >> 33) % 11);
}

static void
say(const struct drawer *drawer, const char *text, unsigned number)
{
    static const char *const colours[] = {"\033[36m", "\033[31m", "\033[35m"};
    printf("%stask %u: %u %s%s\n", coloured ? colours[drawer->index] : "", drawer->index, number,
           text, coloured ? "\033[0m" : "");
}

static int
draw_high(void *arg)
{
    struct drawer *drawer = arg;
    unsigned number;
    while ((number = draw()) <= drawer->threshold) {
        say(drawer, "is too low, once more", number);
        int rc = weft_sleep(WEFT_SEC(drawer->index + 1));
        if (rc < 0)
            return rc;
    }
    say(drawer, "will do", number);
    drawer->result = number;
    return 0;
}

static int
draw_three(void *arg)
{
    struct drawer *drawers = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 3; i++) {
        drawers[i] = (struct drawer){.index = i, .threshold = 9 - i};
        weft_group_spawn(&group, draw_high, &drawers[i]);
    }
    return weft_group_close(&group);
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    const char *seed = argc > 1 + real ? argv[1 + real] : "444";
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    random_state = strtoull(seed, NULL, 0);
    coloured = isatty(STDOUT_FILENO);

    struct drawer drawers[3];
    int rc = weft_run(draw_three, drawers, &options);
    if (rc == 0)
        printf("gathered: %u %u %u\n", drawers[0].result, drawers[1].result, drawers[2].result);
    return rc < 0;
}

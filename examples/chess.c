/*
 * chess.c - a master plays 24 amateurs: game after game, then walking from table to table.
 *
 * asyncio: the chess exhibition. She needs 5 s a move, they 55 s, a game has 30 pairs of moves.
 * She is one person, which is a semaphore of one permit; it is handed on in the order in which
 * the tables ask, so she makes her rounds. Virtual clock: 13 hours pass in a moment.
 * --real waits them out.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft.h>

#define TABLES 24
#define PAIRS 30

static weft_semaphore master;
static weft_time start, last_move, last_reply;

static int
play(void *arg)
{
    (void)arg;
    for (int pair = 0; pair < PAIRS; pair++) {
        int rc = weft_semaphore_acquire(&master);
        if (rc < 0)
            return rc;
        rc = weft_sleep(WEFT_SEC(5));
        last_move = weft_now() - start;
        weft_semaphore_release(&master);
        if (rc == 0)
            rc = weft_sleep(WEFT_SEC(55));
        if (rc < 0)
            return rc;
        last_reply = weft_now() - start;
    }
    return 0;
}

static void
print_time(const char *what, weft_time time)
{
    int s = (int)(time / WEFT_SEC(1));
    printf("  %-24s %2d:%02d:%02d\n", what, s / 3600, s / 60 % 60, s % 60);
}

static int
exhibitions(void *arg)
{
    (void)arg;
    printf("game after game\n");
    start = weft_now();
    for (int table = 0; table < TABLES; table++) {
        int rc = play(NULL);
        if (rc < 0)
            return rc;
    }
    print_time("the last reply", last_reply);

    printf("round the tables\n");
    start = weft_now();
    weft_group tables;
    weft_group_open(&tables, NULL);
    for (int table = 0; table < TABLES; table++)
        weft_group_spawn(&tables, play, NULL);
    int rc = weft_group_close(&tables);
    print_time("the master's last move", last_move);
    print_time("the last reply", last_reply);
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    time_t before = time(NULL);
    weft_semaphore_open(&master, 1);
    int rc = weft_run(exhibitions, NULL, &options);
    weft_semaphore_close(&master);
    long wall = (long)(time(NULL) - before);
    if (wall < 5)
        printf("on the clock on the wall: a moment\n");
    else
        printf("on the clock on the wall: %ld s\n", wall);
    return rc < 0;
}

/*
 * signals.c - signals as events: a server that reloads on SIGHUP and ends well on SIGTERM.
 *
 * asyncio: loop.add_signal_handler(). An open weft_signals goes before what weft_run does with
 * SIGINT and SIGTERM itself. Here the program sends the signals to itself.
 */
#include <signal.h>
#include <stdio.h>

#include <weft.h>

static int
operator_task(void *arg)
{
    static const int sent[] = {SIGHUP, SIGHUP, SIGTERM};
    weft_queue *told = arg;
    for (size_t i = 0; i < 3; i++) {
        char turn;
        kill(getpid(), sent[i]);
        int rc = weft_queue_get(told, &turn);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
serve(weft_signals *signals, weft_queue *told)
{
    for (;;) {
        weft_signal signal;
        int number = weft_signals_wait(signals, &signal);
        if (number < 0)
            return number;
        printf("%s, %u time, from %s\n", number == SIGHUP ? "reload" : "end", signal.count,
               signal.sender == getpid() ? "myself" : "elsewhere");
        int rc = weft_queue_put(told, &(char){0});
        if (rc < 0 || number == SIGTERM)
            return rc;
    }
}

/* A signal is one branch among others. */
static int
whichever_comes_first(weft_signals *signals)
{
    weft_case cases[] = {weft_case_signal(signals, NULL),
                         weft_case_until(weft_now() + WEFT_MS(10))};
    int chosen = weft_select(cases, 2);
    printf("no signal: the time is up\n");
    if (chosen < 0)
        return chosen;
    raise(SIGHUP);
    chosen = weft_select(cases, 2);
    printf("%s\n", chosen == 0 && cases[0].result == SIGHUP ? "a signal, at once" : "too late");
    return chosen < 0 ? chosen : 0;
}

static int
main_task(void *arg)
{
    (void)arg;
    weft_signals signals;
    weft_queue *told;
    int rc = weft_signals_open(&signals, (const int[]){SIGKILL}, 1);
    printf("SIGKILL: %s\n", weft_strerror(rc));
    rc = weft_signals_open(&signals, (const int[]){SIGHUP, SIGTERM}, 2);
    if (rc < 0)
        return rc;
    rc = weft_queue_new(&told, sizeof(char), NULL);
    if (rc == 0) {
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, operator_task, told);
        rc = serve(&signals, told);
        int closed = weft_group_close(&group);
        rc = rc < 0 ? rc : closed;
        weft_queue_free(told);
    }
    if (rc == 0)
        rc = whichever_comes_first(&signals);
    weft_signals_close(&signals);
    return rc;
}

int
main(void)
{
    int rc = weft_run(main_task, NULL, NULL);
    if (rc < 0)
        fprintf(stderr, "signals: %s\n", weft_strerror(rc));
    return rc < 0;
}

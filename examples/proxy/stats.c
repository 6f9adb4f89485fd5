/*
 * stats.c - prints the counters.
 */
#include "stats.h"

#include <stdio.h>

static const char *const ending_names[ENDINGS] = {[ENDED_BOTH] = "ended by both sides",
                                                  [ENDED_NO_BACKEND] = "without a backend",
                                                  [ENDED_HANDSHAKE] = "failed handshakes",
                                                  [ENDED_IDLE] = "idle",
                                                  [ENDED_BROKEN] = "broken",
                                                  [ENDED_CUT] = "cut after the grace",
                                                  [ENDED_RESOURCES] = "out of resources"};

static unsigned long long
get(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

void
stats_print_line(const struct stats *stats)
{
    unsigned long long ended = 0;
    for (int i = 0; i < ENDINGS; i++)
        ended += get(&stats->ended[i]);
    printf("open %llu, ended %llu (%llu without a backend, %llu idle, %llu broken), "
           "retries %llu, bytes up %llu, down %llu\n",
           get(&stats->open), ended, get(&stats->ended[ENDED_NO_BACKEND]),
           get(&stats->ended[ENDED_IDLE]), get(&stats->ended[ENDED_BROKEN]), get(&stats->retries),
           get(&stats->bytes_up), get(&stats->bytes_down));
    fflush(stdout);
}

void
stats_print(const struct stats *stats, struct backends *backends)
{
    for (int i = 0; i < ENDINGS; i++)
        printf("%s: %llu\n", ending_names[i], get(&stats->ended[i]));
    printf("retries: %llu\nbytes up: %llu\nbytes down: %llu\n", get(&stats->retries),
           get(&stats->bytes_up), get(&stats->bytes_down));
    backends_print(backends);
    fflush(stdout);
}

/*
 * test_lock.c - the short lock excludes, sleeps and wakes.
 */
#include <pthread.h>

#include "t.h"
#include "base/lock.h"
#include "base/sys.h"

TestSuite(lock, .timeout = 60);

#define THREADS 4
#define ROUNDS 20000

static struct weft__lock lock;
static long guarded; /* plain on purpose: only the lock keeps it right */

static void *
count_up(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        weft__lock(&lock);
        guarded++;
        weft__unlock(&lock);
    }
    return NULL;
}

Test(lock, one_thread_at_a_time_holds_it)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        T_OK(weft__sys_thread_create(&threads[i], NULL, count_up, NULL));
    for (int i = 0; i < THREADS; i++)
        T_OK(pthread_join(threads[i], NULL));
    cr_assert(guarded == (long)THREADS * ROUNDS);
    cr_assert(lock.word == WEFT__LOCK_FREE);
}

Test(lock, trying_does_not_wait)
{
    cr_assert(weft__trylock(&lock));
    cr_assert(!weft__trylock(&lock));
    weft__unlock(&lock);
    cr_assert(weft__trylock(&lock));
    weft__unlock(&lock);
}

static void *
take_once(void *arg)
{
    (void)arg;
    weft__lock(&lock);
    guarded++;
    weft__unlock(&lock);
    return NULL;
}

Test(lock, a_waiter_that_sleeps_is_woken)
{
    pthread_t threads[2];
    weft__lock(&lock);
    for (int i = 0; i < 2; i++)
        T_OK(weft__sys_thread_create(&threads[i], NULL, take_once, NULL));
    /* Contended says that a waiter stopped spinning; the test's time limit bounds this. */
    while (weft__load(&lock.word) != WEFT__LOCK_CONTENDED)
        T_OK(weft__sys_ppoll(NULL, 0, 1000000));
    T_OK(weft__sys_ppoll(NULL, 0, 10000000));
    cr_assert(guarded == 0);
    weft__unlock(&lock);
    for (int i = 0; i < 2; i++)
        T_OK(pthread_join(threads[i], NULL));
    cr_assert(guarded == 2);
}

static int n_points;

static void
count_point(enum weft__point point)
{
    n_points += point == WEFT__POINT_LOCK;
}

Test(lock, taking_it_is_a_point_of_the_simulator)
{
    weft__point_hook = count_point;
    weft__lock(&lock);
    weft__unlock(&lock);
    weft__point_hook = NULL;
    cr_assert(n_points == 1);
}

/*
 * context_manager.c - connect, work, release in any case: a deferred call, and a generator.
 *
 * Python: async with, contextlib.asynccontextmanager. Releasing waits, though its task may have
 * been cancelled: deferred calls are not, and a shield hides it. Virtual clock.
 */
#include <stdio.h>

#include <weft.h>

static int
connect_to(int *connection)
{
    int rc = weft_sleep(WEFT_MS(100));
    *connection = rc == 0;
    return rc;
}

static void
release(void *arg)
{
    int *connection = arg;
    if (*connection)
        printf("  released: %s\n", weft_errname(weft_sleep(WEFT_MS(100)))); /* says goodbye */
    *connection = 0;
}

static int
work(const int *connection, int fails)
{
    int rc = *connection ? weft_sleep(WEFT_SEC(1)) : -ENOTCONN;
    return rc < 0 ? rc : fails ? -EIO : 0;
}

/* The block: a scope. */
static int
with_a_scope(int fails)
{
    int connection = 0; /* 1: connected */
    weft_scope block;
    weft_scope_open(&block, WEFT_FOREVER);
    int rc = weft_defer(release, &connection);
    if (rc == 0 && (rc = connect_to(&connection)) == 0)
        rc = work(&connection, fails);
    weft_scope_close(&block); /* releases, if it was connected */
    return rc;
}

/* The manager: what stands before its one yield enters, what stands behind it leaves. */
static int
connected(weft_gen *gen, void *arg)
{
    int *connection = arg;
    weft_scope shield;
    int rc = connect_to(connection);
    if (rc == 0)
        rc = weft_gen_yield(gen, &connection, NULL);
    weft_shield_open(&shield, weft_now() + WEFT_SEC(5));
    release(connection);
    weft_scope_close(&shield);
    return rc;
}

static int
with_a_generator(int fails)
{
    weft_gen manager;
    int connection = 0, *handle;
    int rc = weft_gen_open(&manager, sizeof handle, connected, &connection, NULL);
    if (rc == 0 && (rc = weft_gen_next(&manager, &handle)) > 0)
        rc = work(handle, fails);
    weft_gen_close(&manager);
    return rc;
}

static int
run_all(void *arg)
{
    static const char *const how[] = {"all goes well", "the work fails", "cut off after 0.5 s"};
    for (int i = 0; i < 6; i++) {
        weft_scope limit;
        weft_time start = weft_now();
        printf("%s, %s:\n", i < 3 ? "scope" : "generator", how[i % 3]);
        weft_scope_open(&limit, i % 3 == 2 ? start + WEFT_MS(500) : WEFT_FOREVER);
        int rc = (i < 3 ? with_a_scope : with_a_generator)(i % 3 == 1);
        weft_scope_close(&limit);
        printf("  result: %s after %.1f s\n", weft_errname(rc), (double)(weft_now() - start) / 1e9);
    }
    (void)arg;
    printf("work without a connection: %s\n", weft_errname(work(&(int){0}, 0)));
    return 0;
}

int
main(void)
{
    return weft_run(run_all, NULL, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}) < 0;
}

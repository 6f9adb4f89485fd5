/*
 * test_resolve.c - names to addresses: what needs no asking, what the resolver is asked, errors in
 * words, and look-ups that nobody waits for any more.
 */
#include <semaphore.h>

#include <weft/resolve.h>

#include "io/resolve_priv.h"
#include "io/t_io.h"

TestSuite(resolve, .timeout = 120);

static bool asked;

static int
never_asked(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
            weft_addresses *ret)
{
    (void)arg, (void)host, (void)port, (void)options, (void)ret;
    asked = true;
    return WEFT_E_NAME;
}

static const weft_resolver nobody = {.resolve = never_asked};

/* The addresses as text, with blanks between. */
static void
assert_found(const char *host, const char *service, int family, unsigned any, const char *shown)
{
    weft_addresses found;
    char all[512] = "", text[WEFT_ADDRESS_TEXT];
    weft_resolve_options options = {.family = family, .any_address = any, .resolver = &nobody};
    T_OK(weft_resolve(host, service, &options, &found));
    for (size_t i = 0; i < found.n; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? " " : "",
                 weft_address_format(&found.items[i], text, sizeof text));
    weft_addresses_free(&found);
    cr_assert_str_eq(all, shown);
    cr_assert(!asked);
}

TASK_TEST(resolve, numeric_addresses_are_nobodys_business)
{
    assert_found("127.0.0.1", "80", 0, 0, "127.0.0.1:80");
    assert_found("10.1.2.3", NULL, AF_INET, 0, "10.1.2.3:0");
    assert_found("2001:db8::1", "65535", 0, 0, "[2001:db8::1]:65535");
    assert_found("::ffff:1.2.3.4", "1", AF_INET6, 0, "[::ffff:1.2.3.4]:1");
    assert_found(NULL, "53", AF_INET, 0, "127.0.0.1:53");
    assert_found(NULL, "53", AF_INET, 1, "0.0.0.0:53");
    assert_found(NULL, "53", AF_INET6, 1, "[::]:53");
}

TASK_TEST(resolve, what_cannot_be_a_name_is_refused)
{
    weft_addresses found;
    char large[2000];
    memset(large, 'x', sizeof large);
    large[1999] = '\0';
    weft_resolve_options options = {.resolver = &nobody};
    T_ERR(-EINVAL, weft_resolve("", "80", &options, &found));
    T_ERR(-EINVAL, weft_resolve(large, "80", &options, &found));
    T_ERR(-EINVAL, weft_resolve("x", "", &options, &found));
    T_ERR(WEFT_E_NAME, weft_resolve("127.0.0.1", "65536", &options, &found));
    T_ERR(WEFT_E_NAME, weft_resolve("127.0.0.1", "99999999999999999999", &options, &found));
    options.family = AF_UNIX;
    T_ERR(-EAFNOSUPPORT, weft_resolve("127.0.0.1", "80", &options, &found));
    options.family = AF_INET;
    T_ERR(WEFT_E_NAME, weft_resolve("::1", "80", &options, &found));
    options.family = AF_INET6;
    T_ERR(WEFT_E_NAME, weft_resolve("1.2.3.4", "80", &options, &found));
    cr_assert(!asked);
}

TASK_TEST(resolve, the_hosts_file_is_known)
{
    weft_addresses found;
    T_OK(weft_resolve("localhost", "http", &(weft_resolve_options){.family = AF_INET}, &found));
    char text[64];
    cr_assert(found.n >= 1);
    cr_assert_str_eq(weft_address_format(&found.items[0], text, sizeof text), "127.0.0.1:80");
    weft_addresses_free(&found);
    T_ERR(WEFT_E_NAME, weft_resolve("localhost", "no-such-service", NULL, &found));
    cr_assert(strstr(weft_error_text(), "no-such-service") != NULL);
}

/* ---- Resolvers of one's own ----------------------------------------------------------------- */

static int
many(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
     weft_addresses *ret)
{
    (void)host, (void)options;
    for (int i = 0; i < *(int *)arg; i++) {
        weft_address address;
        char text[64];
        snprintf(text, sizeof text, "10.0.0.%d:%u", i, port);
        T_OK(weft_address_parse(&address, text));
        int rc = weft_addresses_add(ret, &address);
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(resolve, a_resolver_of_ones_own_is_asked)
{
    int n = 37;
    weft_resolver own = {.resolve = many, .arg = &n};
    weft_addresses found;
    T_OK(weft_resolve("a.name", "81", &(weft_resolve_options){.resolver = &own}, &found));
    cr_assert(found.n == 37);
    char text[64];
    cr_assert_str_eq(weft_address_format(&found.items[36], text, sizeof text), "10.0.0.36:81");
    weft_addresses_free(&found);

    weft_set_resolver(&own);
    T_OK(weft_resolve("a.name", NULL, NULL, &found));
    weft_addresses_free(&found);
    n = 0; /* it finds nothing, and says so by that alone */
    T_ERR(WEFT_E_NAME, weft_resolve("a.name", NULL, NULL, &found));
    weft_set_resolver(NULL);
}

/* ---- getaddrinfo, replaced ------------------------------------------------------------------ */

static int eai, eai_errno;

static int
failing(const char *host, const char *service, const struct addrinfo *hints,
        struct addrinfo **ret_found)
{
    (void)host, (void)service, (void)hints, (void)ret_found;
    errno = eai_errno;
    return eai;
}

TASK_TEST(resolve, errors_are_told_apart)
{
    static const struct {
        int eai, error, rc;
    } errors[] = {
        {EAI_NONAME, 0, WEFT_E_NAME},     {EAI_NODATA, 0, WEFT_E_NAME},
        {EAI_ADDRFAMILY, 0, WEFT_E_NAME}, {EAI_AGAIN, 0, WEFT_E_NAME_AGAIN},
        {EAI_FAIL, 0, WEFT_E_NAME_AGAIN}, {EAI_MEMORY, 0, -ENOMEM},
        {EAI_SYSTEM, ENOMEM, -ENOMEM},    {EAI_SYSTEM, EMFILE, WEFT_E_NAME_AGAIN},
        {EAI_FAMILY, 0, -EAFNOSUPPORT},
    };
    weft_addresses found;
    weft__getaddrinfo = failing;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        eai = errors[i].eai;
        eai_errno = errors[i].error;
        T_ERR(errors[i].rc, weft_resolve("some.name", "80", NULL, &found));
        if (errors[i].rc == WEFT_E_NAME || errors[i].rc == WEFT_E_NAME_AGAIN)
            cr_assert(strstr(weft_error_text(), "'some.name'") != NULL);
    }
    weft__getaddrinfo = getaddrinfo;
}

static sem_t slow_begun, slow_may_go;

static int
slow(const char *host, const char *service, const struct addrinfo *hints,
     struct addrinfo **ret_found)
{
    sem_post(&slow_begun);
    while (sem_wait(&slow_may_go) < 0)
        continue;
    (void)host;
    return getaddrinfo("127.0.0.9", service, hints, ret_found);
}

static int
resolve_slow(void *arg)
{
    weft_addresses found;
    int rc = weft_resolve("slow.name", "7", NULL, &found);
    if (rc == 0) {
        char text[64];
        cr_assert_str_eq(weft_address_format(&found.items[0], text, sizeof text), "127.0.0.9:7");
        weft_addresses_free(&found);
    }
    *(int *)arg = rc;
    return 0;
}

LOOPS_TEST(resolve, a_cancelled_look_up_is_left_behind, 1)
{
    sem_init(&slow_begun, 0, 0);
    sem_init(&slow_may_go, 0, 0);
    weft__getaddrinfo = slow;
    int first, second;
    weft_task *a, *b;
    T_OK(weft_task_spawn(&a, resolve_slow, &first, NULL));
    T_OK(weft_task_spawn(&b, resolve_slow, &second, NULL));
    while (sem_trywait(&slow_begun) < 0)
        T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(a);
    T_OK(weft_task_join(a, NULL)); /* while both threads are still looking */
    T_ERR(-ECANCELED, first);
    sem_post(&slow_may_go);
    sem_post(&slow_may_go);
    T_OK(weft_task_join(b, NULL));
    T_OK(second);
    weft__getaddrinfo = getaddrinfo;
}

/* ---- Whatever goes wrong -------------------------------------------------------------------- */

static int
torture_main(void *arg)
{
    (void)arg;
    weft_addresses found;
    int rc = weft_resolve("localhost", "7", &(weft_resolve_options){.family = AF_INET}, &found);
    if (rc == 0)
        weft_addresses_free(&found);
    int n = 9;
    weft_resolver own = {.resolve = many, .arg = &n};
    rc = weft_resolve("a.name", "7", &(weft_resolve_options){.resolver = &own}, &found);
    if (rc == 0)
        weft_addresses_free(&found);
    return rc;
}

static void
torture_run(void *arg)
{
    (void)arg;
    weft_ignore(
        weft_run(torture_main, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

Test(resolve, whatever_fails_it_ends_and_leaves_nothing)
{
    struct t_torture torture = {.scenario = torture_run, .max = 200 / T_SLOW};
    for (int from_on = 0; from_on < 2; from_on++) {
        torture.from_on = from_on;
        for (int kind = 0; kind < WEFT__TORTURE_KINDS; kind++) {
            torture.kind = (enum weft__torture)kind;
            torture.error = EMFILE;
            t_torture_run(&torture);
        }
    }
}

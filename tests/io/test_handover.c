/*
 * test_handover.c - a server's sockets go to its successor: nobody is refused meanwhile.
 *
 * Servers are runtimes of their own, on threads; clients are plain threads that block.
 */
#include <sys/stat.h>

#include "io/t_server.h"

TestSuite(handover, .timeout = 120);

struct generation {
    const char *const *listen;
    const char *path;
    unsigned loops;
    weft_server *server;
    weft_address address;
    uint32_t ready; /* atomic: 1 when it is there, 2 when it could not be made */
    uint32_t over;  /* atomic: it has served, and is freed */
    int rc;
    int new_rc;
    bool quits;       /* before it serves */
    uint64_t starves; /* k: its k-th allocation from weft_server_run on fails; 0: none */
    weft_server_stats stats;
    pthread_t thread;
};

static int
generation_main(void *arg)
{
    struct generation *g = arg;
    g->new_rc = weft_server_new(&g->server, &(weft_server_options){.listen = g->listen,
                                                                   .serve = t_serve_echo,
                                                                   .handover = g->path,
                                                                   .grace = WEFT_SEC(20)});
    if (g->new_rc == 0)
        weft_server_address(g->server, 0, &g->address);
    weft__store(&g->ready, g->new_rc == 0 ? 1u : 2u);
    if (g->new_rc < 0)
        return 0;
    if (g->starves > 0)
        weft__torture_arm(WEFT__TORTURE_ALLOC, g->starves, false, 0);
    if (!g->quits)
        g->rc = weft_server_run(g->server);
    weft_server_stats_get(g->server, -1, &g->stats);
    weft_server_free(g->server);
    weft__store(&g->over, 1u);
    return 0;
}

static void *
generation_thread(void *arg)
{
    struct generation *g = arg;
    int rc = weft_run(generation_main, g,
                      &(weft_options){.loops = g->loops, .signals = WEFT_SIGNALS_NONE});
    if (rc < 0)
        g->rc = rc;
    return NULL;
}

static void
begin(struct generation *g)
{
    g->thread = t_thread(generation_thread, g);
    while (weft__load(&g->ready) == 0)
        usleep(1000);
}

static void
end(struct generation *g)
{
    t_thread_join(g->thread);
    T_OK(g->new_rc);
    T_OK(g->rc);
}

static void
wait_for_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    for (;;) {
        int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        int rc = connect(raw, (struct sockaddr *)&address, sizeof address);
        close(raw);
        if (rc == 0)
            return;
        usleep(1000);
    }
}

/* ---- Load ----------------------------------------------------------------------------------- */

struct load {
    const weft_address *address;
    uint32_t *stop; /* atomic */
    unsigned asked;
    int failed; /* errno of the first that was refused or reset */
};

static int
ask(const weft_address *address)
{
    char buf[5];
    int raw = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (raw < 0)
        return errno;
    int error = 0;
    size_t got = 0;
    if (connect(raw, (const struct sockaddr *)&address->storage, address->len) < 0 ||
        write(raw, "hello", 5) != 5)
        error = errno;
    while (error == 0 && got < 5) {
        ssize_t n = read(raw, buf + got, 5 - got);
        if (n <= 0)
            error = n < 0 ? errno : EPIPE;
        else
            got += (size_t)n;
    }
    close(raw);
    return error;
}

static void *
load_thread(void *arg)
{
    struct load *load = arg;
    while (!weft__load(load->stop)) {
        int error = ask(load->address);
        if (error != 0 && load->failed == 0)
            load->failed = error;
        load->asked++;
    }
    return NULL;
}

static void
set_path(char path[64], const char *name)
{
    snprintf(path, 64, "/tmp/weft-test-%d-%s", (int)getpid(), name);
}

Test(handover, nobody_is_refused_while_servers_follow_each_other)
{
    enum { GENERATIONS = 4, LOADS = 3 };
    char path[64];
    struct generation g[GENERATIONS];
    struct load load[LOADS];
    pthread_t threads[LOADS];
    uint32_t stop = 0;
    const char *first[] = {"127.0.0.1:0", NULL};
    const unsigned loops[GENERATIONS] = {2, 3, 1, 2};
    t_leak_begin();
    set_path(path, "load");
    for (int i = 0; i < GENERATIONS; i++)
        g[i] = (struct generation){.listen = first, .path = path, .loops = loops[i]};
    begin(&g[0]);
    wait_for_socket(path);
    for (int i = 0; i < LOADS; i++) {
        load[i] = (struct load){.address = &g[0].address, .stop = &stop};
        threads[i] = t_thread(load_thread, &load[i]);
    }
    for (int i = 1; i < GENERATIONS; i++) {
        usleep(100000);
        begin(&g[i]);
        end(&g[i - 1]); /* by itself */
        cr_assert(memcmp(&g[i].address, &g[0].address, sizeof g[0].address) == 0);
    }
    usleep(100000);
    weft__store(&stop, 1);
    for (int i = 0; i < LOADS; i++)
        t_thread_join(threads[i]);
    weft_server_stop(g[GENERATIONS - 1].server, WEFT_SERVER_GRACE);
    end(&g[GENERATIONS - 1]);
    unsigned asked = 0, accepted = 0;
    for (int i = 0; i < LOADS; i++) {
        cr_assert(load[i].failed == 0, "%s", strerror(load[i].failed));
        asked += load[i].asked;
    }
    for (int i = 0; i < GENERATIONS; i++) {
        cr_assert(g[i].stats.accepted > 0, "generation %d served nobody", i);
        accepted += (unsigned)g[i].stats.accepted;
    }
    cr_assert(asked == accepted, "%u asked, %u were accepted", asked, accepted);
    cr_assert(access(path, F_OK) < 0, "its file is left");
    t_leak_end();
}

Test(handover, a_successor_that_goes_away_changes_nothing)
{
    char path[64];
    const char *listen[] = {"127.0.0.1:0", NULL};
    set_path(path, "quits");
    struct generation old = {.listen = listen, .path = path, .loops = 2};
    struct generation quitter = {.listen = listen, .path = path, .loops = 2, .quits = true};
    t_leak_begin();
    begin(&old);
    wait_for_socket(path);
    for (int i = 0; i < 3; i++) {
        quitter.ready = 0;
        begin(&quitter);
        end(&quitter);
        cr_assert(memcmp(&quitter.address, &old.address, sizeof old.address) == 0);
        for (int j = 0; j < 5; j++)
            cr_assert(ask(&old.address) == 0);
    }
    weft_server_stop(old.server, WEFT_SERVER_GRACE);
    end(&old);
    cr_assert(old.stats.accepted == 15);
    t_leak_end();
}

Test(handover, a_successor_that_goes_away_leaves_the_files_of_unix_sockets)
{
    char path[64], plain[64], text[80];
    set_path(path, "leaves");
    set_path(plain, "leaves-plain");
    snprintf(text, sizeof text, "unix:%s", plain);
    const char *listen[] = {text, NULL};
    struct generation old = {.listen = listen, .path = path, .loops = 1};
    struct generation quitter = {.listen = listen, .path = path, .loops = 1, .quits = true};
    t_leak_begin();
    begin(&old);
    wait_for_socket(path);
    begin(&quitter);
    end(&quitter);
    cr_assert(ask(&old.address) == 0, "the successor has removed what was not its own");
    weft_server_stop(old.server, WEFT_SERVER_GRACE);
    end(&old);
    cr_assert(access(plain, F_OK) < 0);
    t_leak_end();
}

Test(handover, a_successor_that_cannot_begin_does_not_take_over)
{
    char path[64], plain[64], text[80];
    set_path(path, "cannot");
    set_path(plain, "cannot-plain");
    snprintf(text, sizeof text, "unix:%s", plain);
    const char *listen[] = {"127.0.0.1:0", text, NULL};
    unsigned failed = 0, succeeded = 0;
    uint64_t allocations = UINT64_MAX;
    t_leak_begin();
    for (uint64_t k = 1; k <= allocations; k++) {
        struct generation old = {.listen = listen, .path = path, .loops = 1};
        struct generation new = {.listen = listen, .path = path, .loops = 1, .starves = k};
        begin(&old);
        wait_for_socket(path);
        begin(&new);
        T_OK(new.new_rc);
        while (!weft__load(&new.over) && !weft__load(&old.over))
            usleep(1000);
        if (weft__load(&old.over)) {
            end(&old);
            cr_assert(ask(&new.address) == 0, "it has taken over, and does not serve");
            allocations = weft__torture_disarm(WEFT__TORTURE_ALLOC);
            cr_assert(access(plain, F_OK) == 0);
            weft_server_stop(new.server, WEFT_SERVER_GRACE);
            end(&new);
            succeeded++;
        } else {
            allocations = weft__torture_disarm(WEFT__TORTURE_ALLOC);
            t_thread_join(new.thread);
            T_ERR(-ENOMEM, new.rc);
            cr_assert(ask(&old.address) == 0 && access(plain, F_OK) == 0);
            weft_server_stop(old.server, WEFT_SERVER_GRACE);
            end(&old);
            failed++;
        }
        cr_assert(access(plain, F_OK) < 0);
    }
    cr_assert(failed > 0 && succeeded > 0);
    t_leak_end();
}

Test(handover, one_that_drains_leaves_the_path_to_others)
{
    char path[64], byte = 'x';
    const char *listen[] = {"127.0.0.1:0", NULL};
    set_path(path, "drains");
    struct generation old = {.listen = listen, .path = path, .loops = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    t_leak_begin();
    begin(&old);
    wait_for_socket(path);
    int served = t_client(&old.address);
    cr_assert(write(served, &byte, 1) == 1 && read(served, &byte, 1) == 1);
    weft_server_stop(old.server, WEFT_SERVER_GRACE);
    int error = 0;
    while (error == 0) {
        int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (connect(raw, (struct sockaddr *)&address, sizeof address) < 0)
            error = errno;
        close(raw);
        usleep(1000);
    }
    cr_assert(error == ENOENT, "%s", strerror(error));
    close(served);
    end(&old);
    t_leak_end();
}

static unsigned
count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

Test(handover, descriptors_that_nobody_asked_for_are_closed)
{
    char path[64];
    const char *listen[] = {"127.0.0.1:0", NULL};
    set_path(path, "gifts");
    struct generation old = {.listen = listen, .path = path, .loops = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    t_leak_begin();
    begin(&old);
    wait_for_socket(path);
    unsigned before = count_descriptors();
    for (int n = 1; n <= 3; n++) {
        int gifts[3] = {0, 1, 2};
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof gifts)];
        } control = {.bytes = {0}};
        char greeting[] = "weft-ho1";
        struct iovec part = {.iov_base = greeting, .iov_len = 8};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = CMSG_SPACE((size_t)n * sizeof gifts[0])};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)n * sizeof gifts[0]);
        memcpy(CMSG_DATA(header), gifts, (size_t)n * sizeof gifts[0]);
        int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        cr_assert(connect(raw, (struct sockaddr *)&address, sizeof address) == 0);
        cr_assert(sendmsg(raw, &message, 0) == 8);
        char buf[256];
        ssize_t got = read(raw, buf, sizeof buf); /* it hangs up */
        close(raw);
        cr_assert(got == 0, "%d descriptors: %zd", n, got);
        cr_assert(count_descriptors() == before, "%d descriptors: some are left", n);
    }
    cr_assert(ask(&old.address) == 0);
    weft_server_stop(old.server, WEFT_SERVER_GRACE);
    end(&old);
    t_leak_end();
}

Test(handover, unix_sockets_and_new_addresses_go_along)
{
    char path[64], plain[64], text[80];
    struct stat status;
    set_path(path, "both");
    set_path(plain, "both-plain");
    snprintf(text, sizeof text, "unix:%s", plain);
    const char *first[] = {text, "127.0.0.1:0", NULL}, *second[] = {text, ":0", NULL};
    struct generation old = {.listen = first, .path = path, .loops = 2};
    struct generation new = {.listen = second, .path = path, .loops = 2};
    t_leak_begin();
    begin(&old);
    wait_for_socket(path);
    cr_assert(ask(&old.address) == 0);
    begin(&new);
    end(&old);
    cr_assert(stat(plain, &status) == 0, "the old one has removed what it handed over");
    cr_assert(ask(&new.address) == 0);
    weft_server_stop(new.server, WEFT_SERVER_GRACE);
    end(&new);
    cr_assert(stat(plain, &status) < 0);
    t_leak_end();
}

Test(handover, what_is_no_server_is_told_apart)
{
    char path[64];
    const char *where[] = {"127.0.0.1:0", NULL};
    set_path(path, "other");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert(bind(raw, (struct sockaddr *)&address, sizeof address) == 0);
    cr_assert(listen(raw, 4) == 0);
    struct generation g = {.listen = where, .path = path, .loops = 1};
    g.thread = t_thread(generation_thread, &g);
    int peer = accept4(raw, NULL, NULL, SOCK_CLOEXEC);
    char nonsense[300] = "nonsense";
    cr_assert(write(peer, nonsense, sizeof nonsense) == sizeof nonsense);
    t_thread_join(g.thread);
    T_ERR(-EPROTO, g.new_rc);
    close(peer);
    close(raw);
    unlink(path);
}

/* ---- Torture -------------------------------------------------------------------------------- */

/* Until it has been taken over, or a while: something may have failed. */
static void
wait_for_successor(const weft_server *old)
{
    for (int i = 0; i < 50 && !weft_server_draining(old); i++)
        weft_ignore(weft_sleep(WEFT_MS(1)));
}

static int
tortured_begin(struct t_served *served, const weft_server_options *options)
{
    int rc = weft_server_new(&served->server, options);
    if (rc < 0)
        return rc;
    rc = weft_task_spawn(&served->task, t_served_run, served, NULL);
    if (rc < 0) {
        weft_server_free(served->server);
        served->server = NULL;
    }
    return rc;
}

static void
tortured_end(struct t_served *served)
{
    if (served->server == NULL)
        return;
    weft_server_stop(served->server, 0);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_task_join(served->task, NULL));
    weft_scope_close(&shield);
    weft_server_free(served->server);
}

static int
tortured_main(void *arg)
{
    struct t_served old = {.server = NULL}, new = {.server = NULL};
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = tortured_begin(&old, arg);
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    if (rc == 0)
        rc = tortured_begin(&new, arg);
    if (rc == 0)
        wait_for_successor(old.server);
    tortured_end(&new);
    tortured_end(&old);
    weft_scope_close(&scope);
    return rc;
}

static void
tortured_run(void *arg)
{
    weft_ignore(
        weft_run(tortured_main, arg, &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    char path[64], plain[64], text[80];
    set_path(path, "torture");
    set_path(plain, "torture-plain");
    snprintf(text, sizeof text, "unix:%s", plain);
    const char *listen[] = {"127.0.0.1:0", text, NULL};
    weft_server_options options = {.listen = listen, .serve = t_serve_echo, .handover = path};
    t_torture_run(&(struct t_torture){.kind = kind,
                                      .from_on = from_on,
                                      .error = error,
                                      .max = 120 / T_SLOW,
                                      .scenario = tortured_run,
                                      .arg = &options});
    unlink(path); /* removing them may be what failed */
    unlink(plain);
}

Test(handover, whatever_fails_both_end)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
    torture(WEFT__TORTURE_SYSCALL, false, EIO);
    torture(WEFT__TORTURE_SYSCALL, false, EMFILE);
}

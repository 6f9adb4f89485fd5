/*
 * serving.c - starting, accounting and ending the servers of the network benchmarks.
 */
#include "net/serving.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_WITHIN_NS 8000000000 /* a server that was told to end */
#define UP_WITHIN_NS 5000000000  /* a program that was started */

static int
listen_here(struct micro *m, uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        micro_fail(m, "listen", -errno);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void
become_server(struct micro *m, pid_t parent, int cpu)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    micro_pin(m, cpu);
}

static void
await_port(struct micro *m, const struct serving_run *run)
{
    int64_t give_up = micro_now() + UP_WITHIN_NS;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(run->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (rc == 0)
            return;
        if (micro_now() > give_up || waitpid(run->pid, NULL, WNOHANG) != 0)
            micro_fail(m, run->serving->name, -ECONNREFUSED);
        usleep(10000);
    }
}

bool
serving_start(struct micro *m, struct serving_run *run, const struct serving *serving, int cpu)
{
    int listener = listen_here(m, &run->port);
    char **argv = NULL;
    run->serving = serving;
    if (serving->command != NULL) {
        close(listener);
        if (!serving->command(run->port, &argv))
            return false;
    }
    fflush(stdout);
    pid_t parent = getpid();
    run->pid = fork();
    if (run->pid < 0)
        micro_fail(m, "fork", -errno);
    if (run->pid == 0) {
        become_server(m, parent, cpu);
        if (argv != NULL) {
            execvp(argv[0], argv);
            _exit(127);
        }
        int rc = serving->run(listener);
        if (rc < 0)
            fprintf(stderr, "%s: %s: %s\n", m->program, serving->name, weft_strerror(rc));
        _exit(rc < 0);
    }
    if (argv != NULL) {
        for (char **arg = argv; *arg != NULL; arg++)
            free(*arg);
        free(argv);
        await_port(m, run);
    } else {
        close(listener);
    }
    return true;
}

void
serving_end(struct micro *m, struct serving_run *run)
{
    kill(run->pid, SIGTERM);
    int status = 0;
    int64_t give_up = micro_now() + END_WITHIN_NS;
    pid_t ended;
    while ((ended = waitpid(run->pid, &status, WNOHANG)) == 0 && micro_now() < give_up)
        usleep(1000);
    if (ended == 0) {
        kill(run->pid, SIGKILL);
        waitpid(run->pid, &status, 0);
        micro_fail(m, "a server did not end on SIGTERM", -ETIMEDOUT);
    }
    bool well = run->serving->ends_itself ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                                          : WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    if (!well)
        micro_fail(m, "the end of a server", 0);
}

double
serving_cpu_ns(struct micro *m, const struct serving_run *run)
{
    clockid_t clock;
    struct timespec ts;
    if (clock_getcpuclockid(run->pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
        micro_fail(m, "CPU clock of a server", -errno);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

double
serving_memory(struct micro *m, const struct serving_run *run)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)run->pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Private_Dirty: %ld kB", &kib) != 1)
            kib = -1;
    if (file != NULL)
        fclose(file);
    if (kib < 0)
        micro_fail(m, path, -ENOENT);
    return (double)kib * 1024;
}

long
serving_raise_files(struct micro *m)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        micro_fail(m, "limit of open files", -errno);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        micro_fail(m, "raising the limit of open files", -errno);
    return limit.rlim_cur > LONG_MAX ? LONG_MAX : (long)limit.rlim_cur;
}

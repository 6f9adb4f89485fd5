/*
 * kv.c - requests that the example server kv answers on one loop, beside redis-server.
 *
 * Each server is a process of its own on the first CPU, redis-benchmark is one on the second. The
 * servers take turns, again and again, so that whatever else the machine does meets both alike.
 * Requests a second are redis-benchmark's count, which may be its own limit: the server's CPU for a
 * request, by the kernel's account of its process, is what is left of that.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro/micro.h"

#define WARM_UP 5000
#define UP_WITHIN_NS 10000000000 /* a server that was started */
#define ARGS_MAX 24

static struct micro m = {.program = "kv",
                         .what = "requests of 50 connections, one at a time each, server and "
                                 "client on a CPU each",
                         .repeats = 9,
                         .count = 100000};

static int server_cpu, client_cpu;
static char kv_path[PATH_MAX];

enum { KV, REDIS, N_SERVERS };
enum { SET, GET, N_TESTS }; /* SET first: GET finds what it left */

/* ---- Processes ------------------------------------------------------------------------------ */

/* Runs a program on a CPU; what it prints goes to `out`. */
static pid_t
start(int cpu, int out, const char *const *args)
{
    fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        micro_fail(&m, "fork", -errno);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (getppid() != parent || null < 0 || dup2(null, 0) < 0 || dup2(out < 0 ? null : out, 1) < 0 ||
        dup2(null, 2) < 0)
        _exit(126);
    micro_pin(&m, cpu);
    execvp(args[0], (char *const *)args);
    _exit(127);
}

/* Whether a program can be run at all. */
static bool
is_there(const char *program)
{
    const char *args[] = {program, "--help", NULL};
    int status;
    pid_t pid = start(server_cpu, -1, args);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 126;
}

static struct sockaddr_in
here(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static uint16_t
free_port(void)
{
    struct sockaddr_in address = here(0);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        micro_fail(&m, "a free port", -errno);
    close(fd);
    return ntohs(address.sin_port);
}

static pid_t
server_start(int server, uint16_t port)
{
    char number[16];
    snprintf(number, sizeof number, "%u", port);
    const char *kv[] = {kv_path, "--port", number, "--loops", "1", NULL};
    const char *redis[] = {"redis-server", "--port", number,         "--bind", "127.0.0.1",
                           "--save",       "",       "--appendonly", "no",     NULL};
    pid_t pid = start(server_cpu, -1, server == KV ? kv : redis);
    int64_t give_up = micro_now() + UP_WITHIN_NS;
    for (;;) {
        struct sockaddr_in address = here(port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool up = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (up)
            return pid;
        if (waitpid(pid, NULL, WNOHANG) != 0 || micro_now() > give_up)
            micro_fail(&m, server == KV ? kv_path : "redis-server", -ECONNREFUSED);
        usleep(2000);
    }
}

static void
server_end(pid_t pid)
{
    int status;
    kill(pid, SIGTERM);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        micro_fail(&m, "the end of a server", 0);
}

/* ---- One run -------------------------------------------------------------------------------- */

/* Requests a second, from redis-benchmark's line "SET","40160.64",… */
static double
benchmark(uint16_t port, int test, long requests)
{
    static const char *const names[] = {"set", "get"}, *const rows[] = {"\"SET\",\"", "\"GET\",\""};
    char number[16], count[32], text[4096];
    snprintf(number, sizeof number, "%u", port);
    snprintf(count, sizeof count, "%ld", requests);
    const char *args[ARGS_MAX] = {"redis-benchmark",
                                  "-h",
                                  "127.0.0.1",
                                  "-p",
                                  number,
                                  "-t",
                                  names[test],
                                  "-P",
                                  "1",
                                  "-c",
                                  "50",
                                  "-n",
                                  count,
                                  "--csv"};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        micro_fail(&m, "pipe", -errno);
    pid_t pid = start(client_cpu, ends[1], args);
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < sizeof text - 1 && (n = read(ends[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    int status;
    const char *row = strstr(text, rows[test]);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
        row == NULL)
        micro_fail(&m, "redis-benchmark", 0);
    return strtod(row + strlen(rows[test]), NULL);
}

static double
cpu_ns(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) < 0)
        micro_fail(&m, "CPU clock of a server", -errno);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double cpus[N_TESTS][N_SERVERS][MICRO_REPEATS_MAX];
static double rates[N_TESTS][N_SERVERS][MICRO_REPEATS_MAX];

static void
measure(int server, size_t repeat)
{
    uint16_t port = free_port();
    pid_t pid = server_start(server, port);
    clockid_t clock;
    int rc = -clock_getcpuclockid(pid, &clock);
    micro_check(&m, "CPU clock of a server", rc);
    for (int test = 0; test < N_TESTS; test++) {
        benchmark(port, test, WARM_UP);
        double begun = cpu_ns(clock);
        rates[test][server][repeat] = benchmark(port, test, m.count) / 1e3;
        cpus[test][server][repeat] = (cpu_ns(clock) - begun) / (double)m.count / 1e3;
    }
    server_end(pid);
}

/* ---- All runs ------------------------------------------------------------------------------- */

static void
report(int test)
{
    static const char *const names[N_TESTS][6] = {
        {"SET, redis-server / kv", "SET, kv", "SET, redis-server", "SET, kv / redis-server, CPU",
         "SET, kv, CPU", "SET, redis-server, CPU"},
        {"GET, redis-server / kv", "GET, kv", "GET, redis-server", "GET, kv / redis-server, CPU",
         "GET, kv, CPU", "GET, redis-server, CPU"}};
    size_t n = (size_t)m.repeats;
    micro_ratio(&m, names[test][0], 1.0, rates[test][REDIS], rates[test][KV], n);
    micro_note(&m, names[test][1], "k/s", "", rates[test][KV], n);
    micro_note(&m, names[test][2], "k/s", "", rates[test][REDIS], n);
    micro_ratio(&m, names[test][3], 1.0, cpus[test][KV], cpus[test][REDIS], n);
    micro_note(&m, names[test][4], "us", "", cpus[test][KV], n);
    micro_note(&m, names[test][5], "us", "", cpus[test][REDIS], n);
}

/* The example stands beside the folder of this program. */
static bool
find_kv(void)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0)
        return false;
    self[len] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(self, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    int n = snprintf(kv_path, sizeof kv_path, "%s/examples/kv", self);
    return n > 0 && (size_t)n < sizeof kv_path && access(kv_path, X_OK) == 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "requests in a run");
    server_cpu = micro_cpu(0);
    client_cpu = micro_cpu(1);
    if (!find_kv()) {
        printf("kv: not measured: there is no %s (make examples builds it)\n", kv_path);
        return 0;
    }
    if (!is_there("redis-server") || !is_there("redis-benchmark")) {
        printf("kv: not measured: redis-server and redis-benchmark are not both installed\n");
        return 0;
    }
    if (client_cpu < 0) {
        printf("kv: this process may use one CPU only: server and client share it\n");
        client_cpu = server_cpu;
    }
    for (size_t repeat = 0; repeat < (size_t)m.repeats; repeat++)
        for (int server = 0; server < N_SERVERS; server++)
            measure(server, repeat);
    for (int test = 0; test < N_TESTS; test++)
        report(test);
    return micro_end(&m);
}

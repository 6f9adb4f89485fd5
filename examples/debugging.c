/*
 * debugging.c - debug mode finds and names the usual mistakes.
 *
 * asyncio: debug mode, "exception was never retrieved", slow_callback_duration, all_tasks(). A
 * program would set WEFT_DEBUG=1 and read standard error; here the log is kept, and shown without
 * what differs from run to run: addresses, durations, and the backtrace of the call that blocked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

static volatile int blocked; /* and reported */

static void
print(const char *line)
{
    while (*line != '\0') {
        size_t digits = strspn(line, "0123456789");
        if (strncmp(line, "+0x", 3) == 0 || strncmp(line, " 0x", 3) == 0)
            line += 3 + strspn(line + 3, "0123456789abcdef");
        else if (digits > 0 && strncmp(line + digits, " ms", 3) == 0)
            putchar('N'), line += digits;
        else
            putchar(*line++);
    }
    putchar('\n');
}

static void
on_log(void *arg, weft_log_level level, const char *line)
{
    (void)arg;
    int slow = strstr(line, "been blocked") != NULL;
    if (level > WEFT_LOG_WARN || line[0] == ' ' || (slow && strstr(line, "\"blocks\"") == NULL))
        return; /* a frame of the backtrace; a machine that is slow itself */
    print(line);
    blocked |= slow;
}

static int
fails(void *arg)
{
    (void)arg;
    return -EIO;
}

/* As a call that knows nothing of tasks would: weft_blocking() is for these. */
static int
blocks(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000 && !blocked; i++)
        usleep(1000);
    return 0;
}

static weft_semaphore forks[2];

/* Takes one fork, and then the other. */
static int
dine(void *arg)
{
    weft_semaphore *first = arg, *second = first == forks ? forks + 1 : forks;
    int rc = weft_semaphore_acquire(first);
    if (rc < 0)
        return rc;
    rc = weft_sleep(WEFT_MS(1));
    if (rc == 0)
        rc = weft_semaphore_acquire(second);
    if (rc == 0)
        weft_semaphore_release(second);
    weft_semaphore_release(first);
    return rc;
}

static int
make_mistakes(void *arg)
{
    weft_task *lost; /* a handle that nobody will end */
    weft_task_spawn(NULL, fails, arg, &(weft_task_options){.name = "fails"});
    weft_task_spawn(&lost, blocks, arg, &(weft_task_options){.name = "blocks"});
    for (int i = 0; i < 2; i++) {
        weft_semaphore_open(&forks[i], 1);
        weft_task_spawn(NULL, dine, &forks[i], &(weft_task_options){.name = i ? "Plato" : "Kant"});
    }
    int rc = weft_sleep(WEFT_SEC(1));
    weft_buf buf = {0};
    if (rc == 0 && weft_dump_buf(&buf) == 0 && weft_buf_append(&buf, "", 1) == 0) {
        for (char *line = strtok((char *)buf.data, "\n"); line; line = strtok(NULL, "\n")) {
            line[strcspn(line, ";")] = '\0'; /* without stack and spawn site */
            print(line);
        }
    }
    weft_buf_free(&buf);
    return rc == 0 ? weft_semaphore_acquire(forks) : rc; /* never: both forks are taken */
}

int
main(void)
{
    weft_set_log(on_log, NULL);
    weft_options options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .debug = 1};
    int rc = weft_run(make_mistakes, NULL, &options);
    printf("weft_run: %s\n", weft_errname(rc));
    return rc != -EDEADLK;
}

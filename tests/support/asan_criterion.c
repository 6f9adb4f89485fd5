/*
 * asan_criterion.c - which process's leaks count; linked into the ASan build of the tests alone.
 *
 * Criterion's runner, which starts a process for each test, itself loses a block of 48 bytes for
 * a test or two when several run at once (criterion_run_all_tests is on the allocation's stack).
 * Nothing of weft runs in that process, so its leaks are not looked for. The tests' processes,
 * and all that they start, are checked: BoxFort marks them by BXFI_MAP in their environment.
 */
#include <stdlib.h>
#include <unistd.h>

#include <sanitizer/lsan_interface.h>

static pid_t runner;

__attribute__((constructor)) static void
note_runner(void)
{
    if (getenv("BXFI_MAP") == NULL)
        runner = getpid();
}

/* Asked by LeakSanitizer when a process ends. */
int
__lsan_is_turned_off(void)
{
    return getpid() == runner;
}

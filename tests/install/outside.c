/*
 * outside.c - a program that knows weft only from where it was installed; C11 and C++17 alike.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
nap(void *arg)
{
    int *naps = (int *)arg;
    int rc = weft_sleep(WEFT_MS(1));
    if (rc < 0)
        return rc;
    ++*naps;
    return 0;
}

int
main(void)
{
    int naps = 0;
    int rc = weft_run(nap, &naps, NULL);
    if (rc < 0 || naps != 1 || strcmp(weft_version(), WEFT_VERSION) != 0) {
        fprintf(stderr, "weft %s: %s\n", weft_version(), weft_strerror(rc));
        return 1;
    }
    printf("weft %s\n", weft_version());
    return 0;
}

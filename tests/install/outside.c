/*
 * outside.c - a program that knows weft only from where it was installed; C11 and C++17 alike. One
 * task sends words through a stream in memory, another one sends them back.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
echo(void *arg)
{
    weft_stream *stream = (weft_stream *)arg;
    int rc = weft_stream_copy(stream, stream, UINT64_MAX, NULL);
    return rc < 0 ? rc : weft_stream_shutdown(stream);
}

static int
talk(void *arg)
{
    char *reply = (char *)arg;
    weft_stream near, far;
    weft_group group;
    int rc = weft_stream_open_pair(&near, &far, 0);
    if (rc < 0)
        return rc;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, echo, &far);
    rc = weft_stream_write_all(&near, "warp", 4, NULL);
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    if (rc == 0)
        rc = weft_stream_read_exact(&near, reply, 4, NULL);
    if (rc == 0)
        rc = weft_stream_shutdown(&near);
    if (rc < 0)
        weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    weft_stream_close(&near);
    weft_stream_close(&far);
    return rc < 0 ? rc : closed;
}

int
main(void)
{
    char reply[5] = "";
    int rc = weft_run(talk, reply, NULL);
    if (rc < 0 || strcmp(reply, "warp") != 0 || strcmp(weft_version(), WEFT_VERSION) != 0) {
        fprintf(stderr, "weft %s: %s\n", weft_version(), weft_strerror(rc));
        return 1;
    }
    printf("weft %s\n", weft_version());
    return 0;
}

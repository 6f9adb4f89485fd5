/*
 * test_stream.c - the transports of the core: what every transport must do, and what streams do
 * whatever is below them.
 */
#include "tests/conformance/stream_kit.h"

#include <errno.h>
#include <string.h>

#include <weft/group.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "tests/io/t_io.h"

STREAM_KIT(stream_tcp, stream_kit_tcp)
STREAM_KIT(stream_unix, stream_kit_unix)
STREAM_KIT(stream_pipe, stream_kit_pipe)
STREAM_KIT(stream_memory, stream_kit_memory)
STREAM_KIT(stream_tiny, stream_kit_tiny)

TestSuite(stream, .timeout = 120);

/* ---- Closed by another task ----------------------------------------------------------------- */

struct copying {
    weft_stream from, to;
    uint64_t copied;
    int rc;
};

static int
copy_task(void *arg)
{
    struct copying *c = arg;
    c->rc = weft_stream_copy(&c->from, &c->to, UINT64_MAX, &c->copied);
    return 0;
}

/* What another stream reads next must not be sent in the place of what was to be copied. */
TASK_TEST(stream, closing_the_source_of_a_copy_leaves_its_bytes_alone)
{
    struct copying c;
    weft_stream source, sink, other[2];
    char bytes[512];
    T_OK(weft_stream_open_pair(&source, &c.from, 0));
    T_OK(weft_stream_open_pair(&c.to, &sink, 16));
    T_OK(weft_stream_open_pair(&other[0], &other[1], 0));
    memset(bytes, 'a', sizeof bytes);
    T_OK(weft_stream_write_all(&source, bytes, sizeof bytes, NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, copy_task, &c);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    weft_stream_close(&c.from);
    memset(bytes, 'b', sizeof bytes);
    T_OK(weft_stream_write_all(&other[0], bytes, sizeof bytes, NULL));
    cr_assert_gt(weft_stream_fill(&other[1]), 0);
    size_t got = 0;
    while (got < 512) {
        ssize_t n = weft_stream_read(&sink, bytes, sizeof bytes);
        for (ssize_t i = 0; i < n; i++)
            cr_assert_eq(bytes[i], 'a', "byte %zu is another stream's", got + (size_t)i);
        got += (size_t)n;
    }
    T_OK(weft_group_close(&group));
    T_ERR(-EBADF, c.rc);
    cr_assert_eq(c.copied, 512);
    weft_stream_close(&source);
    weft_stream_close(&sink);
    weft_stream_close(&c.to);
    weft_stream_close(&other[0]);
    weft_stream_close(&other[1]);
}

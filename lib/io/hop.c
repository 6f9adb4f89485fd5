/*
 * hop.c - one call made on a thread for files.
 */
#include <weft/error.h>
#include <weft/scope.h>

#include "exec/lanes.h"
#include "io/file_sys.h"
#include "io/hop.h"

static int
run(void *arg)
{
    struct weft__hop *hop = arg;
    hop->result = hop->fn(hop);
    hop->ran = true;
    return 0;
}

int64_t
weft__hop_run(struct weft__hop *hop)
{
    hop->ran = false;
    int rc = weft__wait_begin();
    if (rc == 0)
        rc = weft__lane_run(WEFT__LANE_FILES, run, hop, NULL);
    return rc < 0 ? rc : hop->result;
}

int64_t
weft__hop_always(struct weft__hop *hop)
{
    weft_scope shield;
    bool shielded = weft__task_self() != NULL;
    hop->ran = false;
    if (shielded)
        weft_shield_open(&shield, WEFT_FOREVER);
    int rc = weft__lane_run(WEFT__LANE_FILES, run, hop, NULL);
    if (shielded)
        weft_scope_close(&shield);
    if (rc < 0 && !hop->ran)
        run(hop); /* no thread can be had: better here than not at all */
    return hop->result;
}

struct closing {
    struct weft__hop hop;
    int fd;
};

static int64_t
close_fn(struct weft__hop *hop)
{
    return weft__sys_close_told(((struct closing *)hop)->fd);
}

int
weft__hop_close(int fd)
{
    struct closing closing = {.hop.fn = close_fn, .fd = fd};
    return (int)weft__hop_always(&closing.hop);
}

int
weft__path_failed(int rc, const char *verb, const char *path)
{
    if (rc >= 0 || rc == -ECANCELED || rc == -ETIMEDOUT)
        return rc;
    return weft_error_note(rc, "cannot %s %.120s: %s", verb, path, weft_strerror(rc));
}

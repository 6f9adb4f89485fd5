/*
 * client_own.c - a client for each loop that asked without one, and the calls that take it.
 *
 * It is kept by a task that sleeps until the runtime ends, and frees it then.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "http/client_priv.h"

struct own {
    struct own *next; /* of this thread: with the virtual clock it has several loops */
    weft_loop *loop;
    weft_http_client *client;
};

/* What a keeper says to the task that started it, which waits for that. */
struct start {
    int rc;
    bool done;
};

static __thread struct own *owns;

static struct own *
find(void)
{
    weft_loop *loop = weft_loop_current();
    struct own *own = owns;
    while (own != NULL && own->loop != loop)
        own = own->next;
    return own;
}

static int
keep(void *arg)
{
    struct start *start = arg;
    struct own own = {.loop = weft_loop_current()};
    start->done = true;
    if (find() != NULL) /* another task was as quick */
        return 0;
    start->rc = weft_http_client_new(&own.client, NULL);
    if (start->rc < 0)
        return 0;
    own.next = owns;
    owns = &own;
    weft_ignore(weft_sleep_until(WEFT_FOREVER));
    struct own **place = &owns;
    while (*place != &own)
        place = &(*place)->next;
    *place = own.next;
    weft_http_client_free(own.client);
    return 0;
}

/* Until the keeper has come to its wait, or will not start any more. */
static int
start_keeper(void)
{
    struct start start = {.rc = 0};
    weft_task *keeper;
    weft_scope shield;
    int rc = weft_task_spawn(&keeper, keep, &start, &(weft_task_options){.name = "http client"});
    if (rc < 0)
        return rc;
    weft_shield_open(&shield, WEFT_FOREVER);
    while (!start.done && weft_task_get_state(keeper) < WEFT_TASK_DONE)
        weft_ignore(weft_yield());
    weft_scope_close(&shield);
    weft_task_close(keeper);
    return start.done ? start.rc : -ESHUTDOWN;
}

int
weft__client_own(weft_http_client **ret_client)
{
    struct own *own = find();
    if (own == NULL) {
        int rc = start_keeper();
        if (rc < 0)
            return rc;
        own = find();
    }
    if (own == NULL)
        return -ESHUTDOWN; /* the runtime ended meanwhile */
    *ret_client = own->client;
    return 0;
}

int
weft_http_get(const char *url, weft_http_response *response)
{
    return weft_http_fetch(NULL, &(weft_http_request){.url = url}, response);
}

int
weft_http_post(const char *url, const char *type, weft_bytes body, weft_http_response *response)
{
    weft_buf line = {.data = NULL};
    const char *headers[] = {NULL, NULL};
    if (type != NULL) {
        int rc = weft_buf_printf(&line, "Content-Type: %s%c", type, '\0');
        if (rc < 0) {
            memset(response, 0, sizeof *response);
            return rc;
        }
        headers[0] = (const char *)line.data;
    }
    int rc =
        weft_http_fetch(NULL,
                        &(weft_http_request){.url = url,
                                             .method = "POST",
                                             .headers = headers,
                                             .body = {.data = body.data != NULL ? body.data : "",
                                                      .len = body.data != NULL ? body.len : 0}},
                        response);
    weft_buf_free(&line);
    return rc;
}

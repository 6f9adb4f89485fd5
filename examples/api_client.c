/*
 * api_client.c - a client of a JSON API as one would write it for one's own: typed calls over one
 * connection pool, a token, pages, attempts, deadlines, and errors in words.
 *
 * Every call goes through api_call: it takes a place among the calls under way, has a deadline,
 * comes again after 429 and 503 (no sooner than Retry-After says, and as long as the server wants
 * that, no other call goes out either), and turns a status into a result and a sentence. The API it
 * talks to is served by the program itself, so that it runs anywhere and prints the same each time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <weft.h>

/* ---- The client ----------------------------------------------------------------------------- */

#define CALL_TIMEOUT WEFT_SEC(10) /* of a call, all attempts included */
#define AT_ONCE 4

struct api {
    weft_http_client *client;
    const char *base; /* "http://host:port" */
    char authorization[128];
    weft_semaphore places;
    weft_time not_before; /* a server that is asked too much said so */
    weft_time timeout;    /* of calls from now on */
    unsigned waits;       /* attempts that were put off by the server */
};

struct call {
    struct api *api;
    const char *method, *path;
    char *body; /* NULL: none */
    weft_http_response response;
};

static int
api_open(struct api *api, const char *base, const char *token)
{
    *api = (struct api){.base = base, .timeout = CALL_TIMEOUT};
    snprintf(api->authorization, sizeof api->authorization, "Authorization: Bearer %s", token);
    int rc = weft_semaphore_open(&api->places, AT_ONCE);
    return rc < 0 ? rc : weft_http_client_new(&api->client, NULL);
}

static void
api_close(struct api *api)
{
    weft_http_client_free(api->client);
    weft_semaphore_close(&api->places);
}

/* What the API's error says of itself: {"error": "…"}; else the status in words. */
static int
failure(const struct call *call, int rc)
{
    int status = call->response.status;
    json_t *json =
        json_loadb((const char *)call->response.body.data, call->response.body.len, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    rc = weft_error_note(rc, "%s %s: %s (status %d)", call->method, call->path,
                         error != NULL ? error : weft_http_reason(status), status);
    json_decref(json);
    return rc;
}

static int
result_of(const struct call *call)
{
    int status = call->response.status;
    if (status < 300)
        return 0;
    switch (status) {
    case 401:
    case 403:
        return failure(call, -EACCES);
    case 404:
        return failure(call, -ENOENT);
    case 400:
    case 409:
    case 422:
        return failure(call, -EINVAL);
    case 429:
    case 503:
        return failure(call, -EAGAIN);
    default:
        return failure(call, -EREMOTEIO);
    }
}

static weft_time
retry_after(const weft_http_response *response)
{
    const char *value = weft_http_response_field(response, "Retry-After", 0);
    int64_t date, now = time(NULL);
    if (value == NULL)
        return 0;
    if (*value >= '0' && *value <= '9')
        return WEFT_SEC(strtoul(value, NULL, 10) % 3600);
    return weft_http_date_parse(value, strlen(value), now, &date) == 0 && date > now &&
                   date - now < 3600
               ? WEFT_SEC(date - now)
               : 0;
}

static int
attempt(void *arg)
{
    struct call *call = arg;
    struct api *api = call->api;
    const char *headers[] = {api->authorization, "Accept: application/json",
                             call->body != NULL ? "Content-Type: application/json" : NULL, NULL};
    char url[256];
    while (api->not_before > weft_now()) { /* which another call may move meanwhile */
        int rc = weft_sleep_until(api->not_before);
        if (rc < 0)
            return rc;
    }
    snprintf(url, sizeof url, "%s%s", api->base, call->path);
    weft_http_response_free(&call->response);
    int rc = weft_http_fetch(
        api->client,
        &(weft_http_request){.url = url,
                             .method = call->method,
                             .headers = headers,
                             .body = {call->body, call->body != NULL ? strlen(call->body) : 0},
                             .limit = 1 << 20},
        &call->response);
    if (rc < 0)
        return rc;
    rc = result_of(call);
    if (rc == -EAGAIN) {
        weft_time when = weft_now() + retry_after(&call->response);
        if (when > api->not_before)
            api->not_before = when;
        api->waits++;
    }
    return rc;
}

/* A broken connection says nothing of what the server did: only what may be done twice is. */
static int
worth_another(int rc, void *arg)
{
    const struct call *call = arg;
    if (rc == -EAGAIN || rc == -ECONNREFUSED)
        return 1;
    return (rc == -ECONNRESET || rc == WEFT_E_END) &&
           weft_http_method_is_idempotent(
               weft_http_method_parse(call->method, strlen(call->method)));
}

/*
 * Calls a method of the API. `in` is sent as JSON and given up; NULL: nothing is. `ret_out` gets
 * what came back, to be given up; NULL: it is of no interest.
 *
 * Returns 0; -EACCES, -ENOENT, -EINVAL, -EREMOTEIO by the status; -EAGAIN when the server was busy
 * to the end; -EPROTO for what is no JSON; -ETIMEDOUT; errors of weft_http_fetch. In each case
 * weft_error_text() says more.
 */
static int
api_call(struct api *api, const char *method, const char *path, json_t *in, json_t **ret_out)
{
    struct call call = {.api = api, .method = method, .path = path};
    call.body = in != NULL ? json_dumps(in, JSON_COMPACT) : NULL;
    json_decref(in);
    if (in != NULL && call.body == NULL)
        return -ENOMEM;

    weft_scope scope;
    weft_scope_open(&scope, weft_now() + api->timeout);
    int rc = weft_semaphore_acquire(&api->places);
    if (rc == 0) {
        rc = weft_retry(attempt, &call,
                        &(weft_retry_options){.attempts = 6, .again = worth_another});
        weft_semaphore_release(&api->places);
    }
    if (weft_scope_close(&scope) == -ETIMEDOUT)
        rc = weft_error_note(-ETIMEDOUT, "%s %s: not done within %g s", method, path,
                             (double)api->timeout / 1e9);
    if (rc == 0 && ret_out != NULL) {
        json_error_t error;
        *ret_out =
            json_loadb((const char *)call.response.body.data, call.response.body.len, 0, &error);
        if (*ret_out == NULL)
            rc = weft_error_note(-EPROTO, "%s %s: no JSON came back: %s", method, path, error.text);
    }
    weft_http_response_free(&call.response);
    free(call.body);
    return rc;
}

/* ---- Typed calls ---------------------------------------------------------------------------- */

struct user {
    int id;
    char name[64], mail[64];
};

static int
user_of(const json_t *json, struct user *ret_user)
{
    json_error_t error;
    const char *name, *mail;
    struct user user;
    if (json_unpack_ex((json_t *)json, &error, 0, "{s:i, s:s, s:s}", "id", &user.id, "name", &name,
                       "mail", &mail) < 0)
        return weft_error_note(-EPROTO, "what came back is no user: %s", error.text);
    snprintf(user.name, sizeof user.name, "%s", name);
    snprintf(user.mail, sizeof user.mail, "%s", mail);
    *ret_user = user;
    return 0;
}

static int
call_for_user(struct api *api, const char *method, const char *path, json_t *in,
              struct user *ret_user)
{
    json_t *json;
    int rc = api_call(api, method, path, in, &json);
    if (rc < 0)
        return rc;
    rc = user_of(json, ret_user);
    json_decref(json);
    return rc;
}

static int
user_create(struct api *api, const char *name, const char *mail, struct user *ret_user)
{
    json_t *in = json_pack("{s:s, s:s}", "name", name, "mail", mail);
    return in != NULL ? call_for_user(api, "POST", "/users", in, ret_user) : -ENOMEM;
}

static int
user_get(struct api *api, int id, struct user *ret_user)
{
    char path[32];
    snprintf(path, sizeof path, "/users/%d", id);
    return call_for_user(api, "GET", path, NULL, ret_user);
}

static int
user_rename(struct api *api, int id, const char *name, struct user *ret_user)
{
    char path[32];
    json_t *in = json_pack("{s:s}", "name", name);
    snprintf(path, sizeof path, "/users/%d", id);
    return in != NULL ? call_for_user(api, "PATCH", path, in, ret_user) : -ENOMEM;
}

static int
user_delete(struct api *api, int id)
{
    char path[32];
    snprintf(path, sizeof path, "/users/%d", id);
    return api_call(api, "DELETE", path, NULL, NULL);
}

typedef int user_fn(void *arg, const struct user *user);

/* Calls fn for each user, page by page; what fn fails with ends it. */
static int
users_list(struct api *api, user_fn *fn, void *arg)
{
    char path[64] = "/users?limit=8";
    int rc = 0;
    while (rc == 0 && path[0] != '\0') {
        json_t *page, *json;
        size_t i;
        rc = api_call(api, "GET", path, NULL, &page);
        if (rc < 0)
            break;
        json_array_foreach(json_object_get(page, "users"), i, json)
        {
            struct user user;
            rc = user_of(json, &user);
            if (rc == 0)
                rc = fn(arg, &user);
            if (rc < 0)
                break;
        }
        const char *next = json_string_value(json_object_get(page, "next"));
        snprintf(path, sizeof path, "%s", next != NULL ? next : "");
        json_decref(page);
    }
    return rc;
}

/* ---- The API itself, which is somebody else's in earnest ------------------------------------- */

#define USERS_MAX 100
#define BURST 24 /* calls; then 429, until a second has passed */
#define TOKEN "open sesame"

static struct store {
    struct user users[USERS_MAX];
    bool used[USERS_MAX];
    int n;
    unsigned calls;     /* since the last pause */
    weft_time paused;   /* until then */
    bool has_been_down; /* 503, once */
    unsigned at_once, most_at_once;
} store;

static int
reply_json(weft_http_exchange *exchange, int status, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        return -ENOMEM;
    int rc = weft_http_reply(exchange, status, "application/json", text, strlen(text));
    free(text);
    return rc;
}

static int
reply_error(weft_http_exchange *exchange, int status, const char *error)
{
    return reply_json(exchange, status, json_pack("{s:s}", "error", error));
}

static int
reply_user(weft_http_exchange *exchange, int status, const struct user *user)
{
    return reply_json(
        exchange, status,
        json_pack("{s:i, s:s, s:s}", "id", user->id, "name", user->name, "mail", user->mail));
}

/* Whether a call may go on; else it has been answered, and *ret_rc is the handler's result. */
static bool
admit(weft_http_exchange *exchange, int *ret_rc)
{
    weft_bytes authorization = weft_http_request_header(exchange, "Authorization");
    const char *wanted = "Bearer " TOKEN;
    if (authorization.len != strlen(wanted) ||
        memcmp(authorization.data, wanted, authorization.len) != 0) {
        *ret_rc = reply_error(exchange, 401, "who are you?");
        return false;
    }
    if (store.paused > 0 && weft_now() >= store.paused) {
        store.paused = 0;
        store.calls = 0;
    }
    if (store.paused == 0 && store.calls++ == BURST)
        store.paused = weft_now() + WEFT_MS(900);
    if (store.paused > 0) {
        *ret_rc = weft_http_response_header(exchange, "Retry-After", "1");
        if (*ret_rc == 0)
            *ret_rc = reply_error(exchange, 429, "not so fast");
        return false;
    }
    return true;
}

/* The user that the path names; NULL when there is none. */
static struct user *
user_asked_for(weft_http_exchange *exchange)
{
    weft_bytes text = weft_http_request_param(exchange, "id");
    int id = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = ((const char *)text.data)[i];
        if (c < '0' || c > '9' || id >= USERS_MAX)
            return NULL;
        id = 10 * id + (c - '0');
    }
    return id > 0 && id <= store.n && store.used[id - 1] ? &store.users[id - 1] : NULL;
}

static int
read_json(weft_http_exchange *exchange, json_t **ret_json)
{
    weft_buf body = {0};
    int rc = weft_http_request_read_all(exchange, &body, 4096);
    *ret_json = rc == 0 ? json_loadb((const char *)body.data, body.len, 0, NULL) : NULL;
    weft_buf_free(&body);
    return rc;
}

static int
serve_create(weft_http_exchange *exchange)
{
    const char *name, *mail;
    json_t *json;
    int rc = read_json(exchange, &json);
    if (rc < 0)
        return rc;
    if (json_unpack(json, "{s:s, s:s}", "name", &name, "mail", &mail) < 0) {
        rc = reply_error(exchange, 400, "name and mail are needed");
    } else if (strchr(mail, '@') == NULL) {
        rc = reply_error(exchange, 422, "the mail address has no @");
    } else if (store.n == USERS_MAX) {
        rc = reply_error(exchange, 409, "there are too many users");
    } else {
        struct user *user = &store.users[store.n];
        store.used[store.n++] = true;
        user->id = store.n;
        snprintf(user->name, sizeof user->name, "%s", name);
        snprintf(user->mail, sizeof user->mail, "%s", mail);
        struct user copy = *user;
        rc = weft_sleep(WEFT_MS(20)); /* a database would take some time too */
        if (rc == 0)
            rc = reply_user(exchange, 201, &copy);
    }
    json_decref(json);
    return rc;
}

static int
serve_list(weft_http_exchange *exchange)
{
    weft_bytes rest = weft_http_request_query(exchange), name, value;
    int limit = 10, after = 0, id;
    char next[64];
    while (weft_query_next(&rest, &name, &value)) {
        if (name.len == 5 && memcmp(name.data, "limit", 5) == 0 && value.len > 0)
            limit = atoi(value.data); /* what follows is no digit */
        if (name.len == 5 && memcmp(name.data, "after", 5) == 0 && value.len > 0)
            after = atoi(value.data);
    }
    json_t *users = json_array();
    if (after < 0 || after > store.n)
        after = store.n;
    for (id = after + 1; id <= store.n && (int)json_array_size(users) < limit; id++) {
        const struct user *user = &store.users[id - 1];
        if (store.used[id - 1])
            json_array_append_new(users, json_pack("{s:i, s:s, s:s}", "id", id, "name", user->name,
                                                   "mail", user->mail));
    }
    snprintf(next, sizeof next, "/users?limit=%d&after=%d", limit, id - 1);
    return reply_json(
        exchange, 200,
        json_pack("{s:o, s:s?}", "users", users, "next", id <= store.n ? next : NULL));
}

static int
serve_users(weft_http_exchange *exchange, void *arg)
{
    int rc;
    (void)arg;
    if (!admit(exchange, &rc))
        return rc;
    if (++store.at_once > store.most_at_once)
        store.most_at_once = store.at_once;
    rc = weft_http_request_method(exchange) == WEFT_HTTP_POST ? serve_create(exchange)
                                                              : serve_list(exchange);
    store.at_once--;
    return rc;
}

static int
serve_user(weft_http_exchange *exchange, void *arg)
{
    json_t *json;
    int rc;
    (void)arg;
    if (!admit(exchange, &rc))
        return rc;
    struct user *user = user_asked_for(exchange);
    if (user == NULL)
        return reply_error(exchange, 404, "there is no such user");
    switch (weft_http_request_method(exchange)) {
    case WEFT_HTTP_DELETE:
        store.used[user->id - 1] = false;
        return weft_http_reply(exchange, 204, NULL, NULL, 0);
    case WEFT_HTTP_PATCH:
        rc = read_json(exchange, &json);
        if (rc < 0)
            return rc;
        const char *name = json_string_value(json_object_get(json, "name"));
        if (name != NULL)
            snprintf(user->name, sizeof user->name, "%s", name);
        json_decref(json);
        return reply_user(exchange, 200, user);
    default:
        if (!store.has_been_down) {
            store.has_been_down = true;
            return weft_http_reply(exchange, 503, NULL, NULL, 0);
        }
        return reply_user(exchange, 200, user);
    }
}

static int
serve_odd(weft_http_exchange *exchange, void *what)
{
    if (strcmp(what, "slow") == 0) {
        int rc = weft_sleep(WEFT_SEC(60));
        return rc < 0 ? rc : reply_error(exchange, 200, "none");
    }
    if (strcmp(what, "broken") == 0)
        return reply_error(exchange, 500, "the database is gone");
    return weft_http_reply(exchange, 200, "application/json", "{\"id\": ", 7);
}

static const weft_http_route routes[] = {{"GET /users", serve_users, NULL},
                                         {"POST /users", serve_users, NULL},
                                         {"GET /users/{id}", serve_user, NULL},
                                         {"PATCH /users/{id}", serve_user, NULL},
                                         {"DELETE /users/{id}", serve_user, NULL},
                                         {"GET /slow", serve_odd, (void *)"slow"},
                                         {"GET /broken", serve_odd, (void *)"broken"},
                                         {"GET /half", serve_odd, (void *)"half"},
                                         {NULL, NULL, NULL}};

static int
serve(void *server)
{
    return weft_http_server_run(server);
}

/* ---- What the program does with it ----------------------------------------------------------- */

struct creation {
    struct api *api;
    int number;
};

static int
create_one(void *arg)
{
    struct creation *creation = arg;
    char name[32], mail[48];
    struct user user;
    snprintf(name, sizeof name, "user %d", creation->number);
    snprintf(mail, sizeof mail, "user%d@example.org", creation->number);
    return user_create(creation->api, name, mail, &user);
}

/* All at once, as far as the program is concerned; the client lets four through. */
static int
create_many(struct api *api, int n)
{
    struct creation creations[USERS_MAX];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < n; i++) {
        creations[i] = (struct creation){api, i + 1};
        weft_group_spawn(&group, create_one, &creations[i]);
    }
    int rc = weft_group_close(&group);
    if (rc == 0)
        printf("%d users created, %s %d at once; told to wait: %s\n", n,
               store.most_at_once <= AT_ONCE ? "never more than" : "but more than", AT_ONCE,
               api->waits > 0 ? "yes" : "no");
    return rc;
}

static int
count(void *arg, const struct user *user)
{
    int *n = arg;
    if (strchr(user->mail, '@') == NULL)
        return -EBADMSG;
    ++*n;
    return 0;
}

static void
tell(const char *what, int rc)
{
    printf("%-14s %s: %s\n", what, weft_errname(rc), rc < 0 ? weft_error_text() : "");
}

static int
work_on_one(struct api *api)
{
    struct user user;
    int rc = user_create(api, "Ada", "ada@example.org", &user);
    if (rc < 0)
        return rc;
    int id = user.id;
    rc = user_get(api, id, &user); /* 503 at first */
    if (rc == 0)
        printf("got            %s <%s>\n", user.name, user.mail);
    if (rc == 0)
        rc = user_rename(api, id, "Ada Lovelace", &user);
    if (rc == 0)
        printf("renamed        %s <%s>\n", user.name, user.mail);
    if (rc == 0)
        rc = user_delete(api, id);
    if (rc == 0)
        tell("deleted", user_get(api, id, &user));
    return rc;
}

static int
show(struct api *api)
{
    struct user user;
    int n = 0, rc = create_many(api, 30);
    if (rc == 0)
        rc = users_list(api, count, &n);
    if (rc == 0) {
        printf("%d users listed, page by page\n", n);
        rc = work_on_one(api);
    }
    if (rc < 0)
        return rc;
    tell("no address", user_create(api, "Eve", "nowhere", &user));
    tell("no JSON", api_call(api, "GET", "/half", NULL, &(json_t *){NULL}));
    tell("out of order", api_call(api, "GET", "/broken", NULL, NULL));
    tell("no such thing", api_call(api, "GET", "/nothing", NULL, NULL));
    api->timeout = WEFT_MS(100);
    tell("slow", api_call(api, "GET", "/slow", NULL, NULL));
    return 0;
}

static int
run(void *arg)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    weft_http_server *server;
    weft_address address;
    char text[64], base[96];
    struct api api;
    (void)arg;
    int rc = weft_http_server_new(&server, &(weft_http_server_options){.net.listen = listen,
                                                                       .net.grace = WEFT_MS(1),
                                                                       .routes = routes});
    if (rc < 0)
        return rc;
    rc = weft_server_address(weft_http_server_net(server), 0, &address);
    snprintf(base, sizeof base, "http://%s",
             rc == 0 ? weft_address_format(&address, text, sizeof text) : "");
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve, server);
    if (rc == 0)
        rc = api_open(&api, base, TOKEN);
    if (rc == 0) {
        rc = show(&api);
        snprintf(api.authorization, sizeof api.authorization, "Authorization: Bearer %s", "wrong");
        api.timeout = CALL_TIMEOUT;
        if (rc == 0)
            tell("wrong token", user_delete(&api, 1));
        api_close(&api);
    }
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    weft_http_server_free(server);
    return rc;
}

int
main(void)
{
    /* jansson's parser calls itself for each level of a document, 2,048 at most: some 160 KiB of
     * stack, that a stranger's document may ask for. */
    int rc = weft_run(run, NULL, &(weft_options){.loops = 1, .stack_size = 256 << 10});
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "api_client: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}

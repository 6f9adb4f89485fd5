/*
 * command.c - what each command does. The words of errors are Redis'.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "session.h"

#define NOT_A_NUMBER "ERR value is not an integer or out of range"
#define NO_ROOM "OOM command not allowed when used memory > 'maxmemory'."
#define SYNTAX "ERR syntax error"
#define OK "+OK\r\n"

struct command {
    const char *name;
    int arity; /* words, the command's own among them; -n: at least n */
    int (*run)(struct session *s);
};

static bool
is_word(weft_bytes bytes, const char *word)
{
    return bytes.len == strlen(word) && strncasecmp(bytes.data, word, bytes.len) == 0;
}

static bool
arg_number(struct session *s, size_t i, int64_t *ret_number)
{
    weft_bytes text = arg(s, i);
    if (resp_number(text.data, text.len, ret_number))
        return true;
    reply_error(s, NOT_A_NUMBER);
    return false;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static int
run_get(struct session *s)
{
    return reply_value(s, store_get(s->kv->store, arg(s, 1), s->now));
}

/* So many units from now on. False when it is past what can be told. */
static bool
from_now(struct session *s, int64_t n, weft_time unit, weft_time *ret_expire)
{
    weft_time span;
    return !__builtin_mul_overflow(n, unit, &span) &&
           !__builtin_add_overflow(s->now, span, ret_expire) && *ret_expire != WEFT_FOREVER;
}

struct set {
    enum store_if when;
    weft_time expire;
};

/* The words behind the value. False when they were refused. */
static bool
set_options(struct session *s, struct set *set)
{
    bool timed = false;
    *set = (struct set){STORE_ALWAYS, WEFT_FOREVER};
    for (size_t i = 3; i < s->parser.n_args; i++) {
        weft_bytes word = arg(s, i);
        bool seconds = is_word(word, "EX"), milliseconds = is_word(word, "PX");
        if (is_word(word, "NX") && set->when != STORE_IF_THERE) {
            set->when = STORE_IF_MISSING;
        } else if (is_word(word, "XX") && set->when != STORE_IF_MISSING) {
            set->when = STORE_IF_THERE;
        } else if (is_word(word, "KEEPTTL") && !timed) {
            set->expire = STORE_KEEP_EXPIRY;
            timed = true;
        } else if ((seconds || milliseconds) && !timed && i + 1 < s->parser.n_args) {
            int64_t n;
            if (!arg_number(s, ++i, &n))
                return false;
            if (n <= 0 || !from_now(s, n, seconds ? WEFT_SEC(1) : WEFT_MS(1), &set->expire)) {
                reply_error(s, "ERR invalid expire time in 'set' command");
                return false;
            }
            timed = true;
        } else {
            reply_error(s, SYNTAX);
            return false;
        }
    }
    return true;
}

static int
run_set(struct session *s)
{
    struct set set;
    if (!set_options(s, &set))
        return 0;
    weft_bytes bytes = arg(s, 2);
    struct value *value = value_new(bytes.data, bytes.len);
    int rc = value == NULL
                 ? -ENOMEM
                 : store_set(s->kv->store, arg(s, 1), value, set.expire, set.when, s->now);
    if (rc < 0)
        reply_error(s, NO_ROOM);
    else
        reply_text(s, rc == 1 ? OK : "$-1\r\n");
    return 0;
}

static int
run_del(struct session *s)
{
    int64_t n = 0;
    for (size_t i = 1; i < s->parser.n_args; i++)
        n += store_delete(s->kv->store, arg(s, i), s->now);
    reply_number(s, n);
    return 0;
}

static int
run_exists(struct session *s)
{
    int64_t n = 0;
    for (size_t i = 1; i < s->parser.n_args; i++)
        n += store_exists(s->kv->store, arg(s, i), s->now);
    reply_number(s, n);
    return 0;
}

static int
add(struct session *s, int64_t by)
{
    int64_t sum = 0;
    int rc = store_add(s->kv->store, arg(s, 1), by, &sum, s->now);
    if (rc == -EINVAL)
        reply_error(s, NOT_A_NUMBER);
    else if (rc == -ERANGE)
        reply_error(s, "ERR increment or decrement would overflow");
    else if (rc < 0)
        reply_error(s, NO_ROOM);
    else
        reply_number(s, sum);
    return 0;
}

static int
run_incr(struct session *s)
{
    return add(s, 1);
}

static int
run_decr(struct session *s)
{
    return add(s, -1);
}

static int
run_incrby(struct session *s)
{
    int64_t by;
    return arg_number(s, 2, &by) ? add(s, by) : 0;
}

static int
run_decrby(struct session *s)
{
    int64_t by;
    if (!arg_number(s, 2, &by))
        return 0;
    if (by != INT64_MIN)
        return add(s, -by);
    reply_error(s, "ERR decrement would overflow");
    return 0;
}

/* ---- Expiry --------------------------------------------------------------------------------- */

static int
expire(struct session *s, weft_time unit, const char *name)
{
    int64_t n;
    weft_time when;
    if (!arg_number(s, 2, &n))
        return 0;
    if (!from_now(s, n, unit, &when)) {
        reply_error(s, "ERR invalid expire time in '%s' command", name);
        return 0;
    }
    reply_number(s, store_expire(s->kv->store, arg(s, 1), when, s->now));
    return 0;
}

static int
run_expire(struct session *s)
{
    return expire(s, WEFT_SEC(1), "expire");
}

static int
run_pexpire(struct session *s)
{
    return expire(s, WEFT_MS(1), "pexpire");
}

/* What is left, in milliseconds; -1 for ever; -2 without such a key. */
static int64_t
left_of(struct session *s)
{
    weft_time when;
    if (!store_expiry(s->kv->store, arg(s, 1), &when, s->now))
        return -2;
    return when == WEFT_FOREVER ? -1 : (when - s->now + WEFT_MS(1) - 1) / WEFT_MS(1);
}

static int
run_ttl(struct session *s)
{
    int64_t left = left_of(s);
    reply_number(s, left < 0 ? left : (left + 500) / 1000);
    return 0;
}

static int
run_pttl(struct session *s)
{
    reply_number(s, left_of(s));
    return 0;
}

static int
run_persist(struct session *s)
{
    bool had = left_of(s) >= 0;
    if (had)
        store_expire(s->kv->store, arg(s, 1), WEFT_FOREVER, s->now);
    reply_number(s, had);
    return 0;
}

/* ---- Several keys --------------------------------------------------------------------------- */

static int
no_memory(struct session *s)
{
    reply_error(s, "ERR out of memory");
    return 0;
}

static int
run_mget(struct session *s)
{
    size_t n = s->parser.n_args - 1;
    weft_bytes *keys = calloc(n, sizeof *keys);
    struct value **values = malloc(n * sizeof *values);
    int rc = 0;
    if (keys != NULL && values != NULL) {
        for (size_t i = 0; i < n; i++)
            keys[i] = arg(s, i + 1);
        store_get_all(s->kv->store, keys, n, values, s->now);
        reply_array(s, n);
        for (size_t i = 0; i < n; i++) {
            if (rc >= 0)
                rc = reply_value(s, values[i]);
            else
                value_unref(values[i]);
        }
    } else {
        rc = no_memory(s);
    }
    free(values);
    free(keys);
    return rc;
}

static int
run_mset(struct session *s)
{
    size_t n = (s->parser.n_args - 1) / 2, made = 0;
    if (s->parser.n_args % 2 == 0) {
        reply_error(s, "ERR wrong number of arguments for 'mset' command");
        return 0;
    }
    weft_bytes *keys = calloc(n, sizeof *keys);
    struct value **values = malloc(n * sizeof *values);
    while (keys != NULL && values != NULL && made < n) {
        weft_bytes bytes = arg(s, made * 2 + 2);
        keys[made] = arg(s, made * 2 + 1);
        values[made] = value_new(bytes.data, bytes.len);
        if (values[made] == NULL)
            break;
        made++;
    }
    if (made < n) {
        while (made > 0)
            value_unref(values[--made]);
        no_memory(s);
    } else if (store_set_all(s->kv->store, keys, values, n, s->now) < 0) {
        reply_error(s, NO_ROOM);
    } else {
        reply_text(s, OK);
    }
    free(values);
    free(keys);
    return 0;
}

/* ---- The server ----------------------------------------------------------------------------- */

static int
run_dbsize(struct session *s)
{
    struct store_stats stats;
    store_stats_get(s->kv->store, &stats);
    reply_number(s, (int64_t)stats.keys);
    return 0;
}

static int
run_flushall(struct session *s)
{
    if (s->parser.n_args > 2 ||
        (s->parser.n_args == 2 && !is_word(arg(s, 1), "SYNC") && !is_word(arg(s, 1), "ASYNC"))) {
        reply_error(s, SYNTAX);
        return 0;
    }
    int rc = store_flush(s->kv->store);
    reply_text(s, OK);
    return rc;
}

static int
run_info(struct session *s)
{
    struct store_stats stats;
    weft_server_stats server;
    char text[1024];
    store_stats_get(s->kv->store, &stats);
    weft_server_stats_get(s->kv->server, -1, &server);
    snprintf(text, sizeof text,
             "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nserver:weft kv %s\r\n"
             "process_id:%d\r\nuptime_in_seconds:%lld\r\nloops:%u\r\n\r\n"
             "# Clients\r\nconnected_clients:%llu\r\n\r\n"
             "# Memory\r\nused_memory:%zu\r\nmaxmemory:%zu\r\n\r\n"
             "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
             "expired_keys:%llu\r\n\r\n"
             "# Keyspace\r\ndb0:keys=%zu,expires=%zu,avg_ttl=0\r\n",
             weft_version(), (int)getpid(), (long long)((s->now - s->kv->begun) / WEFT_SEC(1)),
             weft_loop_count(), (unsigned long long)server.active, stats.used, stats.max,
             (unsigned long long)server.accepted, (unsigned long long)kv_requests(s->kv),
             (unsigned long long)stats.expired, stats.keys, stats.expiring);
    reply_string(s, text);
    return 0;
}

/* What clients ask before they trust a server. */
static int
run_config(struct session *s)
{
    struct store_stats stats;
    char number[32];
    store_stats_get(s->kv->store, &stats);
    snprintf(number, sizeof number, "%zu", stats.max);
    const char *known[][2] = {{"save", ""}, {"appendonly", "no"}, {"maxmemory", number}};
    if (!is_word(arg(s, 1), "GET") || s->parser.n_args != 3) {
        reply_error(s, "ERR unknown subcommand or wrong number of arguments. Try CONFIG GET.");
        return 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is_word(arg(s, 2), known[i][0])) {
            reply_array(s, 2);
            reply_string(s, known[i][0]);
            reply_string(s, known[i][1]);
            return 0;
        }
    }
    reply_array(s, 0);
    return 0;
}

/* ---- The connection ------------------------------------------------------------------------- */

static int
run_ping(struct session *s)
{
    if (s->parser.n_args > 2)
        reply_error(s, "ERR wrong number of arguments for 'ping' command");
    else if (s->parser.n_args == 2)
        reply_bytes(s, arg(s, 1));
    else
        reply_text(s, "+PONG\r\n");
    return 0;
}

static int
run_echo(struct session *s)
{
    reply_bytes(s, arg(s, 1));
    return 0;
}

static int
run_quit(struct session *s)
{
    s->quit = true;
    reply_text(s, OK);
    return 0;
}

/* A web page that was made to talk to this port sends one of these: what follows, which may be of
 * somebody's choice, is not looked at. */
static int
run_http(struct session *s)
{
    s->quit = true;
    return 0;
}

static int
run_select(struct session *s)
{
    int64_t number;
    if (!arg_number(s, 1, &number))
        return 0;
    if (number == 0)
        reply_text(s, OK);
    else
        reply_error(s, "ERR DB index is out of range");
    return 0;
}

static int
run_client(struct session *s)
{
    weft_bytes what = arg(s, 1);
    if ((is_word(what, "SETNAME") && s->parser.n_args == 3) ||
        (is_word(what, "SETINFO") && s->parser.n_args == 4))
        reply_text(s, OK);
    else
        reply_error(s,
                    "ERR unknown subcommand or wrong number of arguments for '%.*s'. "
                    "Try CLIENT HELP.",
                    what.len < 128 ? (int)what.len : 128, (const char *)what.data);
    return 0;
}

static int
run_hello(struct session *s)
{
    int64_t protocol = 2;
    if (s->parser.n_args > 1) {
        weft_bytes text = arg(s, 1);
        if (!resp_number(text.data, text.len, &protocol)) {
            reply_error(s, "ERR Protocol version is not an integer or out of range");
            return 0;
        }
    }
    if (protocol != 2) {
        reply_error(s, "NOPROTO unsupported protocol version");
        return 0;
    }
    if (s->parser.n_args > 2) {
        reply_error(s, SYNTAX);
        return 0;
    }
    reply_array(s, 8);
    reply_string(s, "server");
    reply_string(s, "redis");
    reply_string(s, "version");
    reply_string(s, "7.0.0");
    reply_string(s, "proto");
    reply_number(s, 2);
    reply_string(s, "mode");
    reply_string(s, "standalone");
    return 0;
}

static int run_command(struct session *s);

static const struct command commands[] = {
    {"get", 2, run_get},
    {"set", -3, run_set},
    {"del", -2, run_del},
    {"incr", 2, run_incr},
    {"decr", 2, run_decr},
    {"incrby", 3, run_incrby},
    {"decrby", 3, run_decrby},
    {"exists", -2, run_exists},
    {"expire", 3, run_expire},
    {"pexpire", 3, run_pexpire},
    {"ttl", 2, run_ttl},
    {"pttl", 2, run_pttl},
    {"persist", 2, run_persist},
    {"mget", -2, run_mget},
    {"mset", -3, run_mset},
    {"ping", -1, run_ping},
    {"echo", 2, run_echo},
    {"dbsize", 1, run_dbsize},
    {"flushall", -1, run_flushall},
    {"info", -1, run_info},
    {"command", -1, run_command},
    {"config", -2, run_config},
    {"hello", -1, run_hello},
    {"client", -2, run_client},
    {"select", 2, run_select},
    {"quit", -1, run_quit},
    {"post", -1, run_http},
    {"host:", -1, run_http},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static int
run_command(struct session *s)
{
    if (s->parser.n_args == 2 && is_word(arg(s, 1), "COUNT"))
        reply_number(s, (int64_t)N_COMMANDS);
    else
        reply_array(s, 0); /* clients then do without hints */
    return 0;
}

/* ---- Finding them --------------------------------------------------------------------------- */

#define SLOTS 128 /* a power of two, several times N_COMMANDS */

static const struct command *slots[SLOTS]; /* written before there are tasks */

/* Of a name in whatever case. */
static size_t
slot_of(const char *name, size_t len)
{
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)(name[i] | 0x20)) * 16777619u;
    return (hash >> 8) % SLOTS;
}

void
commands_open(void)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        size_t slot = slot_of(commands[i].name, strlen(commands[i].name));
        while (slots[slot] != NULL && slots[slot] != &commands[i])
            slot = (slot + 1) % SLOTS;
        slots[slot] = &commands[i];
    }
}

static const struct command *
find_command(weft_bytes name)
{
    size_t slot = slot_of(name.data, name.len < 16 ? name.len : 16);
    while (slots[slot] != NULL && !is_word(name, slots[slot]->name))
        slot = (slot + 1) % SLOTS;
    return slots[slot];
}

static void
reply_unknown(struct session *s)
{
    char begin[256] = "";
    size_t used = 0;
    for (size_t i = 1; i < s->parser.n_args && used < 128; i++) {
        weft_bytes word = arg(s, i);
        size_t shown = word.len < 128 - used ? word.len : 128 - used;
        used += (size_t)snprintf(begin + used, sizeof begin - used, "'%.*s' ", (int)shown,
                                 (const char *)word.data);
    }
    weft_bytes name = arg(s, 0);
    reply_error(s, "ERR unknown command '%.*s', with args beginning with: %s",
                name.len < 128 ? (int)name.len : 128, (const char *)name.data, begin);
}

int
command_run(struct session *s)
{
    const struct command *command = find_command(arg(s, 0));
    int n = (int)s->parser.n_args;
    if (command == NULL) {
        reply_unknown(s);
        return 0;
    }
    if (command->arity >= 0 ? n != command->arity : n < -command->arity) {
        reply_error(s, "ERR wrong number of arguments for '%s' command", command->name);
        return 0;
    }
    return command->run(s);
}

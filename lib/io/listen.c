/*
 * listen.c - the sockets a server listens on.
 *
 * An address that several loops share is bound without SO_REUSEPORT first, and gets it before it
 * listens: so a second server on the same address is refused, although the sockets of this one
 * share it. What accepted sockets inherit on Linux (TCP_NODELAY, keep-alive) is set here, once.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/time.h>

#include "base/mem.h"
#include "base/sys.h"
#include "io/listen_priv.h"

#define GIVEN_MAX 256
#define WITHOUT INT_MIN
#define LOCK_PAUSE WEFT_MS(10)
#define LOCK_TRIES 100

static const struct sockaddr *
raw_address(const weft_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

/* ---- Files of Unix sockets ------------------------------------------------------------------ */

int
weft__socket_file_note(struct weft__socket_file *file, const char *path)
{
    struct stat status;
    file->path[0] = '\0';
    int rc = weft__sys_stat(path, &status);
    if (rc < 0)
        return rc;
    snprintf(file->path, sizeof file->path, "%s", path);
    file->device = status.st_dev;
    file->inode = status.st_ino;
    return 0;
}

void
weft__socket_file_remove(struct weft__socket_file *file)
{
    struct stat status;
    if (file->path[0] != '\0' && stat(file->path, &status) == 0 && status.st_dev == file->device &&
        status.st_ino == file->inode)
        weft__sys_unlink(file->path);
    file->path[0] = '\0';
}

/* Keeps two servers that start at once from replacing each other's file: the folder's lock, or
 * WITHOUT where there is none to be had, nor in a second: it is not a server that holds it so long.
 * A cancellation. */
static int
lock_folder(const char *path)
{
    char folder[sizeof((struct weft__socket_file *)0)->path];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        strcpy(folder, ".");
    else
        slash[slash == folder] = '\0';
    int fd = weft__sys_open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return WITHOUT;
    int rc = weft__sys_flock(fd, LOCK_EX | LOCK_NB);
    for (int tries = 0; rc == -EAGAIN && tries < LOCK_TRIES; tries++) {
        rc = weft_sleep(LOCK_PAUSE);
        if (rc < 0) {
            weft__sys_close(fd);
            return rc;
        }
        rc = weft__sys_flock(fd, LOCK_EX | LOCK_NB);
    }
    if (rc < 0) {
        weft__sys_close(fd);
        return WITHOUT;
    }
    return fd;
}

/* 0 when the file is in nobody's way any more. */
static int
remove_stale(const struct sockaddr_un *address, socklen_t len, int type)
{
    struct stat status;
    int rc = weft__sys_stat(address->sun_path, &status);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    if (!S_ISSOCK(status.st_mode))
        return -EADDRINUSE; /* no socket: not ours to remove */
    int probe = weft__sys_socket(AF_UNIX, type, 0);
    if (probe < 0)
        return probe;
    rc = weft__sys_connect(probe, (const struct sockaddr *)(const void *)address, len);
    weft__sys_close(probe);
    if (rc == -ENOENT)
        return 0;
    if (rc != -ECONNREFUSED)
        return -EADDRINUSE; /* it lives, or we cannot know */
    weft__sys_unlink(address->sun_path);
    return 0;
}

int
weft__listen_unix(const char *path, int type, unsigned mode, int backlog,
                  struct weft__socket_file *ret_file)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    bool abstract = path[0] == '@';
    if (len == 0 || len >= sizeof address.sun_path || (abstract && len == 1))
        return weft_error_note(WEFT_E_ADDRESS, "'unix:%.100s': a path has 1 to %zu bytes", path,
                               sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, len);
    if (abstract)
        address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
    int raw = weft__sys_socket(AF_UNIX, type, 0);
    if (raw < 0)
        return raw;
    int folder = abstract ? WITHOUT : lock_folder(path);
    int rc = folder < 0 && folder != WITHOUT ? folder : 0;
    if (rc == 0 && !abstract)
        rc = remove_stale(&address, size, type);
    if (rc == 0)
        rc = weft__sys_bind(raw, (const struct sockaddr *)(const void *)&address, size);
    if (rc == 0) {
        ret_file->path[0] = '\0';
        if (!abstract && (rc = weft__socket_file_note(ret_file, path)) < 0)
            weft__sys_unlink(path); /* just made by us */
        if (rc == 0 && !abstract && mode != 0)
            rc = weft__sys_chmod(path, mode & 07777);
        if (rc == 0)
            rc = weft__sys_listen(raw, backlog > 0 ? backlog : 4096);
        if (rc < 0)
            weft__socket_file_remove(ret_file);
    }
    if (folder >= 0)
        weft__sys_close(folder);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    return raw;
}

/* ---- The set -------------------------------------------------------------------------------- */

static struct weft__bound *
add_bound(struct weft__listen *set, const char *text)
{
    struct weft__bound *bounds =
        weft__resize(set->bounds, (set->n_bounds + 1) * sizeof *set->bounds);
    if (bounds == NULL)
        return NULL;
    set->bounds = bounds;
    struct weft__bound *bound = &bounds[set->n_bounds++];
    memset(bound, 0, sizeof *bound);
    snprintf(bound->text, sizeof bound->text, "%s", text);
    return bound;
}

/* For the last place; the socket is the set's unless this fails. */
static int
add_socket(struct weft__listen *set, size_t bound, int raw, bool given)
{
    struct weft__listener *listeners =
        weft__resize(set->listeners, (set->n_listeners + 1) * sizeof *set->listeners);
    if (listeners == NULL)
        return -ENOMEM;
    set->listeners = listeners;
    listeners[set->n_listeners++] =
        (struct weft__listener){.raw = raw, .bound = bound, .given = given};
    set->bounds[bound].n++;
    return 0;
}

static int
address_of(int raw, weft_address *ret_address)
{
    weft_address address;
    memset(&address, 0, sizeof address);
    address.len = sizeof address.storage;
    int rc = weft__sys_getsockname(raw, (struct sockaddr *)&address.storage, &address.len);
    if (rc == 0)
        *ret_address = address;
    return rc;
}

#define KEEP_INTERVAL_MAX 75 /* seconds; what Linux has by itself */

static int
set_tcp_options(int raw, const weft_server_options *options)
{
    int rc = options->delay ? 0 : weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0 && options->keep_alive > 0) {
        weft_time seconds = (options->keep_alive + WEFT_SEC(1) - 1) / WEFT_SEC(1);
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_KEEPALIVE, 1);
        if (rc == 0)
            rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_KEEPIDLE,
                                          seconds > 32767 ? 32767 : (int)seconds);
        /* Who asks for seconds does not want to wait the system's 75 between two probes. */
        if (rc == 0)
            rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_KEEPINTVL,
                                          seconds > KEEP_INTERVAL_MAX ? KEEP_INTERVAL_MAX
                                                                      : (int)seconds);
    }
    return rc;
}

/* An IPv4 and an IPv6 address for everybody on the same port: they share it then. */
static bool
has_ipv4_twin(const weft_server_options *options, const weft_address *address)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address->storage;
    if (in6->sin6_port == 0 || memcmp(&in6->sin6_addr, &in6addr_any, sizeof in6addr_any) != 0)
        return false;
    for (const char *const *text = options->listen; *text != NULL; text++) {
        weft_address other;
        if (strncmp(*text, "unix:", 5) == 0 || strncmp(*text, "fd:", 3) == 0 ||
            weft_address_parse(&other, *text) < 0 || other.storage.ss_family != AF_INET)
            continue;
        if (((const struct sockaddr_in *)(const void *)&other.storage)->sin_port == in6->sin6_port)
            return true;
    }
    return false;
}

/* One socket of `n`; the first of them tells whether the address is free. */
static int
open_tcp(const weft_server_options *options, const weft_address *address, bool first, bool several)
{
    int raw = weft__sys_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (raw < 0)
        return raw;
    bool early = options->share_port || !first;
    int rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && address->storage.ss_family == AF_INET6 && has_ipv4_twin(options, address))
        rc = weft__sys_setsockopt_int(raw, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (rc == 0 && early)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0)
        rc = weft__sys_bind(raw, raw_address(address), address->len);
    if (rc == 0 && !early && several)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0)
        rc = set_tcp_options(raw, options);
    if (rc == 0)
        rc = weft__sys_listen(raw, options->backlog > 0 ? options->backlog : 4096);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    return raw;
}

static int
listen_tcp(struct weft__listen *set, const weft_server_options *options, const char *text,
           unsigned n)
{
    weft_address address;
    int rc = weft_address_parse(&address, text);
    if (rc < 0)
        return rc;
    if (add_bound(set, text) == NULL)
        return -ENOMEM;
    size_t bound = set->n_bounds - 1;
    for (unsigned i = 0; i < n; i++) {
        int raw = open_tcp(options, &address, i == 0, n > 1);
        if (raw < 0)
            return raw;
        rc = address_of(raw, &address); /* the port, for those to come */
        if (rc == 0)
            rc = add_socket(set, bound, raw, false);
        if (rc < 0) {
            weft__sys_close(raw);
            return rc;
        }
    }
    set->bounds[bound].address = address;
    return 0;
}

static int
listen_unix(struct weft__listen *set, const weft_server_options *options, const char *text)
{
    struct weft__bound *bound = add_bound(set, text);
    if (bound == NULL)
        return -ENOMEM;
    int raw = weft__listen_unix(text + 5, SOCK_STREAM, options->unix_mode, options->backlog,
                                &bound->file);
    if (raw < 0)
        return raw;
    int rc = address_of(raw, &bound->address);
    if (rc == 0)
        rc = add_socket(set, set->n_bounds - 1, raw, false);
    if (rc < 0) {
        weft__sys_close(raw);
        weft__socket_file_remove(&bound->file);
    }
    return rc;
}

/* A socket that is there already. Those of one text with the same address are one place. */
static int
adopt(struct weft__listen *set, const weft_server_options *options, const char *text, int raw,
      bool given)
{
    int listens = 0, type = 0;
    weft_address address;
    int rc = weft__sys_getsockopt_int(raw, SOL_SOCKET, SO_TYPE, &type);
    if (rc == 0)
        rc = weft__sys_getsockopt_int(raw, SOL_SOCKET, SO_ACCEPTCONN, &listens);
    if (rc < 0)
        return rc;
    if (type != SOCK_STREAM || !listens)
        return weft_error_note(-EINVAL, "'%s': descriptor %d is no listening stream socket", text,
                               raw);
    rc = address_of(raw, &address);
    int flags = rc == 0 ? weft__sys_fcntl_getfl(raw) : rc;
    rc = flags < 0 ? flags : weft__sys_fcntl_setfl(raw, flags | O_NONBLOCK);
    if (rc == 0)
        rc = weft__sys_fcntl_setfd(raw, FD_CLOEXEC);
    int family = address.storage.ss_family;
    if (rc == 0 && (family == AF_INET || family == AF_INET6))
        rc = set_tcp_options(raw, options);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < set->n_bounds; i++) {
        const struct weft__bound *bound = &set->bounds[i];
        if (bound->address.len == address.len && strcmp(bound->text, text) == 0 &&
            memcmp(&bound->address.storage, &address.storage, address.len) == 0)
            return add_socket(set, i, raw, given);
    }
    struct weft__bound *bound = add_bound(set, text);
    if (bound == NULL)
        return -ENOMEM;
    bound->address = address;
    return add_socket(set, set->n_bounds - 1, raw, given);
}

static int
listen_given(struct weft__listen *set, const weft_server_options *options, const char *text)
{
    const char *name = text + 3;
    int raw[GIVEN_MAX];
    size_t digits = strspn(name, "0123456789");
    if (digits > 0 && name[digits] == '\0') {
        if (digits > 9)
            return weft_error_note(WEFT_E_ADDRESS, "'%.40s': no descriptor", text);
        int number = 0;
        for (const char *at = name; *at != '\0'; at++)
            number = number * 10 + (*at - '0');
        return adopt(set, options, text, number, true);
    }
    int n = weft__activation_take(name, raw, GIVEN_MAX);
    if (n < 0)
        return weft_error_note(n, "'%s': no such socket was passed to this process", text);
    for (int i = 0; i < n; i++) {
        int rc = adopt(set, options, text, raw[i], true);
        if (rc < 0) {
            for (; i < n; i++)
                weft__activation_give_back(raw[i]);
            return rc;
        }
    }
    return 0;
}

/* How many sockets of an older server were opened for this text, and are here now. */
static int
inherit(struct weft__listen *set, const weft_server_options *options, const char *text,
        struct weft__heir *heir)
{
    int n = 0;
    for (size_t i = 0; i < heir->n; i++) {
        struct weft__heirloom *loom = &heir->looms[i];
        if (strcmp(loom->text, text) != 0)
            continue;
        if (loom->raw >= 0) {
            int rc = adopt(set, options, text, loom->raw, false);
            if (rc < 0)
                return rc;
            loom->raw = -1;
            loom->taken = true;
        }
        n++;
    }
    return n;
}

static int
open_one(struct weft__listen *set, const weft_server_options *options, const char *text, unsigned n,
         struct weft__heir *heir)
{
    if (strlen(text) >= WEFT__LISTEN_TEXT_BYTES)
        return weft_error_note(WEFT_E_ADDRESS, "'%.80s…': the text is too long", text);
    int rc = inherit(set, options, text, heir);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (strncmp(text, "unix:", 5) == 0)
        return listen_unix(set, options, text);
    if (strncmp(text, "fd:", 3) == 0)
        return listen_given(set, options, text);
    return listen_tcp(set, options, text, n);
}

static void
give_up(struct weft__listen *set)
{
    for (size_t i = 0; i < set->n_listeners; i++) {
        if (set->listeners[i].given) {
            weft__activation_give_back(set->listeners[i].raw);
            set->listeners[i].raw = -1;
        }
    }
    weft__listen_close(set);
}

int
weft__listen_open(struct weft__listen *set, const weft_server_options *options, unsigned n,
                  struct weft__heir *heir)
{
    *set = (struct weft__listen){.n_bounds = 0};
    for (const char *const *text = options->listen; *text != NULL; text++) {
        int rc = open_one(set, options, *text, n, heir);
        if (rc < 0) {
            bool said = rc == WEFT_E_ADDRESS || rc == -EINVAL ||
                        (rc == -ENOENT && strncmp(*text, "fd:", 3) == 0);
            if (!said)
                weft_error_note(rc, "cannot listen at '%s': %s", *text, weft_strerror(rc));
            give_up(set);
            return rc;
        }
    }
    for (size_t i = 0; i < set->n_bounds; i++) {
        struct weft__bound *bound = &set->bounds[i];
        if (bound->file.path[0] == '\0' && strncmp(bound->text, "unix:", 5) == 0 &&
            bound->text[5] != '@')
            (void)weft__socket_file_note(&bound->inherited, bound->text + 5);
    }
    return 0;
}

void
weft__listen_own_files(struct weft__listen *set)
{
    for (size_t i = 0; i < set->n_bounds; i++) {
        struct weft__bound *bound = &set->bounds[i];
        if (bound->inherited.path[0] != '\0')
            bound->file = bound->inherited;
        bound->inherited.path[0] = '\0';
    }
}

void
weft__listen_close(struct weft__listen *set)
{
    for (size_t i = 0; i < set->n_listeners; i++) {
        if (set->listeners[i].raw >= 0)
            weft__sys_close(set->listeners[i].raw);
    }
    for (size_t i = 0; i < set->n_bounds; i++)
        weft__socket_file_remove(&set->bounds[i].file);
    weft__free(set->bounds);
    weft__free(set->listeners);
    *set = (struct weft__listen){.n_bounds = 0};
}

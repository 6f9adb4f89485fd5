/*
 * listen_priv.h - the sockets a server listens on: opened, passed by a service manager, or taken
 * over from an older server.
 */
#ifndef WEFT_LIB_IO_LISTEN_PRIV_H
#define WEFT_LIB_IO_LISTEN_PRIV_H

#include <sys/stat.h>
#include <sys/un.h>

#include <weft/server.h>

#define WEFT__LISTEN_TEXT_BYTES 160 /* of one text of options.listen, with its zero */

/* A file that a Unix socket has made; to be removed if it still is the same. */
struct weft__socket_file {
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1]; /* empty: none */
    dev_t device;
    ino_t inode;
};

/* One place to listen at. */
struct weft__bound {
    char text[WEFT__LISTEN_TEXT_BYTES]; /* as in options.listen */
    weft_address address;
    struct weft__socket_file file;      /* ours to remove */
    struct weft__socket_file inherited; /* an older server's, which serves on if we do not */
    unsigned n;                         /* sockets */
};

struct weft__lane;

/* One socket of it. */
struct weft__listener {
    int raw;                 /* -1: closed, or handed over */
    size_t bound;            /* which place */
    struct weft__lane *lane; /* of the server: who accepts */
    bool given;              /* not opened here: not closed when opening fails */
    bool taken;              /* by a successor */
    bool hand_out;           /* connections go to other loops, too */
};

struct weft__listen {
    struct weft__bound *bounds;
    size_t n_bounds;
    struct weft__listener *listeners;
    size_t n_listeners;
};

/* Sockets of an older server. */
struct weft__heir {
    int channel; /* to it; -1: there is none */
    size_t n;
    struct weft__heirloom {
        int raw; /* -1: taken */
        bool taken;
        char text[WEFT__LISTEN_TEXT_BYTES];
    } * looms;
};

/* listen.c: opens all, `n` sockets for each address that allows for several. On failure everything
 * is as it was, and the detail is noted. */
int weft__listen_open(struct weft__listen *set, const weft_server_options *options, unsigned n,
                      struct weft__heir *heir);
/* The files that were inherited are ours from now on. */
void weft__listen_own_files(struct weft__listen *set);
/* Closes what is open, removes files, and frees. */
void weft__listen_close(struct weft__listen *set);
/* A socket in the file system, replacing a file that nobody listens on. Its backlog is given; mode
 * 0: by the umask. */
int weft__listen_unix(const char *path, int type, unsigned mode, int backlog,
                      struct weft__socket_file *ret_file);
int weft__socket_file_note(struct weft__socket_file *file, const char *path);
void weft__socket_file_remove(struct weft__socket_file *file);

/* activation.c: takes the sockets passed by a service manager under a name, "*" for all. Up to cap
 * of them; how many, or -ENOENT. One that is given back can be taken again. */
int weft__activation_take(const char *name, int *ret_raw, unsigned cap);
void weft__activation_give_back(int raw);

#endif

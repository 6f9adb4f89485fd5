/*
 * pool_priv.h - what the files of the process pool share: frames, the helper, one child.
 */
#ifndef WEFT_LIB_POOL_POOL_PRIV_H
#define WEFT_LIB_POOL_POOL_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/base.h>
#include <weft/procpool.h>

/* ---- Frames: what travels between the pool and a child ---------------------------------------
 * A head of 16 bytes, little-endian, then the payload:
 *     0   uint64   length of the payload, at most WEFT_PROCPOOL_BYTES_MAX
 *     8   uint32   kind
 *     12  int32    the handler's result in a reply, else 0
 */
#define WEFT__FRAME_HEAD 16

enum weft__frame_kind {
    WEFT__FRAME_HELLO = 0x01544657,   /* child to pool, once: ready. "WFT" and a number */
    WEFT__FRAME_REQUEST = 0x02544657, /* pool to child */
    WEFT__FRAME_REPLY = 0x03544657    /* child to pool */
};

/* A frame on its way out. The parts are borrowed until it is sent. */
struct weft__frame_out {
    unsigned char head[WEFT__FRAME_HEAD];
    weft_bytes part[2];
    size_t sent; /* bytes, head included */
};

/* A frame on its way in. All zero is one of which nothing has arrived. */
struct weft__frame_in {
    unsigned char head[WEFT__FRAME_HEAD];
    size_t got;    /* bytes, head included */
    uint64_t len;  /* of the payload; valid once the head is there */
    uint32_t kind; /* likewise */
    int status;    /* likewise */
    int lost;      /* 0, or why the payload was thrown away: -ENOMEM */
    weft_buf body; /* the payload so far */
};

void weft__frame_out_open(struct weft__frame_out *out, enum weft__frame_kind kind, int status,
                          weft_bytes first, weft_bytes second);

/* Sends what the socket takes. Returns 0 when all is sent, -EAGAIN, or a broken connection's
 * errno. */
int weft__frame_send(struct weft__frame_out *out, int fd);

/* Receives what is there, about `budget` bytes of it. Returns 1 when the frame is complete, 0 at
 * the end of file before its first byte, -EAGAIN when more is to come, -EPROTO for an end in its
 * middle or for bytes that are no frame, or the connection's errno. */
int weft__frame_receive(struct weft__frame_in *in, int fd, size_t budget);

/* Back to all zero; frees the payload. */
void weft__frame_in_reset(struct weft__frame_in *in);

/* ---- One child, as its parent holds it -------------------------------------------------------*/

struct weft__child {
    pid_t pid;
    int pidfd;        /* -1 where the kernel has none: then only the socket tells of its end */
    int socket;       /* not blocking; -1 once closed */
    bool from_zygote; /* forked by the helper, which reaps it; else our own child */
};

/* Starts a child by running a program. Call it on a thread that outlives the child. */
int weft__child_spawn(struct weft__child *ret_child, const char *exec, char *const *argv);

/* Makes sure that the child is dead, reaps it, and closes its descriptors. Returns 0 and its
 * status as of waitpid(2), or a negative errno when that is not known. */
int weft__child_end(struct weft__child *child, int *ret_status);

/* ---- The helper (zygote.c) -------------------------------------------------------------------*/

/* Starts the helper, or counts one more user of it. -ENOTSUP when it would have to fork a process
 * that has threads. */
int weft__zygote_start(void);

/* The last user's stop ends the helper, and with it all its children. */
void weft__zygote_stop(void);

/* Calls load(file) in the helper, and returns its result. */
int weft__zygote_load(int (*load)(const char *file), const char *file);

/* Lets the helper fork a child that serves with `handler`. */
int weft__zygote_spawn(struct weft__child *ret_child, weft_procpool_handler *handler);

/* Lets the helper kill and reap one of its children. */
int weft__zygote_end(pid_t pid, int *ret_status);

#ifdef WEFT_TEST
/* Threads that do not count: the test framework has one, asleep, in each test. */
extern unsigned weft__zygote_threads_besides;
#endif

/* Set by a constructor in zygote.c; defined by the runtime, which stands below and may not name
 * us. weft_run with .processes calls them first and last. */
extern int (*weft__zygote_start_hook)(void);
extern void (*weft__zygote_stop_hook)(void);

/* ---- Inside a child (procchild.c) ------------------------------------------------------------*/

/* In a process just forked: keeps `fd` as descriptor 3, gives it a standard input that is empty,
 * closes the rest but standard output and error; signals to their defaults; dies with `parent`.
 * Does not return when the parent is gone already. */
void weft__procchild_setup(int fd, pid_t parent, const char *name);

/* Serves until the end of file. */
int weft__procchild_serve(int fd, weft_procpool_handler *handler);

#ifdef WEFT_TEST
/* Where a child of the test build kills itself: a word in memory that test and children share,
 * set before the helper starts. The first child that comes to the stage named there puts it back
 * to 0 and ends. NULL: never. */
enum weft__procchild_stage {
    WEFT__PROCCHILD_LIVE,
    WEFT__PROCCHILD_AT_SPAWN,      /* before it said hello */
    WEFT__PROCCHILD_AT_READING,    /* with a part of a request read */
    WEFT__PROCCHILD_AT_RUNNING,    /* with the whole request read */
    WEFT__PROCCHILD_AT_HALF_REPLY, /* with a part of the reply written */
    WEFT__PROCCHILD_AT_REPLY,      /* with all of the reply written */
};
extern uint32_t *weft__procchild_die_at;
#endif

#endif

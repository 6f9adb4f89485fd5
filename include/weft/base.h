/*
 * base.h - marks, version, bytes, and the hooks that make weft a good guest.
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS                                                                           \
    extern "C" {                                                                                   \
    _Pragma("GCC visibility push(default)")
#define WEFT_END_DECLS                                                                             \
    _Pragma("GCC visibility pop")                                                                  \
    }
#else
#define WEFT_BEGIN_DECLS _Pragma("GCC visibility push(default)")
#define WEFT_END_DECLS _Pragma("GCC visibility pop")
#endif

/* On every function that may suspend its task: what `async` says elsewhere. Its result counts:
 * a cancelled or timed out wait must travel up. weft_ignore() is the deliberate way to drop it. */
#define WEFT_WAITS __attribute__((warn_unused_result))

/* Drops the result of a call on purpose. */
#define weft_ignore(expression)                                                                    \
    do {                                                                                           \
        if (expression) {                                                                          \
        }                                                                                          \
    } while (0)

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION "0.1.0"

/* How what accepts work ends: executors, workers, queues. */
typedef enum weft_close_mode {
    WEFT_DRAIN = 0, /* what was accepted is run, or can still be taken */
    WEFT_CANCEL = 1 /* what has not started completes with -ECANCELED; items are dropped */
} weft_close_mode;

WEFT_BEGIN_DECLS

/*
 * weft_version - version of the library that is linked
 *
 * Returns  a constant string, "0.1.0"; WEFT_VERSION is the version of the headers
 * Waits    no
 * Threads  any
 * Source   zlib's zlibVersion
 */
const char *weft_version(void);

/* A view of bytes owned by somebody else. */
typedef struct weft_bytes {
    const void *data; /* may be NULL when len is 0 */
    size_t len;       /* in bytes */
} weft_bytes;

/* Growable bytes. All zero is an empty buffer; what it holds is given back by weft_buf_free. */
typedef struct weft_buf {
    unsigned char *data; /* NULL until something was added */
    size_t len;          /* bytes used */
    size_t cap;          /* bytes allocated */
} weft_buf;

/*
 * weft_buf_reserve - make room for more bytes behind what is there
 *
 * buf      a zeroed or used buffer
 * more     bytes that shall fit without another allocation
 *
 * Returns  0; -ENOMEM (the buffer is as it was); -EOVERFLOW when the sum passes SIZE_MAX
 * Waits    no
 * Threads  whoever owns buf
 * Source   weft; growth by doubling
 */
int weft_buf_reserve(weft_buf *buf, size_t more);

/*
 * weft_buf_append - add bytes at the end
 *
 * data     len bytes, not inside buf itself; may be NULL when len is 0
 *
 * Returns  0; -ENOMEM or -EOVERFLOW (the buffer is as it was)
 * Waits    no
 * Threads  whoever owns buf
 * Source   weft
 */
int weft_buf_append(weft_buf *buf, const void *data, size_t len);

/*
 * weft_buf_printf - add formatted text at the end, without its closing zero byte
 *
 * Returns  0; -ENOMEM or -EOVERFLOW (the buffer is as it was); -EINVAL for a format that fails
 * Waits    no
 * Threads  whoever owns buf
 * Source   printf(3)
 */
int weft_buf_printf(weft_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * weft_buf_free - give the bytes back; the buffer is empty and usable afterwards
 *
 * Waits    no
 * Threads  whoever owns buf
 * Source   weft
 */
void weft_buf_free(weft_buf *buf);

/* Memory comes from here; size is never 0. The default is malloc, realloc and free. */
typedef struct weft_allocator {
    void *(*alloc)(size_t size);
    void *(*resize)(void *old, size_t size);
    void (*release)(void *memory);
} weft_allocator;

/*
 * weft_set_allocator - where weft's own memory comes from (task stacks are always mapped)
 *
 * allocator  copied; NULL goes back to malloc
 *
 * Returns  0; -EINVAL when a member is NULL; -EBUSY while weft holds memory from the present one
 * Waits    no
 * Threads  any, before weft is used
 * Source   uv_replace_allocator
 */
int weft_set_allocator(const weft_allocator *allocator);

/*
 * weft_memory_alloc - memory from weft's allocator, for libraries that build on weft
 *
 * size     in bytes; 0 counts as 1
 *
 * Returns  not zeroed, aligned as the allocator does; NULL when there is none
 * Waits    no
 * Threads  any
 * Source   malloc(3)
 */
void *weft_memory_alloc(size_t size);

/*
 * weft_memory_zeroed - the same, zeroed
 *
 * Returns  as weft_memory_alloc
 * Waits    no
 * Threads  any
 * Source   calloc(3)
 */
void *weft_memory_zeroed(size_t size);

/*
 * weft_memory_resize - make a block of weft_memory_alloc larger or smaller
 *
 * old      NULL allocates
 *
 * Returns  the block, perhaps elsewhere; NULL when there is none: old stays valid
 * Waits    no
 * Threads  whoever owns old
 * Source   realloc(3)
 */
void *weft_memory_resize(void *old, size_t size);

/*
 * weft_memory_free - give a block of weft_memory_alloc back
 *
 * memory   may be NULL
 *
 * Waits    no
 * Threads  whoever owns memory
 * Source   free(3)
 */
void weft_memory_free(void *memory);

typedef enum weft_log_level {
    WEFT_LOG_ERROR = 1, /* something was lost or given up */
    WEFT_LOG_WARN = 2,  /* a failure nobody observed, a limit reached */
    WEFT_LOG_INFO = 3   /* what the runtime decided: loops, pinning, fallbacks */
} weft_log_level;

/* Gets one line without a newline. May be called on any thread, never inside a task's wait. */
typedef void weft_log_fn(void *arg, weft_log_level level, const char *line);

/*
 * weft_set_log - where messages go
 *
 * fn       NULL is the default: nothing, or standard error when the environment has WEFT_LOG=1,
 *          2 or 3, the highest level shown
 *
 * Waits    no
 * Threads  any
 * Source   event_set_log_callback
 */
void weft_set_log(weft_log_fn *fn, void *arg);

/*
 * weft_log - send a message where weft's own go
 *
 * format   of one line without a newline, of which up to 1,023 bytes are kept
 *
 * Waits    no
 * Threads  any
 * Source   syslog(3)
 */
void weft_log(weft_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * weft_set_fatal - what happens with the sentence of a broken promise before the process aborts
 *
 * fn       gets the sentence; when it returns the process aborts all the same. NULL is the
 *          default: the sentence goes to standard error
 *
 * Waits    no
 * Threads  any
 * Source   event_set_fatal_callback
 */
void weft_set_fatal(void (*fn)(const char *sentence));

WEFT_END_DECLS

#endif

/*
 * assert.c - what happens when a promise is broken: the sentence, then abort.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include <weft/base.h>
#include "base/atomic.h"

#define SENTENCE_BYTES 512

static void (*fatal_hook)(const char *sentence);
const char *(*weft__assert_who)(void);

void
weft_set_fatal(void (*fn)(const char *sentence))
{
    weft__store(&fatal_hook, fn); /* pairs with the load in weft__fatal */
}

void
weft__fatal(const char *format, ...)
{
    /* A hook that breaks a promise itself must not run in circles. */
    static _Thread_local volatile int entered;
    if (entered)
        abort();
    entered = 1;

    char sentence[SENTENCE_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (len < 0)
        sentence[len = 0] = '\0';
    const char *who = weft__assert_who != NULL ? weft__assert_who() : NULL;
    if (who != NULL && (size_t)len < sizeof sentence)
        snprintf(sentence + len, sizeof sentence - (size_t)len, " (task \"%s\")", who);

    void (*hook)(const char *) = weft__load(&fatal_hook); /* pairs with weft_set_fatal */
    if (hook != NULL) {
        hook(sentence);
    } else {
        struct iovec parts[] = {{"weft: ", 6}, {sentence, strlen(sentence)}, {"\n", 1}};
        ssize_t written = writev(STDERR_FILENO, parts, 3);
        (void)written; /* the abort says the rest */
    }
    abort();
}

/*
 * assert.h - promises that must hold, checked in release builds too.
 *
 * The sentence says what was broken in the user's words. Bad input is not a broken promise:
 * that is refused with an error.
 */
#ifndef WEFT_LIB_BASE_ASSERT_H
#define WEFT_LIB_BASE_ASSERT_H

#define weft__assert(promise, sentence)                                                            \
    (__builtin_expect(!(promise), 0) ? weft__fatal("%s", sentence) : (void)0)

/* Reports the sentence through the fatal hook and aborts. */
void weft__fatal(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));

/* Set by the task layer: the name of the running task, or NULL. It is added to the sentence. */
extern const char *(*weft__assert_who)(void);

#endif

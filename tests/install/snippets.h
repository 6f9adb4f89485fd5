/*
 * snippets.h - what the pieces of C in the documents leave to their readers, so that these pieces
 * can be compiled as they stand (snippets.sh).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

int render(void *arg, weft_bytes id, weft_buf *page);
int answer(weft_stream *connection, weft_bytes line);
int converse_with(weft_stream *connection, void *arg);
int fetch(const char *page);
void use(int status, const void *data, size_t len);
void reload(void);
unsigned is_prime(unsigned n);

/*
 * symbol.h - what stands at an address of the program, in words.
 */
#ifndef WEFT_LIB_BASE_SYMBOL_H
#define WEFT_LIB_BASE_SYMBOL_H

#include <stddef.h>

#define WEFT__SYMBOL_BYTES 160

/* Function and offset, "main+0x2a"; file and offset, "prog+0x11f0", where the program has no
 * symbols, as addr2line(1) takes it; "?" for NULL. Slow: it may read the program's file. */
void weft__symbol_text(const void *address, char text[WEFT__SYMBOL_BYTES]);

#endif

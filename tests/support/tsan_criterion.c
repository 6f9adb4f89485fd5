/*
 * tsan_criterion.c - lets Criterion start under ThreadSanitizer; linked into that build alone.
 *
 * Criterion's BoxFort maps its arena at 0x200000000000 + (rand_r() & 0x3fffff) * 16 MiB, an
 * address that TSan forbids. This rand_r answers with numbers whose addresses TSan allows.
 */
#include <stdlib.h>

int
rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return 0x360000 + (int)((*seed >> 16) & 0x7fff);
}

/*
 * random.h - numbers that look random and repeat with their seed. Not for secrets.
 *
 * Seeds are spread by splitmix64 and feed xoshiro256++ (Blackman, Vigna); any seed will do,
 * 0 included.
 */
#ifndef WEFT_LIB_BASE_RANDOM_H
#define WEFT_LIB_BASE_RANDOM_H

#include <stdint.h>

#define WEFT__SPLITMIX_STEP UINT64_C(0x9e3779b97f4a7c15)

struct weft__random {
    uint64_t word[4]; /* never all zero once seeded */
};

/* A good number from each state; the state goes one step. */
static inline uint64_t
weft__splitmix(uint64_t *state)
{
    uint64_t x = *state += WEFT__SPLITMIX_STEP;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline void
weft__random_seed(struct weft__random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->word[i] = weft__splitmix(&seed);
}

static inline uint64_t
weft__random_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline uint64_t
weft__random_next(struct weft__random *random)
{
    uint64_t *w = random->word;
    uint64_t result = weft__random_rotate(w[0] + w[3], 23) + w[0];
    uint64_t shifted = w[1] << 17;
    w[2] ^= w[0];
    w[3] ^= w[1];
    w[1] ^= w[2];
    w[0] ^= w[3];
    w[2] ^= shifted;
    w[3] = weft__random_rotate(w[3], 45);
    return result;
}

/* 0 to n - 1, all equally likely; n is more than 0. Numbers of the incomplete last stretch of n
 * are drawn again. */
static inline uint64_t
weft__random_below(struct weft__random *random, uint64_t n)
{
    uint64_t unusable = -n % n; /* 2^64 mod n */
    uint64_t x;
    do
        x = weft__random_next(random);
    while (x < unusable);
    return x % n;
}

#endif

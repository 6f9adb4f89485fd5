/*
 * limiter.c - so many tokens, each borrowed by somebody and given back by the same.
 *
 * A token's record is made before the lock is taken, and found again by its borrower in a small
 * table. Tokens that come free go to the oldest waiters, as far as the total of the moment allows:
 * lowered below what is borrowed it takes nothing away, it only lets nobody in until enough came
 * back. So as long as somebody waits, nothing is free.
 */
#include <errno.h>

#include <weft/sync.h>

#include "base/mem.h"
#include "flow/claimed.h"
#include "flow/holder.h"
#include "flow/waitq.h"

struct token {
    struct weft__held held; /* when the borrower is the task or thread that took it */
    const void *borrower;
    struct token *next; /* in its slot */
};

struct limiter {
    struct weft__lock lock;
    uint32_t total;
    uint32_t borrowed;
    uint32_t waiting;
    uint32_t n_slots; /* a power of two */
    struct token **slots;
    struct weft__list line; /* of places */
};
_Static_assert(sizeof(struct limiter) <= sizeof(weft_limiter), "weft_limiter is too small");

/* On the stack of who waits, and there until it is off the line. */
struct place {
    struct weft__link link;
    struct weft__waiter *waiter;
    struct token *token;
};

#define SLOTS_MIN 8
#define SLOTS_MAX 1024

static inline struct limiter *
limiter_of(const weft_limiter *public)
{
    return (struct limiter *)(void *)(uintptr_t) public;
}

/* ---- Who has a token ------------------------------------------------------------------------- */

/* Where the borrower's token hangs, or would. */
static struct token **
find(const struct limiter *limiter, const void *borrower)
{
    uint64_t hash = (uint64_t)(uintptr_t)borrower * 0x9E3779B97F4A7C15u;
    struct token **at = &limiter->slots[(hash >> 40) & (limiter->n_slots - 1)];
    while (*at != NULL && (*at)->borrower != borrower)
        at = &(*at)->next;
    return at;
}

static __attribute__((noreturn, cold, noinline)) void
broken(const void *borrower, const char *how)
{
    struct weft__holder self = weft__holder_self();
    char who[WEFT__HELD_TEXT];
    weft__holder_text(self.waiter, who);
    if (borrower == self.waiter)
        weft__fatal("a limiter: %s %s", who, how);
    weft__fatal("a limiter: a borrower %s, says %s", how, who);
}

/* With the lock held. */
static void
lend(struct limiter *limiter, struct token *token)
{
    struct token **at = find(limiter, token->borrower);
    if (*at != NULL)
        broken(token->borrower, "borrows a second token");
    token->next = NULL;
    *at = token;
    limiter->borrowed++;
}

/* With the lock held: gives tokens to who waits. */
static void
lend_to_line(struct limiter *limiter, struct weft__claimed *claimed)
{
    struct weft__link *link;
    while (limiter->borrowed < limiter->total &&
           (link = weft__list_first(&limiter->line)) != NULL) {
        struct place *place = weft__container(link, struct place, link);
        weft__list_remove(link);
        limiter->waiting--;
        if (!weft__claim_present(place->waiter))
            continue; /* cancelled: it will find that it is off the line */
        weft__claimed_add(claimed, place->waiter);
        lend(limiter, place->token);
    }
}

/* ---- Borrowing ------------------------------------------------------------------------------- */

static int
token_new(struct token **ret_token, const void *borrower)
{
    struct token *token = weft__alloc(sizeof *token);
    if (token == NULL)
        return -ENOMEM;
    *token = (struct token){.held.what = "token of a limiter", .borrower = borrower};
    *ret_token = token;
    return 0;
}

/* With the lock held: whether there was a token for a newcomer. */
static bool
lend_at_once(struct limiter *limiter, struct token *token)
{
    if (*find(limiter, token->borrower) != NULL)
        broken(token->borrower, "borrows a second token");
    if (limiter->borrowed >= limiter->total)
        return false;
    lend(limiter, token);
    return true;
}

/* Gets in line, with the lock held, which it gives back. */
static int
wait_for_token(struct limiter *limiter, struct token *token)
{
    struct place place = {.token = token};
    place.waiter = weft__park_arm().waiter;
    weft__list_push_back(&limiter->line, &place.link);
    limiter->waiting++;
    weft__unlock(&limiter->lock);
    weft__waits_for("limiter", limiter);
    int rc = weft__park(true);
    if (rc < 0) {
        /* The next in line waits for a token as before: this one had none to pass on. */
        weft__lock(&limiter->lock);
        if (weft__link_on_list(&place.link)) {
            weft__list_remove(&place.link);
            limiter->waiting--;
        }
        weft__unlock(&limiter->lock);
    }
    return rc;
}

static int
borrow(struct limiter *limiter, const void *borrower, struct token **ret_token)
{
    int rc = weft__wait_begin();
    if (rc == 0)
        rc = token_new(ret_token, borrower);
    if (rc < 0)
        return rc;
    weft__lock(&limiter->lock);
    if (lend_at_once(limiter, *ret_token))
        weft__unlock(&limiter->lock);
    else
        rc = wait_for_token(limiter, *ret_token); /* unlocks */
    if (rc < 0)
        weft__free(*ret_token);
    return rc;
}

static int
try_borrow(struct limiter *limiter, const void *borrower, struct token **ret_token)
{
    int rc = token_new(ret_token, borrower);
    if (rc < 0)
        return rc;
    weft__lock(&limiter->lock);
    bool lent = lend_at_once(limiter, *ret_token);
    weft__unlock(&limiter->lock);
    if (lent)
        return 0;
    weft__free(*ret_token);
    return -EAGAIN;
}

static struct token *
take_back(struct limiter *limiter, const void *borrower, struct weft__holdings *holdings)
{
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&limiter->lock);
    struct token **at = find(limiter, borrower);
    struct token *token = *at;
    if (token == NULL)
        broken(borrower, "returns a token, and has none");
    *at = token->next;
    if (holdings != NULL)
        weft__let_go(holdings, &token->held);
    limiter->borrowed--;
    lend_to_line(limiter, &claimed);
    weft__unlock(&limiter->lock);
    weft__claimed_deliver(&claimed, 0);
    return token;
}

/* ---- The table and the total ----------------------------------------------------------------- */

static struct token **
slots_new(uint32_t total, uint32_t *ret_n)
{
    uint32_t n = SLOTS_MIN;
    while (n < total && n < SLOTS_MAX)
        n *= 2;
    *ret_n = n;
    return weft__alloc_zeroed(n * sizeof(struct token *));
}

/* With the lock held: hangs all tokens into other slots; the old ones are to be freed. */
static struct token **
slots_replace(struct limiter *limiter, struct token **slots, uint32_t n)
{
    struct token **old = limiter->slots;
    uint32_t n_old = limiter->n_slots;
    limiter->slots = slots;
    limiter->n_slots = n;
    for (uint32_t i = 0; i < n_old; i++) {
        for (struct token *token = old[i], *next; token != NULL; token = next) {
            next = token->next;
            token->next = NULL;
            *find(limiter, token->borrower) = token;
        }
    }
    return old;
}

int
weft_limiter_open(weft_limiter *public, uint32_t total)
{
    if (total > UINT32_MAX / 2)
        return -EINVAL;
    uint32_t n_slots;
    struct token **slots = slots_new(total, &n_slots);
    if (slots == NULL)
        return -ENOMEM;
    struct limiter *limiter = limiter_of(public);
    *limiter = (struct limiter){.total = total, .n_slots = n_slots, .slots = slots};
    weft__list_init(&limiter->line);
    return 0;
}

int
weft_limiter_acquire(weft_limiter *public)
{
    struct weft__holder self = weft__holder_self();
    struct token *token;
    int rc = borrow(limiter_of(public), self.waiter, &token);
    if (rc == 0)
        weft__hold(self.holdings, &token->held);
    return rc;
}

int
weft_limiter_try_acquire(weft_limiter *public)
{
    struct weft__holder self = weft__holder_self();
    struct token *token;
    int rc = try_borrow(limiter_of(public), self.waiter, &token);
    if (rc == 0)
        weft__hold(self.holdings, &token->held);
    return rc;
}

void
weft_limiter_release(weft_limiter *public)
{
    struct weft__holder self = weft__holder_self();
    weft__free(take_back(limiter_of(public), self.waiter, self.holdings));
}

int
weft_limiter_acquire_for(weft_limiter *public, const void *borrower)
{
    struct token *token;
    return borrow(limiter_of(public), borrower, &token);
}

int
weft_limiter_try_acquire_for(weft_limiter *public, const void *borrower)
{
    struct token *token;
    return try_borrow(limiter_of(public), borrower, &token);
}

void
weft_limiter_release_for(weft_limiter *public, const void *borrower)
{
    weft__free(take_back(limiter_of(public), borrower, NULL));
}

int
weft_limiter_set_total(weft_limiter *public, uint32_t total)
{
    if (total > UINT32_MAX / 2)
        return -EINVAL;
    struct limiter *limiter = limiter_of(public);
    struct weft__claimed claimed = {.first = NULL};
    uint32_t n_slots;
    struct token **spare = slots_new(total, &n_slots); /* NULL: the old ones do, only longer */
    weft__lock(&limiter->lock);
    if (spare != NULL && n_slots > limiter->n_slots)
        spare = slots_replace(limiter, spare, n_slots);
    limiter->total = total;
    lend_to_line(limiter, &claimed);
    weft__unlock(&limiter->lock);
    weft__claimed_deliver(&claimed, 0);
    weft__free(spare);
    return 0;
}

void
weft_limiter_stats_get(const weft_limiter *public, weft_limiter_stats *ret_stats)
{
    struct limiter *limiter = limiter_of(public);
    weft__lock(&limiter->lock);
    *ret_stats = (weft_limiter_stats){
        .total = limiter->total, .borrowed = limiter->borrowed, .waiting = limiter->waiting};
    weft__unlock(&limiter->lock);
}

void
weft_limiter_close(weft_limiter *public)
{
    struct limiter *limiter = limiter_of(public);
    weft__assert(weft__list_empty(&limiter->line), "a limiter was closed while tasks wait");
    weft__assert(limiter->borrowed == 0, "a limiter was closed while tokens are borrowed");
    weft__free(limiter->slots);
}

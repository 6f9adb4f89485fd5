/*
 * waitq.pml - a line of waiters behind a word with a fast path: the mutex. The protocol of
 * lib/flow/mutex.c over lib/flow/waitq.c, with the claim of lib/loop/waiter.h; park.pml is about
 * what goes on between a waiter and its loop.
 *
 * Who is there: three tasks, each on a thread of its own, that take the mutex once, and two threads
 * that cancel one of the first two tasks each, at some time while it waits, or never. One who was
 * cancelled gets in line again, as a condition's waiter does, and that time nothing ends its wait.
 * The last one to have it closes the mutex and frees its memory at once.
 *
 * True in every run: one at a time is inside; who is handed the mutex is the one the word names, and
 * has it whatever else happens; everybody comes through, so no hand-over is lost; nothing is
 * touched that was freed.
 *
 * Every store here that a load of another thread's word follows is a locked instruction, or under
 * the lock, whose release is one; so there is no store buffer to model.
 *
 * Broken on purpose, each to be rejected:
 *   NO_MARK          a waiter does not mark the word before it parks
 *   MARK_PLAIN       it marks it with a load and a store
 *   MARK_UNLOCKED    it marks the word, and takes the lock of the line only then
 *   UNLOCK_PLAIN     the fast unlock is a load and a store
 *   DROPS_TURN       a hand-over whose claim fails frees the mutex, without looking further
 *   CLAIM_UNLOCKED   it claims after it unlocked
 *   WORD_LATE        it stores the word after it unlocked
 *   WORD_BARE        it does not mark the word for those who still stand in line
 *   DELIVER_FIRST    it wakes the next one before the word is stored
 *   NO_LEAVE         a cancelled waiter does not leave the line
 *   CANCEL_PLAIN     cancellation claims a waiter with a load and a store
 *   CLOSE_UNLOCKED   closing does not take the lock
 */
#define TASKS 3
#define NO_ONE 3

#define NOBODY 0
#define HELD(who) (((who) + 1) * 2) /* the word: who holds it, and the mark in the lowest bit */
#define WAITED 1

/* waiter->state; ids are left out, for nobody here keeps a ticket beyond the wait. */
#define IDLE 0
#define ARMED 1
#define WOKEN 2

#define DONE 1
#define CANCELED 2

byte word;                          /* mutex->word */
bit locked;                         /* mutex->lock */
chan line = [TASKS] of { byte };    /* mutex->line */
bit queued[TASKS];                  /* weft__link_on_list */
byte state[TASKS];
byte outcome[TASKS];                /* waiter->result */
bit delivered[TASKS];               /* it runs again */
bit cancellable[TASKS];

byte users = TASKS; /* under the mutex: who has not had it yet */
bit freed;          /* observer: the mutex is gone */
byte inside;        /* observer: who is inside */

#define touch() assert(!freed)

/* The end of each lock section is one step of its own: somebody may wait for it. */
#define lock() locked == 0 -> touch(); locked = 1
#define unlock() touch(); locked = 0

inline cas(from, to, won)
{
    d_step {
        touch();
        won = (word == from);
        if
        :: won -> word = to
        :: else
        fi
    }
}

inline claim(who, won)
{
    d_step {
        won = (state[who] == ARMED);
        if
        :: won -> state[who] = WOKEN
        :: else
        fi
    }
}

inline deliver(who, what)
{
    d_step {
        assert(!delivered[who]);
        outcome[who] = what;
        delivered[who] = 1
    }
}

inline mark(seen, won)
{
#ifdef MARK_PLAIN
    d_step { touch(); word = seen | WAITED; won = 1 }
#else
    cas(seen, seen | WAITED, won)
#endif
}

/* take_or_mark: `mine` when the mutex was free, else the word is marked. */
inline take_or_mark(me, seen, won, mine)
{
    do
    :: d_step { touch(); seen = word; assert(seen / 2 != me + 1) }; /* locked_twice */
       if
       :: seen == NOBODY ->
          cas(NOBODY, HELD(me), won);
          if
          :: won -> mine = 1; break
          :: else
          fi
       :: seen != NOBODY && (seen & WAITED) -> break
       :: seen != NOBODY && !(seen & WAITED) ->
#ifdef NO_MARK
          break
#else
          mark(seen, won);
          if
          :: won -> break
          :: else
          fi
#endif
       fi
    od;
    seen = 0;
    won = 0
}

/* weft_mutex_lock, or weft__mutex_lock_through: in the end `mine`, or it was cancelled. */
inline lock_mutex(me, may_end, seen, won, mine)
{
    cas(NOBODY, HELD(me), mine);
    if
    :: mine
    :: else ->
#ifdef MARK_UNLOCKED
       take_or_mark(me, seen, won, mine);
       atomic { lock() };
#else
       atomic { lock() };
       take_or_mark(me, seen, won, mine);
#endif
       if
       :: mine -> unlock()
       :: else ->
          d_step { /* weft__waitq_park: nobody looks before the lock is given back */
              assert(!queued[me]);
              state[me] = ARMED;
              cancellable[me] = may_end;
              queued[me] = 1;
              line ! me
          };
          unlock();
          d_step {
              delivered[me] ->
              delivered[me] = 0;
              assert(state[me] == WOKEN);
              state[me] = IDLE;
              cancellable[me] = 0
          };
          if
          :: outcome[me] == DONE -> assert(word / 2 == me + 1); mine = 1
          :: else ->
#ifndef NO_LEAVE
             atomic {
                 lock();
                 if
                 :: queued[me] -> queued[me] = 0; line ?? eval(me)
                 :: else
                 fi
             };
             unlock()
#else
             skip
#endif
          fi
       fi
    fi
}

inline next_in_line(whom)
{
    d_step {
        touch();
        if
        :: nempty(line) -> line ? whom; queued[whom] = 0
        :: empty(line) -> whom = NO_ONE
        fi
    }
}

inline store_word(whom)
{
    d_step {
        touch();
        if
        :: whom == NO_ONE -> word = NOBODY
#ifdef WORD_BARE
        :: whom != NO_ONE -> word = HELD(whom)
#else
        :: whom != NO_ONE && nempty(line) -> word = HELD(whom) | WAITED
        :: whom != NO_ONE && empty(line) -> word = HELD(whom)
#endif
        fi
    }
}

inline hand_over(whom, won)
{
    atomic { lock() };
    next_in_line(whom);
    do
    :: whom == NO_ONE -> break
    :: whom != NO_ONE -> /* weft__waitq_claim */
#ifdef CLAIM_UNLOCKED
       store_word(whom);
       unlock();
#endif
       claim(whom, won);
       if
       :: won -> break
       :: else ->
#if defined(CLAIM_UNLOCKED)
          atomic { lock() };
          next_in_line(whom)
#elif defined(DROPS_TURN)
          whom = NO_ONE
#else
          next_in_line(whom)
#endif
       fi
    od;
#if defined(CLAIM_UNLOCKED)
    if
    :: whom == NO_ONE -> store_word(whom); unlock()
    :: else
    fi;
#elif defined(WORD_LATE)
    unlock();
    store_word(whom);
#elif defined(DELIVER_FIRST)
    if
    :: whom != NO_ONE -> deliver(whom, DONE)
    :: else
    fi;
    store_word(whom);
    unlock();
#else
    store_word(whom);
    unlock();
#endif
#ifndef DELIVER_FIRST
    if
    :: whom != NO_ONE -> deliver(whom, DONE)
    :: else
    fi;
#endif
    d_step { whom = 0; won = 0 }
}

inline unlock_mutex(me, whom, won)
{
#ifdef UNLOCK_PLAIN
    d_step { touch(); won = (word == HELD(me)) };
    if
    :: won -> d_step { touch(); word = NOBODY; won = 0 }
    :: else -> hand_over(whom, won)
    fi
#else
    cas(HELD(me), NOBODY, won);
    if
    :: won -> won = 0
    :: else -> hand_over(whom, won)
    fi
#endif
}

proctype task(byte me)
{
    byte seen, whom;
    bit won, mine, last;

    lock_mutex(me, 1, seen, won, mine);
    if
    :: !mine -> lock_mutex(me, 0, seen, won, mine)
    :: else
    fi;
    d_step {
        assert(mine && word / 2 == me + 1);
        assert(inside == 0);
        inside++
    };
    d_step {
        users--;
        last = (users == 0);
        inside--
    };
    unlock_mutex(me, whom, won);
    if
    :: last -> /* weft_mutex_close, and its memory goes */
#ifndef CLOSE_UNLOCKED
       atomic { lock() };
#endif
       d_step { assert(word == NOBODY && empty(line)) };
#ifndef CLOSE_UNLOCKED
       unlock();
#endif
       freed = 1
    :: else
    fi
}

/* scope.c interrupt, for one wait of the task, or none: on the task's loop, so while it is parked. */
proctype canceller(byte whom)
{
    bit won;

    if
    :: state[whom] == ARMED && cancellable[whom] -> /* it may be claimed by another from here on */
#ifdef CANCEL_PLAIN
       won = (state[whom] == ARMED);
       if
       :: won -> state[whom] = WOKEN
       :: else
       fi;
#else
       claim(whom, won);
#endif
       if
       :: won -> deliver(whom, CANCELED)
       :: else
       fi
    :: true
    fi
}

init
{
    atomic {
        run task(0);
        run task(1);
        run task(2);
        run canceller(0);
        run canceller(1)
    }
}

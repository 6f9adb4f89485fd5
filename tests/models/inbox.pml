/*
 * inbox.pml - a loop falls asleep while others post to it: the protocol of lib/loop/inbox.c
 * (weft__inbox_post, weft__bell_ring, weft__inbox_run) and lib/loop/loop.c (weft__loop_run,
 * weft__loop_sleep), with lib/base/queue.h below them.
 *
 * True in every run: each message is called once, those of one sender in their order; the loop is
 * never in the kernel for good while a message waits and its sender is through; one sleep is ended
 * by one ring at most.
 *
 * What a store does to other threads late is written out: a plain store goes into the loop's store
 * buffer and reaches memory whenever it likes, but in order; a sequentially consistent store and
 * any read-modify-write waits until the buffer is empty. Of the loop's two stores of `sleeping`
 * only the one of 1 is followed by a load that matters; the one of 0 is plain here as it is in C.
 *
 * FUTEX is the other bell, of a loop without a poller: the word itself is waited for.
 *
 * Broken on purpose, each to be rejected:
 *   NO_RECHECK       the loop does not look again after it said that it sleeps
 *   CHECK_FIRST      it looks first and says so afterwards
 *   PLAIN_SLEEPING   it says so with a plain store
 *   PUSH_UNORDERED   the producer's look at `sleeping` may pass its push
 *   BELL_FIRST       the producer rings before it pushes
 *   PLAIN_CLEAR      the ringer loads `sleeping` and does not take it by an exchange
 *   LATE_CLEAR       the ringer clears it after it rang
 *   PLAIN_PUSH       a push is a load and a store, not a compare-and-swap
 *   PLAIN_TAKE       the loop takes the messages with a load and a store
 *   LEAVES_PENDING   messages over the turn's budget do not keep the loop awake
 *   FUTEX_BLIND      with FUTEX: the kernel is entered without comparing the word
 */
#define SENDERS 2
#define EACH 2
#define TOTAL (SENDERS * EACH)

byte head;            /* loop->inbox: the newest message; 0 is none */
byte next[TOTAL + 1]; /* message->node */
bit sleeping;         /* bell->sleeping */
bit edge;             /* an edge of the eventfd that epoll has not reported yet */
bit asleep;           /* FUTEX: the thread is on the word's wait queue */

chan buffer = [2] of { bit }; /* the loop's store buffer; only `sleeping` is ever in it */

byte received;       /* observer: messages called */
byte last[SENDERS];  /* observer: the latest of each sender */
byte won;            /* observer: rings this sleep has caused */

/* A plain store drains some time. */
active proctype store_buffer()
{
end:
    do
    :: atomic { nempty(buffer) -> buffer ? sleeping }
    od
}

inline plain_store(value) { buffer ! value }
inline seq_store(value) { atomic { empty(buffer) -> sleeping = value } }

inline push(message) /* weft__mpsc_push */
{
#ifdef PLAIN_PUSH
    old = head;
    next[message] = old;
    head = message
#else
    do
    :: old = head;
       next[message] = old;
       if
       :: atomic { head == old -> head = message }; break
       :: head != old /* somebody was faster: again */
       fi
    od
#endif
}

inline bell_wake()
{
#ifdef FUTEX
    asleep = 0
#else
    edge = 1
#endif
}

inline ring_if(was_asleep) /* weft__bell_ring, after its load of `sleeping` */
{
    if
    :: was_asleep ->
#if defined(PLAIN_CLEAR)
       atomic { won++; assert(won <= 1) }; /* only the loop itself clears the flag */
       bell_wake()
#elif defined(LATE_CLEAR)
       atomic { won++; assert(won <= 1) };
       bell_wake();
       sleeping = 0
#else
       if
       :: atomic { sleeping == 1 -> sleeping = 0; won++; assert(won <= 1) }; bell_wake()
       :: sleeping == 0 /* another of the burst rings, or the loop is up already */
       fi
#endif
    :: else
    fi
}

proctype sender(byte who) /* weft__inbox_post, twice */
{
    byte n, old, message;
    bit seen;

    do
    :: n < EACH ->
       message = who * EACH + n + 1;
#if defined(BELL_FIRST)
       seen = sleeping;
       ring_if(seen);
       push(message);
#elif defined(PUSH_UNORDERED)
       if
       :: push(message); seen = sleeping
       :: seen = sleeping; push(message)
       fi;
       ring_if(seen);
#else
       push(message);
       seen = sleeping;
       ring_if(seen);
#endif
       n++
    :: else -> break
    od
}

proctype loop()
{
    byte pending, newest, older, from;
    bit timed;

turn: /* weft__loop_turn: weft__inbox_run */
    if
    :: pending == 0 && head != 0 -> /* weft__mpsc_take_all_fifo */
#ifdef PLAIN_TAKE
       newest = head;
       head = 0;
#else
       atomic { empty(buffer) -> newest = head; head = 0 };
#endif
       d_step {
           do /* oldest first */
           :: newest != 0 -> older = next[newest]; next[newest] = pending;
                             pending = newest; newest = older
           :: else -> break
           od
       }
    :: else
    fi;
    older = 0;
    do
    :: pending != 0 ->
       d_step {
           from = (pending - 1) / EACH;
           assert(last[from] < pending); /* in order, and never twice */
           last[from] = pending;
           received++;
           pending = next[pending]
       }
    :: pending != 0 -> break /* the turn's budget is used up */
    :: pending == 0 -> break
    od;
#ifndef LEAVES_PENDING
    if
    :: pending != 0 -> goto turn
    :: else
    fi;
#endif
    if /* weft__loop_run */
    :: head != 0 -> goto turn
    :: else
    fi;

    /* weft__loop_sleep. A spin before it is no more than turns that find nothing. */
#ifdef CHECK_FIRST
    if
    :: head != 0 -> goto turn
    :: else
    fi;
#endif
#ifdef PLAIN_SLEEPING
    won = 0;
    plain_store(1);
#else
    atomic { empty(buffer) -> sleeping = 1; won = 0 };
#endif
#if !defined(NO_RECHECK) && !defined(CHECK_FIRST)
    if
    :: head != 0 -> plain_store(0); goto turn
    :: else
    fi;
#endif
    if /* with a deadline, or without one */
    :: timed = 1
    :: timed = 0
    fi;
#ifdef FUTEX
#ifdef FUTEX_BLIND
    asleep = 1;
#else
    /* The kernel compares the word; a system call does not overtake the buffer. */
    if
    :: atomic { empty(buffer) && sleeping == 1 -> asleep = 1 }
    :: atomic { empty(buffer) && sleeping == 0 -> asleep = 0 }
    fi;
#endif
    if
    :: asleep == 0
    :: timed -> asleep = 0
    :: received == TOTAL -> goto done
    fi;
#else
    if
    :: atomic { edge == 1 -> edge = 0 }
    :: timed
    :: received == TOTAL -> goto done
    fi;
#endif
    plain_store(0);
    goto turn;

done: /* nothing will come any more: asleep for good, as it should be */
    assert(pending == 0 && head == 0)
}

init
{
    atomic {
        run sender(0);
        run sender(1);
        run loop()
    }
}

/*
 * park.pml - waiting and being woken: a result, a cancellation and a deadline race for one waiter.
 * The protocol of lib/loop/waiter.h (weft__waiter_arm, weft__claim), lib/loop/inbox.c
 * (weft__deliver), lib/task/park.c (weft__wait_begin, weft__park), lib/task/scope.c (interrupt,
 * weft__scope_recompute) and of the list of waiters under every primitive of lib/flow.
 *
 * Who is there: a loop with two tasks, a plain thread, a semaphore without permits, a thread that
 * releases one permit, an executor's thread that completes a call, a thread that cancels.
 *
 *   task 0   waits for the executor's call under a deadline and, when that passes, abandons it;
 *            it ends, and its memory is a new task's, which acquires under a deadline
 *   task 1   acquires, and is cancelled from another thread at some time
 *   thread   acquires, with no way to be cancelled
 *
 * Whoever got the permit gives it back. True in every run: a wait is resumed once, by one cause,
 * and sees that cause's result; nobody is woken who does not wait, and a new task never by an old
 * ticket; nothing of an ended wait stays on a list; the permit is there at the end; everybody
 * comes through; a task that was cancelled does not start to wait.
 *
 * All stores here are followed by a locked instruction of the same thread (the lock, the claim,
 * the push) before anything of another thread is read, so there is no store buffer to model. The
 * inbox is a channel: inbox.pml is about that.
 *
 * Broken on purpose, each to be rejected:
 *   CLAIM_IN_TWO       a claim is a load and a store
 *   NO_ID              a claim looks at ARMED only, not at the id of the park
 *   DROPS_PERMIT       a waker whose claim fails goes away
 *   CLAIM_UNLOCKED     it claims after it unlocked, and does not look again when that fails
 *   NO_LEAVE           a cancelled waiter does not leave the list
 *   LEAVE_UNLOCKED     it leaves without the lock
 *   CANCEL_NO_CLAIM    cancellation and deadline resume a task that waits without claiming it
 *   CANCEL_FORGOTTEN   a task that does not wait when its cancellation comes never hears of it
 *   ARM_LATE           the waiter is armed after it was put on the list
 *   RESULT_LATE        the result is written after the message is sent
 *   DELIVERED_LATE     the thread clears its futex word after it was put on the list
 *   WAKE_FIRST         the futex is woken before its word is set
 */
#define TASKS 2
#define THREAD 2 /* the plain thread's waiter */
#define NO_ONE 3

/* The state word: id of the park, and whether it is armed or woken. */
#define ARMED(id) ((id) * 4 + 1)
#define WOKEN(id) ((id) * 4 + 2)

#define NONE 0
#define DONE 1
#define CANCELED 2
#define TIMEDOUT 3

/* task->state: NOBODY is memory without a task. */
#define NOBODY 0
#define READY 1
#define WAITING 2

/* Where a task goes on. */
#define CALL 0
#define CALLED 1
#define ACQUIRE 2
#define ACQUIRED 3
#define ENDED 4

byte word[3];     /* waiter->state */
byte outcome[3];  /* waiter->result */
bit delivered;    /* the thread's futex word */
bit asleep;       /* the thread is on its wait queue */
byte parks[3];    /* the last id of each waiter; in C they are counted by loop */

bit locked;                   /* of the semaphore */
byte permits;
chan waiters = [3] of { byte };
byte node_id[3];              /* the ticket in a waiter's node, which is on the waiter's stack */
bit queued[3];                /* weft__link_on_list(&node->link) */

bit posted[TASKS];       /* waiter->message is in the loop's inbox; in any order */
bit remote = 1;          /* task 1's cancellation is in it: from some time on, so from the start */
byte task[TASKS];        /* task->state, the loop's own */
byte pending[TASKS];     /* task->pending */
byte at[TASKS];          /* where a task goes on */
bit deadline = 1;        /* task 0's has not passed yet */
bit recycled;            /* task 0's memory has its second task */
byte call_id;            /* the ticket the executor has got */

byte cause[3];  /* observer: who claimed */
byte claims[3]; /* observer: how often */
bit told[TASKS]; /* observer: a cause has reached the task */
byte through;   /* threads that are done */

/* What only the holder of the lock touches is done in one step with taking or leaving it: nobody
 * could tell the difference. */
#define lock() locked == 0 -> locked = 1
#define unlock() locked = 0

inline arm(who, my_id) /* weft__waiter_arm */
{
    d_step {
        parks[who]++;
        my_id = parks[who];
        word[who] = ARMED(my_id)
    }
}

inline claim(who, id, why, won) /* weft__claim */
{
#if defined(CLAIM_IN_TWO)
    won = word[who] == ARMED(id);
    if
    :: won -> d_step { word[who] = WOKEN(id); cause[who] = why; claims[who]++ }
    :: else
    fi
#elif defined(NO_ID)
    d_step {
        won = word[who] % 4 == 1;
        if
        :: won -> word[who] = word[who] + 1; cause[who] = why; claims[who]++
        :: else
        fi
    }
#else
    d_step {
        won = word[who] == ARMED(id);
        if
        :: won -> word[who] = WOKEN(id); cause[who] = why; claims[who]++
        :: else
        fi
    }
#endif
}

inline resume(who) /* task.c resume: to the ready queue */
{
    d_step {
        assert(task[who] == WAITING);
        task[who] = READY
    }
}

inline deliver(who, what, here) /* weft__deliver */
{
#ifndef RESULT_LATE
    outcome[who] = what;
#endif
    if
    :: who == THREAD ->
#ifdef WAKE_FIRST
       asleep = 0;
       delivered = 1
#else
       delivered = 1;
       asleep = 0
#endif
    :: who != THREAD && here -> resume(who)
    :: who != THREAD && !here ->
       d_step { assert(!posted[who]); posted[who] = 1 } /* a message is in one inbox, once */
    fi
#ifdef RESULT_LATE
    ; outcome[who] = what
#endif
}

inline enqueue(who, id)
{
    assert(!queued[who]);
    queued[who] = 1;
    node_id[who] = id;
    waiters ! who
}

inline dequeue(who, id)
{
    if
    :: nempty(waiters) -> waiters ? who; queued[who] = 0; id = node_id[who]
    :: empty(waiters) -> who = NO_ONE
    fi
}

/* weft_semaphore_release: to the oldest who still waits, or back to the count. */
inline release(here, whom, id, won)
{
    atomic { lock(); dequeue(whom, id) };
    do
    :: whom == NO_ONE -> atomic { permits++; unlock() }; break
    :: whom != NO_ONE -> /* weft__waitq_claim */
#ifdef CLAIM_UNLOCKED
       unlock();
#endif
       claim(whom, id, DONE, won);
       if
       :: won -> break
       :: else ->
#if defined(CLAIM_UNLOCKED)
          whom = NO_ONE; break
#elif defined(DROPS_PERMIT)
          whom = NO_ONE; unlock(); break
#else
          atomic { dequeue(whom, id) }
#endif
       fi
    od;
    if
    :: whom != NO_ONE ->
#ifndef CLAIM_UNLOCKED
       unlock();
#endif
       deliver(whom, DONE, here)
    :: else
    fi;
    atomic { whom = 0; id = 0; won = 0 }
}

/* The first half of weft_semaphore_acquire: with the permit, or in line and armed. */
inline acquire(who, my_id, parked)
{
    atomic { lock(); parked = (permits == 0) };
    if
    :: !parked -> atomic { permits--; unlock() }
    :: else -> /* weft__waitq_park */
#ifdef ARM_LATE
       atomic { enqueue(who, parks[who] + 1); unlock() };
       arm(who, my_id);
#else
       arm(who, my_id);
       atomic { enqueue(who, my_id); unlock() };
#endif
       my_id = 0
    fi
}

/* The second half of weft__waitq_park when the wait was ended from outside. */
inline leave(who)
{
#if defined(NO_LEAVE)
    skip
#elif defined(LEAVE_UNLOCKED)
    if
    :: queued[who] -> d_step { assert(queued[who]); queued[who] = 0; waiters ?? eval(who) }
    :: else
    fi
#else
    atomic {
        lock();
        if
        :: queued[who] -> queued[who] = 0; waiters ?? eval(who)
        :: else
        fi;
        unlock()
    }
#endif
}

inline resumed(who, how) /* weft__park returns */
{
    d_step {
        assert(claims[who] == 1 && cause[who] == outcome[who]);
        how = outcome[who];
        claims[who] = 0;
        cause[who] = NONE;
        outcome[who] = NONE
    }
}

/* scope.c: a cause reaches a task, on its loop. */
inline end_scope(who, why)
{
    if
    :: pending[who] == NONE ->
       d_step { told[who] = 1; pending[who] = why };
       if /* interrupt */
       :: task[who] == WAITING ->
#ifdef CANCEL_NO_CLAIM
          d_step { cause[who] = why; claims[who]++ };
          deliver(who, why, 1)
#else
          id = word[who] / 4;
          claim(who, id, why, won);
          if
          :: won -> deliver(who, why, 1)
          :: else /* the result won */
          fi;
          d_step { id = 0; won = 0 }
#endif
       :: else ->
#ifdef CANCEL_FORGOTTEN
          pending[who] = NONE
#else
          skip
#endif
       fi
    :: else /* the first cause stays */
    fi
}

inline park(who, where) /* weft__park */
{
    d_step {
        assert(!told[who]); /* once cancelled, no call waits */
        task[who] = WAITING;
        at[who] = where
    }
}

/* A task ends, and with it what was on its stack. */
inline finish(who)
{
    d_step {
        assert(!queued[who]);
        task[who] = NOBODY;
        at[who] = ENDED;
        how = 0
    }
}

inline run_acquire(who)
{
    if
    :: pending[who] != NONE -> finish(who) /* weft__wait_begin */
    :: else ->
       acquire(who, id, parked);
       if
       :: d_step { parked -> parked = 0 }; park(who, ACQUIRED)
       :: else -> release(1, whom, id, won); finish(who)
       fi
    fi
}

inline run_acquired(who)
{
    resumed(who, how);
    if
    :: how == DONE -> release(1, whom, id, won)
    :: else -> leave(who)
    fi;
    finish(who)
}

proctype loop()
{
    byte whom, id, how;
    bit won, parked;

    do
    /* weft__inbox_run */
    :: posted[0] -> posted[0] = 0; resume(0)
    :: posted[1] -> posted[1] = 0; resume(1)
    :: remote -> remote = 0; /* do_ops */
       if
       :: task[1] != NOBODY -> end_scope(1, CANCELED)
       :: else /* it has ended; its handle keeps the memory */
       fi

    /* weft__timers_expire */
    :: deadline && task[0] != NOBODY -> deadline = 0; end_scope(0, TIMEDOUT)

    /* run_ready */
    :: task[0] == READY && at[0] == CALL ->
       if
       :: pending[0] != NONE -> finish(0)
       :: else ->
          arm(0, id);
          d_step { call_id = id; id = 0 }; /* weft_blocking, of a call that may be abandoned */
          park(0, CALLED)
       fi
    :: task[0] == READY && at[0] == CALLED -> resumed(0, how); finish(0)
    :: task[0] == NOBODY && !recycled -> /* weft__task_new in the same memory */
       d_step {
           recycled = 1;
           pending[0] = NONE;
           told[0] = 0;
           deadline = 1;
           task[0] = READY;
           at[0] = ACQUIRE
       }
    :: task[0] == READY && at[0] == ACQUIRE -> run_acquire(0)
    :: task[0] == READY && at[0] == ACQUIRED -> run_acquired(0)
    :: task[1] == READY && at[1] == ACQUIRE -> run_acquire(1)
    :: task[1] == READY && at[1] == ACQUIRED -> run_acquired(1)

    :: recycled && task[0] == NOBODY && task[1] == NOBODY && through == 3 && !remote -> break
    od;
    assert(permits == 1 && empty(waiters))
}

/* A plain thread: weft_semaphore_acquire, park_thread, weft_semaphore_release. */
proctype thread()
{
    byte whom, id, how;
    bit won, parked;

#ifndef DELIVERED_LATE
    delivered = 0;
#endif
    acquire(THREAD, id, parked);
#ifdef DELIVERED_LATE
    delivered = 0;
#endif
    if
    :: parked ->
       do
       :: delivered == 0 ->
          if /* futex_wait compares and sleeps in one */
          :: atomic { delivered == 0 -> asleep = 1 }; asleep == 0
          :: delivered != 0
          fi
       :: delivered != 0 -> break
       od;
       resumed(THREAD, how)
    :: else
    fi;
    d_step { parked = 0; how = 0 };
    release(0, whom, id, won);
    through++
}

proctype releaser()
{
    byte whom, id;
    bit won;

    release(0, whom, id, won);
    through++
}

/* The executor's thread: weft__wake with the ticket it was given, whenever the call is done. */
proctype executor()
{
    byte id;
    bit won;

    if
    :: call_id != 0 ->
       id = call_id;
       claim(0, id, DONE, won);
       if
       :: won -> deliver(0, DONE, 0)
       :: else
       fi
    :: recycled /* the task was cancelled before it called */
    fi;
    through++
}

init
{
    atomic {
        task[0] = READY;
        at[0] = CALL;
        task[1] = READY;
        at[1] = ACQUIRE;
        run loop();
        run thread();
        run releaser();
        run executor()
    }
}

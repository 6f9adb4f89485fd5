/*
 * close.pml - a runtime of several loops comes to its end: lib/task/run.c
 * (weft__runtime_begin_close, close_on_loop, ack_on_first, drain_on_loop, weft__close_check,
 * empty_on_first, stop_all), with spawning in lib/task/task.c and the turn in lib/task/sched.c.
 *
 * The main task ends on loop 0. Each loop is told to close: it spawns no more and says so. Once all
 * have, no task can be on its way to a loop that does not know of it, and each loop is told to
 * report when it has no task, no message, and there is none that any loop may take. When all have
 * reported, all stop. Tasks are counted, they spawn others here, on another loop or on any, and
 * end when they like. The scheduler with a seed takes messages of different senders in any order,
 * those of one in theirs: one channel for each pair.
 *
 * True in every run: nothing stops while a task is alive, each one spawned is run to its end, and
 * all loops stop.
 *
 * Broken on purpose, each to be rejected:
 *   NO_ROUND            a loop reports without waiting until all spawn no more
 *   NO_REFUSAL          a loop that was told to close goes on spawning
 *   NO_LIVE_CHECK       it reports with tasks of its own
 *   NO_INBOX_CHECK      it reports with messages it has not looked at
 *   NO_ANY_CHECK        it reports while there are tasks for any loop
 *   FIRST_EMPTY         all stop when the first has reported
 *   NO_STOP_OF_OTHERS   the first loop stops only itself
 *   SLEEPS_UNREPORTED   a loop with nothing to do sleeps although it has not reported yet
 */
#ifndef LOOPS
#define LOOPS 3
#endif
#ifndef SPAWNS
#define SPAWNS 2
#endif

mtype = { TASK, CLOSE, ACK, DRAIN, EMPTY, STOP };
/* loop->inbox, with what was taken out and not called yet: from sender `s` to loop `d`. */
chan inbox[LOOPS * LOOPS] = [SPAWNS + 2] of { mtype };
#define FROM(s, d) inbox[(s) * LOOPS + (d)]

byte live[LOOPS];    /* sched->live */
byte n_any;          /* runtime->n_any */
bit main_lives = 1;
byte acks, empties;  /* runtime, loop 0's */

byte left = SPAWNS;  /* spawns still allowed here, to bound the search */
byte alive = 1;      /* observer: tasks spawned and not ended */

inline post_all(what)
{
    i = 0;
    do
    :: i < LOOPS -> FROM(0, i) ! what; i++
    :: else -> i = 0; break
    od
}

#if LOOPS == 3
#define QUIET(me) (len(FROM(0, me)) + len(FROM(1, me)) + len(FROM(2, me)) == 0)
#else
#define QUIET(me) (len(FROM(0, me)) + len(FROM(1, me)) == 0)
#endif

#ifdef NO_LIVE_CHECK
#define BUSY(me) false
#else
#define BUSY(me) live[me] > 0
#endif
#ifdef NO_INBOX_CHECK
#define UNREAD(me) false
#else
#define UNREAD(me) !QUIET(me)
#endif

inline close_check(me) /* weft__close_check, in run_ready */
{
    if
    :: reported || BUSY(me) || UNREAD(me)
    :: else ->
#ifdef NO_ANY_CHECK
       reported = 1;
       FROM(me, 0) ! EMPTY
#else
       if
       :: n_any > 0
       :: n_any == 0 -> reported = 1; FROM(me, 0) ! EMPTY
       fi
#endif
    fi
}

inline spawn(me) /* weft_task_spawn by one of its tasks */
{
    if
    :: live[me]++ /* here */
    :: FROM(me, (me + 1) % LOOPS) ! TASK /* weft__task_start: there */
#if LOOPS > 2
    :: FROM(me, (me + 2) % LOOPS) ! TASK
#endif
    :: n_any++ /* or where there is time */
    fi
}

inline call(me, what) /* weft__inbox_run */
{
    if
    :: what == TASK -> live[me]++ /* arrive */
    :: what == CLOSE -> /* close_on_loop */
       closing = 1;
#ifdef NO_ROUND
       draining = 1;
#endif
       FROM(me, 0) ! ACK
    :: what == ACK -> /* ack_on_first */
       acks++;
       if
       :: acks == LOOPS -> post_all(DRAIN)
       :: else
       fi
    :: what == DRAIN -> draining = 1
    :: what == EMPTY -> /* empty_on_first */
       empties++;
       if
#ifdef FIRST_EMPTY
       :: empties == 1 ->
#else
       :: empties == LOOPS ->
#endif
          assert(alive == 0);
#ifdef NO_STOP_OF_OTHERS
          FROM(0, 0) ! STOP
#else
          post_all(STOP)
#endif
       :: else
       fi
    :: what == STOP -> stop = 1
    fi
}

proctype loop(byte me)
{
    byte i;
    mtype what;
    bit closing, draining, reported, stop;

turn:
    /* run_ready: takes what any loop may take, by weft__task_adopt_any under its lock */
    if
    :: n_any > 0 ->
       if
       :: atomic { n_any > 0 -> n_any-- }; live[me]++
       :: n_any == 0 /* another one was faster */
       fi
    :: else
    fi;
    do /* its tasks run as far as they like */
#ifdef NO_REFUSAL
    :: atomic { live[me] > 0 && left > 0 -> left--; alive++ }; spawn(me)
#else
    :: atomic { live[me] > 0 && left > 0 && !closing -> left--; alive++ }; spawn(me)
#endif
    :: live[me] > (me == 0 && main_lives) -> atomic { live[me]--; alive-- }
    :: me == 0 && main_lives -> /* weft__runtime_begin_close */
       atomic { main_lives = 0; live[me]--; alive-- };
       post_all(CLOSE)
    :: break
    od;
    if
    :: draining -> close_check(me)
    :: else
    fi;

    do
    :: FROM(0, me) ? what -> call(me, what)
    :: FROM(1, me) ? what -> call(me, what)
#if LOOPS > 2
    :: FROM(2, me) ? what -> call(me, what)
#endif
    :: break /* the turn's budget */
    od;
    what = 0;
    if
    :: stop -> goto done
    :: else
    fi;
    /* has_ready, weft__loop_run; then weft__loop_sleep, until there is something. */
#ifndef SLEEPS_UNREPORTED
    if
    :: draining && !reported && live[me] == 0 -> goto turn
    :: else
    fi;
#endif
    (!QUIET(me) || n_any > 0 || live[me] > 0) -> goto turn;

done:
    assert(alive == 0 && live[me] == 0 && n_any == 0) /* and so no TASK is left in an inbox */
}

init
{
    atomic {
        live[0] = 1;
        run loop(0);
        run loop(1);
#if LOOPS > 2
        run loop(2);
#endif
        skip
    }
}

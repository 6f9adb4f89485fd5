/*
 * post.pml - a loop ends while plain threads post to it: weft__inbox_post_unless_closing,
 * weft__inbox_post and weft__threads_quiesce of lib/loop/inbox.c, drain_last and
 * weft__runtime_close of lib/task/run.c.
 *
 * A thread marks the loop in its own record for as long as it may touch it. Two threads post a
 * user's message, which may be refused; a third wakes a task, which is the reason for the loop to
 * be there, and asks nothing. Loops of the same runtime need no mark: they end together. That a
 * user's loop is there when it is asked for `refuses` is the user's affair.
 *
 * True in every run: an accepted message is called, a refused one never; nobody touches the loop
 * after it was freed; the loop ends.
 *
 * The store of the mark and the load of `refuses` are the pair here, so both sides' stores are
 * written out: a plain one is done some time later.
 *
 * Broken on purpose, each to be rejected:
 *   MARK_PLAIN       the mark is a plain store, and may come after the look
 *   LOOK_FIRST       the look comes before the mark
 *   REFUSES_PLAIN    `refuses` is a plain store, and may come after the look at the marks
 *   NO_QUIESCE       the loop does not wait for the marks to go
 *   DRAIN_FIRST      it drains, and waits for the marks afterwards
 *   MARK_LATE        the one who wakes a task marks after the push
 *   UNMARK_EARLY     it takes the mark away before it looks at the bell
 */
#define USERS 2
#define WAKER 2

bit posting[USERS + 1]; /* thread->posting == loop */
bit marks[USERS + 1];   /* a plain store of the mark that is on its way */
bit refuses, refusal;   /* loop->refuses, and a plain store of it on its way */
byte inbox;             /* messages of users in it */
bit wake;               /* and the one that wakes the task */
bit freed;

byte accepted, called;  /* observer */

inline push() { d_step { assert(!freed); inbox++ } }
inline ring() { assert(!freed) } /* weft__bell_ring reads and writes loop->bell */

/* Plain stores reach memory when they like. */
active proctype store_buffers()
{
end:
    do
    :: marks[0] -> atomic { marks[0] = 0; posting[0] = 1 }
    :: marks[1] -> atomic { marks[1] = 0; posting[1] = 1 }
    :: refusal -> atomic { refusal = 0; refuses = 1 }
    od
}

proctype user(byte me) /* weft__inbox_post_unless_closing */
{
    bit refused;

#if defined(LOOK_FIRST)
    refused = refuses;
    posting[me] = 1;
#elif defined(MARK_PLAIN)
    marks[me] = 1;
    refused = refuses;
#else
    posting[me] = 1;
    refused = refuses;
#endif
    if
    :: !refused -> accepted++; push(); ring()
    :: else
    fi;
    (marks[me] == 0); /* a release store comes after those before it */
    posting[me] = 0
}

proctype waker() /* weft__deliver, weft__inbox_post */
{
#ifdef MARK_LATE
    d_step { assert(!freed); wake = 1 };
    posting[WAKER] = 1;
#else
    posting[WAKER] = 1;
    d_step { assert(!freed); wake = 1 };
#endif
#ifdef UNMARK_EARLY
    posting[WAKER] = 0;
#endif
    ring();
    posting[WAKER] = 0
}

inline quiesce() /* weft__threads_quiesce */
{
    (posting[0] == 0);
    (posting[1] == 0);
    (posting[WAKER] == 0)
}

inline drain()
{
    do
    :: d_step { inbox > 0 -> inbox--; called++ }
    :: inbox == 0 -> break
    od
}

proctype loop()
{
    do /* weft__loop_run, until its task was woken and all is done */
    :: d_step { inbox > 0 -> inbox--; called++ }
    :: atomic { wake -> wake = 0 }; break
    od;
    /* drain_last */
#ifdef REFUSES_PLAIN
    refusal = 1;
#else
    refuses = 1;
#endif
#if defined(NO_QUIESCE)
    drain();
#elif defined(DRAIN_FIRST)
    drain();
    quiesce();
#else
    quiesce();
    drain();
#endif
    freed = 1;
    assert(inbox == 0 && called == accepted)
}

init
{
    atomic {
        run user(0);
        run user(1);
        run waker();
        run loop()
    }
}

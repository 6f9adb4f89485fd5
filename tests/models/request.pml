/*
 * request.pml - a task is asked for something from other loops: to be cancelled, to be closed.
 * weft__task_request, do_ops and weft__task_adopt_any of lib/task/task.c, and the end of a group's
 * child in lib/flow/group.c.
 *
 * A task has one message for all requests, so it must not be sent while it is on its way, and not
 * be on its way when the task's memory is another one's. The bit PENDING says that it is.
 *
 * Loop A spawns a child that any loop may take and cancels it at some time; another thread does so
 * as well. Loop B takes it, runs it to its end, and says so to A, which then gives the handle up.
 *
 * True in every run: the message is in one inbox once, nobody touches the task after its memory
 * was given away, each request is done, and in the end the memory is given away.
 *
 * Broken on purpose, each to be rejected:
 *   ADOPTS_LATE      the adopter looks at requests after others know where the task lives, and
 *                    takes the bit of a message that is on its way
 *   PENDING_PLAIN    the bits are set by a load and a store
 *   CLEARS_LATE      the bits are cleared after they were looked at
 *   MESSAGE_FIRST    the message is sent before the bits are set
 *   NO_HANDLE        the task is given away at its end, its handle or not
 *   NO_ANY_LOCK      requests to a task no loop has yet are left there without the lock
 */
#define PENDING 1
#define CANCEL 2
#define CLOSE 4

bit home;       /* task->waiter.loop is set: it lives on B */
byte ops;       /* task->ops */
bit posted;     /* task->remote is in B's inbox */
bit ended;      /* task->state, B's own */
bit end_told;   /* child_done_message is in A's inbox */
bit any_locked; /* runtime->any_lock */
bit queued;     /* on runtime->any */

bit gone;       /* observer: the memory is another task's */
byte asked;     /* observer: requests made */
byte done;      /* observer: requests done */
bit through;    /* the other thread is done with its handle */

inline touch() { assert(!gone) }

inline send_remote() { d_step { touch(); assert(!posted); posted = 1 } }

inline request(op, before) /* weft__task_request, from elsewhere */
{
    atomic { touch(); asked = asked | op };
    if
    :: home == 0 ->
#ifdef NO_ANY_LOCK
       atomic { touch(); ops = ops | op; before = 1 }
#else
       atomic { any_locked == 0 -> any_locked = 1 };
       touch();
       if
       :: home == 0 -> ops = ops | op; before = 1 /* the adopter does it */
       :: else -> before = 0
       fi;
       any_locked = 0
#endif
    :: home == 1 -> before = 0
    fi;
    if
    :: before == 0 ->
#if defined(PENDING_PLAIN)
       before = ops;
       atomic { touch(); ops = before | op | PENDING };
       if
       :: !(before & PENDING) -> send_remote()
       :: else
       fi
#elif defined(MESSAGE_FIRST)
       before = ops & PENDING;
       if
       :: !(before & PENDING) -> send_remote()
       :: else
       fi;
       atomic { touch(); ops = ops | op | PENDING }
#else
       atomic { touch(); before = ops; ops = ops | op | PENDING };
       if
       :: !(before & PENDING) -> send_remote()
       :: else
       fi
#endif
    :: else
    fi;
    before = 0
}

inline give_away() /* weft__task_release */
{
    d_step { assert(!posted && !gone); gone = 1 }
}

inline do_op(what) /* do_op, on B */
{
    done = done | (what & (CANCEL | CLOSE));
    if
    :: (what & CLOSE) && ended -> give_away()
    :: else
    fi;
    what = 0
}

inline do_ops(what)
{
    touch();
#ifdef CLEARS_LATE
    what = ops;
    ops = 0;
#else
    atomic { what = ops; ops = 0 };
#endif
    do_op(what)
}

proctype opener()
{
    byte before;

    if
    :: request(CANCEL, before) /* group_ended, or */
    :: true /* it waits for the child to end by itself */
    fi;
    (end_told && through);
    request(CLOSE, before) /* child_done; the handle is not used from here on */
}

proctype canceller() /* weft_task_cancel by another holder */
{
    byte before;

    request(CANCEL, before);
    through = 1
}

proctype adopter()
{
    byte what;
    bit endless;

    if /* the child may wait for nothing but its cancellation */
    :: endless = 1
    :: endless = 0
    fi;
    /* weft__task_adopt_any */
    atomic { any_locked == 0 && queued -> any_locked = 1; queued = 0 };
#ifdef ADOPTS_LATE
    home = 1;
    if
    :: ops != 0 -> do_ops(what)
    :: else
    fi;
#else
    atomic { what = ops; ops = 0 }; /* while nobody can have sent the message */
    home = 1;
    do_op(what);
#endif
    any_locked = 0;

    do
    :: atomic { posted -> posted = 0 }; do_ops(what) /* ops_message */
    :: !ended && (!endless || (done & CANCEL)) -> /* run_task, child_finished */
       ended = 1;
       end_told = 1;
#ifdef NO_HANDLE
       give_away()
#endif
    :: gone -> break
    od;
    assert(done == asked)
}

init
{
    atomic {
        queued = 1;
        run opener();
        run canceller();
        run adopter()
    }
}

/*
 * chan.pml - a channel: items handed over between senders and receivers, some of whom are cancelled
 * while they wait, and a close. The protocol of lib/flow/chan.c and lib/flow/stand.h: a lock at each
 * end of the ring, a line of waiters that the other end serves, and what each end has last seen of
 * the other. CAP is the room there is; 0 is a rendezvous.
 *
 * Who is there: sender A with item 1, sender B with item 3, receiver A that takes one item, receiver
 * B that takes all there are until the channel is closed, one that cancels the waits of both A's at
 * any time, and one that closes: once the senders are through, or with CLOSE_EARLY at any time. With
 * ORDER sender A sends item 2 as well, and there is no sender B. With FREES there are the B's alone,
 * and the receiver frees the channel when it has the item.
 *
 * True in every run: an item whose send succeeded is received once, another one never; who sends two
 * is not overtaken by himself; nobody is left in a line when his call has returned, or asleep in
 * one; who is told that the channel is closed and empty leaves nothing behind; nobody touches a
 * channel that was freed.
 *
 * How a claim and a delivery work across threads is park.pml's subject: here a claim is one step,
 * and a delivery a flag. Under locks one step goes as far as the next thing that others look at
 * without them: the head or tail of the ring under one lock, and nothing under both, since a claim
 * that succeeds is the last one and one that fails changes nothing. All stores are followed by a
 * locked instruction before anything of others is read.
 *
 * Broken on purpose, each to be rejected:
 *   ENTER_ONE_LOCK     a receiver gets in line with the senders' lock alone, having looked before
 *   NO_SECOND_LOOK     who has to wait gets in line without looking again under both locks
 *   NO_ADMIT           who takes an item out of a full ring leaves the senders in line
 *   ADMIT_LATE         and moves the oldest sender's in after it has given the locks back
 *   DROPS_ITEM         a sender who could not claim the receiver in line takes the item for given
 *   GIVES_UNCLAIMED    a sender writes to a receiver in line whom it has not claimed
 *   TELLS_FIRST        a receiver is woken before it has its item
 *   NO_REFRESH         a sender goes by what it last saw of the other end
 *   CLOSE_ONE_LOCK     closing takes the senders' lock alone
 *   CLOSE_FORGETS      closing leaves receivers in line
 *   NO_LEAVE           a cancelled waiter does not leave the line
 *   LEAVE_UNLOCKED     it leaves without the lock
 *   FREE_UNLOCKED      freeing does not wait for who is about to give a lock back
 */
#ifndef CAP
#define CAP 1
#endif
#if CAP == 0
#define RING 1
#else
#define RING CAP
#endif

#ifdef ORDER
#define A_ITEMS 2
#define SENDERS 1
#else
#define A_ITEMS 1
#define SENDERS 2
#endif

#define SENDER_A 0
#define SENDER_B 1
#define RECEIVER_A 2
#define RECEIVER_B 3
#define NO_ONE 4

/* Results. */
#define OK 0
#define AGAIN 1
#define PIPE 2
#define CANCELED 3

/* A waiter's word; ids are park.pml's subject. */
#define IDLE 0
#define ARMED 1
#define WOKEN 2

bit in_lock, out_lock;
byte head, tail;           /* atomic: the other end looks */
byte head_seen, tail_seen; /* of the senders' end and of the receivers' */
byte ring[RING];
bit closed;
chan receivers = [4] of { byte }; /* changed with in_lock; entered with both */
chan senders = [4] of { byte };   /* changed with out_lock; entered with both */
bit queued[4];

byte word[4];
byte hand[4];   /* the stand's item: what is given, or has been received */
byte status[4]; /* the stand's */
bit delivered[4];

byte sent[4];   /* observer: by item */
byte got[4];    /* observer */
bit freed;      /* observer */
byte through;   /* senders that are done */
byte left_over; /* parties that are done */

#define lock(which) which == 0 -> assert(!freed); which = 1
#define unlock(which) assert(!freed); which = 0

inline claim(who, won) /* weft__claim: one step */
{
    won = (word[who] == ARMED);
    if
    :: won -> word[who] = WOKEN
    :: else
    fi
}

inline deliver(who, what)
{
    d_step { assert(!delivered[who]); status[who] = what; delivered[who] = 1 }
}

/* weft__stand_claim */
inline claim_first(line, peer, won)
{
    won = 0;
    do
    :: !won && nempty(line) ->
       line ? peer;
       queued[peer] = 0;
#ifdef GIVES_UNCLAIMED
       if
       :: me < 2 -> hand[peer] = hand[me]
       :: else
       fi;
#endif
       claim(peer, won)
    :: !won && empty(line) -> peer = NO_ONE; break
    :: won -> break
    od
}

inline push(what) /* there is room; in_lock */
{
    ring[tail % RING] = what;
    tail++
}

/* put(): in_lock */
inline put()
{
    peer = NO_ONE;
    rc = AGAIN;
    if
    :: closed -> rc = PIPE
    :: !closed && nempty(receivers) ->
#ifdef DROPS_ITEM
       receivers ? peer;
       queued[peer] = 0;
       rc = OK;
       claim(peer, won);
       if
       :: !won -> peer = NO_ONE
       :: else
       fi
#else
       claim_first(receivers, peer, won);
       if
       :: won -> rc = OK
       :: else
       fi
#endif
    :: !closed && empty(receivers)
    fi;
    if
    :: rc == AGAIN ->
#ifndef NO_REFRESH
       if
       :: tail - head_seen >= CAP -> head_seen = head
       :: else
       fi;
#endif
       if
       :: tail - head_seen < CAP -> push(hand[me]); rc = OK
       :: else
       fi
    :: else
    fi
}

/* put_after(): without locks */
inline put_after()
{
    if
    :: peer != NO_ONE ->
#ifdef TELLS_FIRST
       deliver(peer, OK);
       hand[peer] = hand[me];
#else
       hand[peer] = hand[me];
       deliver(peer, OK);
#endif
       peer = NO_ONE
    :: else
    fi
}

inline pop() /* there is an item; out_lock */
{
    hand[me] = ring[head % RING];
    head++
}

/* is_empty(): out_lock; of a channel without a ring it says yes. */
inline look()
{
    if
    :: head == tail_seen -> tail_seen = tail
    :: else
    fi
}

/* take_locked(): both locks, or out_lock without a ring */
inline take()
{
    peer = NO_ONE;
    rc = OK;
#if CAP > 0
    look();
    if
    :: head == tail_seen -> rc = (closed -> PIPE : AGAIN)
    :: else ->
       pop();
#if !defined(NO_ADMIT) && !defined(ADMIT_LATE)
       claim_first(senders, peer, won);
       if
       :: won -> push(hand[peer])
       :: else
       fi
#endif
    fi
#else
    claim_first(senders, peer, won);
    if
    :: won
    :: else -> rc = (closed -> PIPE : AGAIN)
    fi
#endif
}

/* take_after(): without locks */
inline take_after()
{
#ifdef ADMIT_LATE
    if
    :: rc == OK && CAP > 0 ->
       atomic { lock(in_lock) };
       atomic {
           lock(out_lock);
           claim_first(senders, peer, won);
           if
           :: won -> push(hand[peer])
           :: else
           fi
       };
       atomic { unlock(out_lock) };
       atomic { unlock(in_lock) }
    :: else
    fi;
#endif
    if
    :: peer != NO_ONE ->
#if CAP == 0
       hand[me] = hand[peer];
#endif
       deliver(peer, OK);
       peer = NO_ONE
    :: else
    fi
}

/* weft_chan_try_recv: out_lock alone, unless there is a ring and a sender in line */
inline try_take()
{
#if CAP > 0
    atomic { lock(out_lock); look() };
    if
    :: empty(senders) ->
       atomic {
           peer = NO_ONE;
           if
           :: head != tail_seen -> pop(); rc = OK
           :: else -> rc = (closed -> PIPE : AGAIN)
           fi
       };
       atomic { unlock(out_lock) }
    :: nempty(senders) ->
       atomic { unlock(out_lock) };
       atomic { lock(in_lock) };
       atomic { lock(out_lock); take() };
       atomic { unlock(out_lock) };
       atomic { unlock(in_lock) }
    fi;
#else
    atomic { lock(out_lock); take() };
    atomic { unlock(out_lock) };
#endif
    take_after()
}

inline stand(line) /* arms, and gets in line */
{
    assert(!queued[me]);
    word[me] = ARMED;
    delivered[me] = 0;
    queued[me] = 1;
    line ! me
}

/* The rest of stand_in(): suspended; a cancelled one leaves. */
inline wait_in(line, which)
{
    atomic {
        delivered[me] ->
        assert(word[me] == WOKEN);
        word[me] = IDLE;
        rc = status[me]
    };
    if
    :: rc == CANCELED ->
#if defined(NO_LEAVE)
       skip
#elif defined(LEAVE_UNLOCKED)
       if
       :: queued[me] -> d_step { assert(queued[me]); queued[me] = 0; line ?? eval(me) }
       :: else
       fi
#else
       atomic {
           lock(which);
           if
           :: queued[me] -> queued[me] = 0; line ?? eval(me)
           :: else
           fi;
           unlock(which)
       }
#endif
    :: else
    fi;
    assert(!queued[me]) /* the stand is on a stack that is about to be left */
}

inline forget() /* what no later step looks at need not tell states apart */
{
    peer = NO_ONE;
    won = 0;
    hand[me] = 0;
    status[me] = 0;
    delivered[me] = 0
}

inline send(item)
{
    hand[me] = item;
    atomic { lock(in_lock); put() };
    atomic { unlock(in_lock) };
    put_after();
    if
    :: rc == AGAIN -> /* send_slow */
       atomic { lock(in_lock) };
       atomic {
           lock(out_lock);
#ifndef NO_SECOND_LOOK
           put();
#endif
           if
           :: rc == AGAIN -> stand(senders)
           :: else
           fi
       };
       atomic { unlock(out_lock) };
       atomic { unlock(in_lock) };
       if
       :: rc == AGAIN -> wait_in(senders, out_lock)
       :: else -> put_after()
       fi
    :: else
    fi;
    d_step {
        if
        :: rc == OK -> sent[item]++
        :: else
        fi;
        forget()
    }
}

inline recv()
{
    try_take();
    if
    :: rc == AGAIN -> /* recv_slow */
       atomic { lock(in_lock) };
#ifdef ENTER_ONE_LOCK
       atomic { stand(receivers) };
#else
       atomic {
           lock(out_lock);
#ifndef NO_SECOND_LOOK
           take();
#endif
           if
           :: rc == AGAIN -> stand(receivers)
           :: else
           fi
       };
       atomic { unlock(out_lock) };
#endif
       atomic { unlock(in_lock) };
       if
       :: rc == AGAIN -> wait_in(receivers, in_lock)
       :: else -> take_after()
       fi
    :: else
    fi;
    d_step {
        item = 0;
        if
        :: rc == OK -> item = hand[me]; got[item]++
        :: else -> assert(hand[me] == 0) /* nothing was written */
        fi;
        forget()
    }
}

proctype sender(byte me; byte item; byte last)
{
    byte rc, peer = NO_ONE;
    bit won;

    do
    :: item <= last -> send(item); item++
    :: else -> break
    od;
    through++;
    left_over++
}

proctype receiver(byte me; bit all)
{
    byte rc, peer = NO_ONE, item, before;
    bit won;

    do
    :: recv();
       if
       :: rc != OK -> break
       :: else ->
          d_step {
              assert(item == 3 || item > before); /* A's second is not before its first */
              before = (item == 3 -> before : item)
          };
#ifdef FREES
          /* weft_chan_free */
#ifndef FREE_UNLOCKED
          atomic { lock(in_lock) };
          atomic { lock(out_lock); unlock(out_lock); unlock(in_lock) };
#endif
          freed = 1;
          break;
#endif
          if
          :: !all -> break
          :: else
          fi
       fi
    od;
    assert(!all || rc != PIPE || head == tail); /* closed, and nothing is left behind */
    left_over++
}

proctype canceller(byte whom)
{
    bit won;

    if
    :: word[whom] == ARMED ->
       d_step { claim(whom, won) };
       if
       :: won -> deliver(whom, CANCELED)
       :: else
       fi
    :: skip
    fi
}

/* weft_chan_close; whom it claims it tells without the locks. */
proctype closer()
{
    byte peer = NO_ONE, me = NO_ONE;
    bit won;
    bit claimed[4];

#ifndef CLOSE_EARLY
    through == SENDERS;
#endif
    atomic { lock(in_lock) };
#ifndef CLOSE_ONE_LOCK
    atomic { lock(out_lock) };
#endif
    closed = 1;
    do
#ifndef CLOSE_FORGETS
    :: nempty(receivers) ->
       d_step { receivers ? peer; queued[peer] = 0; claim(peer, won); claimed[peer] = won; won = 0 }
#endif
    :: nempty(senders) ->
       d_step { senders ? peer; queued[peer] = 0; claim(peer, won); claimed[peer] = won; won = 0 }
#ifndef CLOSE_FORGETS
    :: empty(receivers) && empty(senders) -> break
#else
    :: empty(senders) -> break
#endif
    od;
#ifndef CLOSE_ONE_LOCK
    atomic { unlock(out_lock) };
#endif
    atomic { unlock(in_lock) };
    peer = 0;
    do
    :: peer < 4 && claimed[peer] -> deliver(peer, PIPE); peer++
    :: peer < 4 && !claimed[peer] -> peer++
    :: peer == 4 -> break
    od
}

init
{
    byte item;
    atomic {
#ifndef FREES
        run sender(SENDER_A, 1, A_ITEMS);
        run receiver(RECEIVER_A, 0);
        run canceller(SENDER_A);
        run canceller(RECEIVER_A);
        run closer();
#endif
#ifndef ORDER
        run sender(SENDER_B, 3, 3);
#endif
        run receiver(RECEIVER_B, 1)
    };
#ifdef FREES
    left_over == 2;
#else
    left_over == SENDERS + 2;
    assert(empty(receivers) && empty(senders));
#endif
    for (item : 1 .. 3) {
        assert(got[item] == sent[item])
    }
}

#!/usr/bin/env bash
# run.sh - searches each model exhaustively, and each of its broken variants until the first error.
#
# A model that is correct must have none, and a variant must have one: a model that cannot fail
# says nothing. The last line is "N passed, N failed". See README.md.
set -u

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
    echo "models: not checked, this needs spin and gcc"
    exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What spin makes of a model with some macros defined: "N" states without an error, "error", or why
# there was no answer. Compiling takes longer than finding an error does. In a folder of its own.
search() { # OPTIMISATION MODEL FLAG...
    local optimise=$1 model=$2 flag defines=() reason
    local found='^pan:1: (assertion violated|invalid end state)'
    shift 2
    for flag in "$@"; do defines+=("-D$flag"); done
    rm -f ./*
    cp "$here/$model.pml" model.pml
    if ! spin -a ${defines[@]+"${defines[@]}"} model.pml >spin.log 2>&1 || [ ! -f pan.c ]; then
        echo "spin: $(head -n 1 spin.log)"
    elif ! gcc -w "$optimise" -DSAFETY -DMEMLIM=2000 -o pan pan.c >gcc.log 2>&1; then
        echo "gcc: $(head -n 1 gcc.log)"
    else
        timeout 60 ./pan -m100000 >pan.log 2>&1
        reason=$(grep -E -m 1 'max search depth|not completed|out of memory|MEMLIM' pan.log)
        if grep -Eq "$found" pan.log; then
            echo error
        elif [ -n "$reason" ]; then
            echo "not searched to the end: $reason"
        elif grep -q 'errors: 0$' pan.log; then
            awk '/states, stored/ { print $1; exit }' pan.log
        else
            echo "no answer: $(head -n 1 pan.log)"
        fi
    fi
}

correct() { # MODEL FLAG...
    local name="$1: correct" answer
    [ $# -eq 1 ] || name+=" with ${*:2}"
    answer=$(search -O2 "$@")
    case $answer in
    *[!0-9]* | '') echo "FAILED: model $name: ${answer:-no answer}" ;;
    *)
        answer=$(sed -E ':a; s/([0-9])([0-9]{3})($|,)/\1,\2\3/; ta' <<<"$answer")
        echo "model $name: $answer states, no error"
        ;;
    esac
}

broken() { # MODEL VARIANT...: each by itself; VARIANT+FLAG is two macros
    local model=$1 variant flags answer
    shift
    for variant in "$@"; do
        IFS=+ read -ra flags <<<"$variant"
        answer=$(search -O0 "$model" "${flags[@]}")
        if [ "$answer" = error ]; then
            echo "model $model: $variant: rejected"
        else
            echo "FAILED: model $model: $variant: not rejected ($answer)"
        fi
    done
}

check_inbox() {
    correct inbox
    correct inbox FUTEX
    broken inbox NO_RECHECK CHECK_FIRST PLAIN_SLEEPING PUSH_UNORDERED BELL_FIRST PLAIN_CLEAR \
        LATE_CLEAR PLAIN_PUSH PLAIN_TAKE LEAVES_PENDING NO_RECHECK+FUTEX PLAIN_SLEEPING+FUTEX \
        PUSH_UNORDERED+FUTEX FUTEX_BLIND+FUTEX
}

check_park() {
    correct park
    broken park CLAIM_IN_TWO NO_ID DROPS_PERMIT CLAIM_UNLOCKED NO_LEAVE LEAVE_UNLOCKED \
        CANCEL_NO_CLAIM CANCEL_FORGOTTEN ARM_LATE RESULT_LATE DELIVERED_LATE WAKE_FIRST
}

check_request() {
    correct request
    broken request ADOPTS_LATE PENDING_PLAIN CLEARS_LATE MESSAGE_FIRST NO_HANDLE NO_ANY_LOCK
}

check_close() {
    correct close LOOPS=2 SPAWNS=3
    correct close
    broken close NO_ROUND NO_REFUSAL NO_LIVE_CHECK NO_INBOX_CHECK NO_ANY_CHECK FIRST_EMPTY \
        NO_STOP_OF_OTHERS SLEEPS_UNREPORTED
}

check_post() {
    correct post
    broken post MARK_PLAIN LOOK_FIRST REFUSES_PLAIN NO_QUIESCE DRAIN_FIRST MARK_LATE UNMARK_EARLY
}

check_waitq() {
    correct waitq
    broken waitq NO_MARK MARK_PLAIN MARK_UNLOCKED UNLOCK_PLAIN DROPS_TURN CLAIM_UNLOCKED WORD_LATE \
        WORD_BARE DELIVER_FIRST NO_LEAVE CANCEL_PLAIN CLOSE_UNLOCKED
}

check_chan() {
    correct chan
    correct chan CAP=0
    correct chan ORDER
    correct chan ORDER CLOSE_EARLY
    correct chan ORDER CLOSE_EARLY CAP=0
    correct chan FREES
    correct chan FREES CAP=0
    broken chan ENTER_ONE_LOCK NO_SECOND_LOOK NO_ADMIT ADMIT_LATE DROPS_ITEM GIVES_UNCLAIMED \
        TELLS_FIRST NO_REFRESH CLOSE_ONE_LOCK CLOSE_FORGETS NO_LEAVE LEAVE_UNLOCKED \
        FREE_UNLOCKED+FREES
}

# As many at a time as there are CPUs; what they say comes in the order below.
models=(chan inbox park request close post waitq)
for model in "${models[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    mkdir "$work/$model"
    (cd "$work/$model" && "check_$model") >"$work/$model.said" 2>&1 &
done
wait
for model in "${models[@]}"; do cat "$work/$model.said"; done | tee "$work/said"

passed=$(grep -c '^model ' "$work/said")
failed=$(grep -vc '^model ' "$work/said") # what else is said is an error, too
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

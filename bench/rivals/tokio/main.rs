// main.rs - Tokio's share of `make rivals`: the cases of bench/micro, as one writes them with it.
//
// rival-tokio [CASE...] prints "CASE NS" for each case, or for all: the median of several repeats,
// in nanoseconds per operation. Who runs it binds the process to one CPU for the cases of one
// loop; these run on a current_thread runtime. Where two threads take part, each has such a runtime
// of its own, but for the cases that leave the placing to a multi_thread runtime with two workers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, Mutex};
use tokio::task::{self, JoinHandle};
use tokio::time::{sleep_until, Sleep};

const REPEATS: usize = 5;
const TASKS: usize = 10_000; // alive at once in spawn-join and gather
const TIMERS: usize = 100_000; // live at once
const IN_FLIGHT: usize = 1000; // blocking calls
const ROOM: usize = 128; // of a channel

fn one_loop() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(2)
        .build()
        .unwrap()
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Nanoseconds per operation of n operations begun at a point in time.
fn since(begun: Instant, n: usize) -> f64 {
    begun.elapsed().as_nanos() as f64 / n as f64
}

/// Runs a future as a task of the runtime, not as the one that block_on favours.
fn run<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.block_on(async move { tokio::spawn(future).await.unwrap() })
}

/// n tasks do nothing but let the others run.
async fn yields(n: usize) -> f64 {
    const YIELDS: usize = 400_000;
    let mut handles = Vec::with_capacity(n);
    for _ in 0..n {
        handles.push(tokio::spawn(async move {
            for _ in 0..YIELDS / n {
                task::yield_now().await;
            }
        }));
    }
    let begun = Instant::now(); // none has run yet: this task goes first
    for handle in handles {
        handle.await.unwrap();
    }
    since(begun, YIELDS / n * n)
}

/// Tasks that return at once; all exist before the first runs.
async fn spawn_join() -> f64 {
    const BATCHES: usize = 10;
    let mut handles: Vec<JoinHandle<()>> = Vec::with_capacity(TASKS);
    let begun = Instant::now();
    for _ in 0..BATCHES {
        for _ in 0..TASKS {
            handles.push(tokio::spawn(async {}));
        }
        for handle in handles.drain(..) {
            handle.await.unwrap();
        }
    }
    since(begun, BATCHES * TASKS)
}

/// The same, each with a result, which stand in order in the end.
async fn gather() -> f64 {
    const BATCHES: usize = 10;
    let begun = Instant::now();
    for _ in 0..BATCHES {
        let handles: Vec<JoinHandle<usize>> =
            (0..TASKS).map(|i| tokio::spawn(async move { i })).collect();
        let mut results = Vec::with_capacity(TASKS);
        for handle in handles {
            results.push(handle.await.unwrap());
        }
        assert!(results.into_iter().eq(0..TASKS), "results");
    }
    since(begun, BATCHES * TASKS)
}

/// Two tasks answer each other; each hand-over makes a oneshot, sets it and wakes the one that
/// waits.
async fn future() -> f64 {
    const BATCHES: usize = 50;
    const ROUNDS: usize = 1000;
    let begun = Instant::now();
    for _ in 0..BATCHES {
        let mut mine = Vec::with_capacity(ROUNDS);
        let mut theirs = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let (call, called) = oneshot::channel::<usize>();
            let (reply, replied) = oneshot::channel::<usize>();
            mine.push((call, replied));
            theirs.push((called, reply));
        }
        let other = tokio::spawn(async move {
            for (called, reply) in theirs {
                reply.send(called.await.unwrap()).unwrap();
            }
        });
        for (i, (call, replied)) in mine.into_iter().enumerate() {
            call.send(i).unwrap();
            assert_eq!(replied.await.unwrap(), i);
        }
        other.await.unwrap();
    }
    since(begun, BATCHES * ROUNDS * 2)
}

const MESSAGES: usize = 500_000;

async fn produce(tx: mpsc::Sender<usize>) {
    for i in 0..MESSAGES {
        tx.send(i).await.unwrap();
    }
}

async fn consume(mut rx: mpsc::Receiver<usize>) {
    let mut n = 0;
    while rx.recv().await.is_some() {
        n += 1;
    }
    assert_eq!(n, MESSAGES, "messages that arrived");
}

/// One task puts, one takes.
async fn chan(room: usize) -> f64 {
    let (tx, rx) = mpsc::channel(room);
    let begun = Instant::now();
    let producer = tokio::spawn(produce(tx));
    consume(rx).await;
    producer.await.unwrap();
    since(begun, MESSAGES)
}

/// The same on two runtimes, each on a thread.
fn chan_threads() -> f64 {
    let (tx, rx) = mpsc::channel(ROOM);
    let begun = Instant::now();
    let producer = thread::spawn(move || run(&one_loop(), produce(tx)));
    run(&one_loop(), consume(rx));
    producer.join().unwrap();
    since(begun, MESSAGES)
}

/// Nobody else wants it.
async fn mutex() -> f64 {
    const LOCKS: usize = 2_000_000;
    let mutex = Arc::new(Mutex::new(0usize));
    let begun = Instant::now();
    for _ in 0..LOCKS {
        *mutex.lock().await += 1;
    }
    let ns = since(begun, LOCKS);
    assert_eq!(*mutex.lock().await, LOCKS);
    ns
}

/// Polls all of them once.
struct Register<'a>(&'a mut [Pin<Box<Sleep>>]);

impl Future for Register<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for sleep in self.0.iter_mut() {
            assert!(sleep.as_mut().poll(context).is_pending(), "a timer fired");
        }
        Poll::Ready(())
    }
}

/// All are added and then all are dropped, an hour and more before they would fire. A Sleep is
/// registered when it is polled first.
async fn timer() -> f64 {
    let mut random = 0x9e3779b97f4a7c15u64;
    let now = tokio::time::Instant::now();
    let deadlines: Vec<tokio::time::Instant> = (0..TIMERS)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            now + Duration::from_secs(3600) + Duration::from_nanos(random % 3_600_000_000_000)
        })
        .collect();
    let begun = Instant::now();
    let mut all: Vec<Pin<Box<Sleep>>> = deadlines
        .iter()
        .map(|deadline| Box::pin(sleep_until(*deadline)))
        .collect();
    // Unconstrained, or polling that many in one go would be cut short.
    task::unconstrained(Register(&mut all)).await;
    drop(all);
    since(begun, TIMERS)
}

/// Empty calls on two threads for blocking calls.
async fn blocking() -> f64 {
    const CALLS: usize = 100_000;
    let mut handles = Vec::with_capacity(IN_FLIGHT);
    let begun = Instant::now();
    for _ in 0..IN_FLIGHT {
        handles.push(tokio::spawn(async {
            for _ in 0..CALLS / IN_FLIGHT {
                task::spawn_blocking(|| {}).await.unwrap();
            }
        }));
    }
    for handle in handles {
        handle.await.unwrap();
    }
    since(begun, CALLS)
}

async fn answer(mut ping: mpsc::Receiver<usize>, pong: mpsc::Sender<usize>) {
    while let Some(i) = ping.recv().await {
        pong.send(i).await.unwrap();
    }
}

async fn call(ping: mpsc::Sender<usize>, mut pong: mpsc::Receiver<usize>, trips: usize) -> f64 {
    ping.send(0).await.unwrap();
    pong.recv().await.unwrap(); // the other one is there
    let begun = Instant::now();
    for i in 0..trips {
        ping.send(i).await.unwrap();
        assert_eq!(pong.recv().await.unwrap(), i);
    }
    since(begun, trips)
}

/// A round trip between two runtimes, each on a thread.
fn trip_threads() -> f64 {
    let (ping_tx, ping_rx) = mpsc::channel(1);
    let (pong_tx, pong_rx) = mpsc::channel(1);
    let other = thread::spawn(move || run(&one_loop(), answer(ping_rx, pong_tx)));
    let ns = run(&one_loop(), call(ping_tx, pong_rx, 2000));
    other.join().unwrap();
    ns
}

/// A round trip between two tasks that the runtime places.
async fn trip_free() -> f64 {
    let (ping_tx, ping_rx) = mpsc::channel(1);
    let (pong_tx, pong_rx) = mpsc::channel(1);
    let other = tokio::spawn(answer(ping_rx, pong_tx));
    let ns = call(ping_tx, pong_rx, 20_000).await;
    other.await.unwrap();
    ns
}

type Case = (&'static str, fn() -> f64);

fn main() {
    let cases: &[Case] = &[
        ("yield-2", || run(&one_loop(), yields(2))),
        ("yield-1000", || run(&one_loop(), yields(1000))),
        ("spawn-join", || run(&one_loop(), spawn_join())),
        ("gather", || run(&one_loop(), gather())),
        ("future", || run(&one_loop(), future())),
        ("queue", || run(&one_loop(), chan(256))),
        ("chan", || run(&one_loop(), chan(ROOM))),
        ("mutex", || run(&one_loop(), mutex())),
        ("timer", || run(&one_loop(), timer())),
        ("chan-threads", chan_threads),
        ("chan-free", || run(&two_workers(), chan(ROOM))),
        ("blocking", || run(&one_loop(), blocking())),
        ("trip-threads", trip_threads),
        ("trip-free", || run(&two_workers(), trip_free())),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, measure) in cases {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        measure(); // warms up
        let mut values: Vec<f64> = (0..REPEATS).map(|_| measure()).collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap());
        println!("{} {:.2}", name, values[REPEATS / 2]);
    }
}

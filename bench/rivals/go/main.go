// main.go - Go's share of `make rivals`: the cases of bench/micro, as one writes them in Go.
//
// main [CASE...] prints "CASE NS" for each case, or for all: the median of several repeats, in
// nanoseconds per operation. Who runs it binds the process to one CPU for the cases of one loop;
// these also run with GOMAXPROCS=1, the others with 2.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	repeats  = 5
	tasks    = 10000  // alive at once in spawn-join and gather
	timers   = 100000 // live at once
	inFlight = 1000   // blocking calls
)

// Where results go, so that none is computed in vain.
var sink int

// since gives the nanoseconds per operation of n operations begun at a point in time.
func since(begun time.Time, n int) float64 {
	return float64(time.Since(begun).Nanoseconds()) / float64(n)
}

// yield: n goroutines do nothing but let the others run. With one P none starts before Wait.
func yield(n int) float64 {
	const yields = 400000
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			defer wg.Done()
			for j := 0; j < yields/n; j++ {
				runtime.Gosched()
			}
		}()
	}
	begun := time.Now()
	wg.Wait()
	return since(begun, yields/n*n)
}

// spawnJoin: goroutines that return at once; all exist before the first runs.
func spawnJoin() float64 {
	const batches = 10
	begun := time.Now()
	for b := 0; b < batches; b++ {
		var wg sync.WaitGroup
		wg.Add(tasks)
		for i := 0; i < tasks; i++ {
			go wg.Done()
		}
		wg.Wait()
	}
	return since(begun, batches*tasks)
}

// gather: the same, each with a result, which stand in order in the end.
func gather() float64 {
	const batches = 10
	begun := time.Now()
	for b := 0; b < batches; b++ {
		results := make([]int, tasks)
		var wg sync.WaitGroup
		wg.Add(tasks)
		for i := range results {
			i := i
			go func() {
				defer wg.Done()
				results[i] = i
			}()
		}
		wg.Wait()
		sink += results[tasks-1]
	}
	return since(begun, batches*tasks)
}

// future: a result handed over once is a channel with room for one. Two goroutines answer each
// other; each hand-over makes a channel, sets it and wakes the one that waits.
func future() float64 {
	const batches, rounds = 50, 1000
	type round struct{ call, reply chan int }
	begun := time.Now()
	for b := 0; b < batches; b++ {
		all := make([]round, rounds)
		for i := range all {
			all[i] = round{make(chan int, 1), make(chan int, 1)}
		}
		go func() {
			for _, r := range all {
				r.reply <- <-r.call
			}
		}()
		for i, r := range all {
			r.call <- i
			sink += <-r.reply
		}
	}
	return since(begun, batches*rounds*2)
}

// queue: one goroutine puts, one takes. Locked, each has a thread of its own, so two threads take
// part; free, the scheduler places them, and may put both on one P.
func queue(locked bool, room int) float64 {
	const messages = 500000
	if locked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	ch := make(chan int, room)
	begun := time.Now()
	go func() {
		if locked {
			runtime.LockOSThread()
		}
		for i := 0; i < messages; i++ {
			ch <- i
		}
		close(ch)
	}()
	n := 0
	for range ch {
		n++
	}
	if n != messages {
		panic("messages that arrived")
	}
	return since(begun, messages)
}

// mutex: nobody else wants it.
func mutex() float64 {
	const locks = 5000000
	var mu sync.Mutex
	begun := time.Now()
	for i := 0; i < locks; i++ {
		mu.Lock()
		sink++
		mu.Unlock()
	}
	return since(begun, locks)
}

// timer: all are added and then all are stopped, an hour and more before they would fire. Go
// removes stopped timers later, so one turn of its scheduler belongs to it.
func timer() float64 {
	random := uint64(0x9e3779b97f4a7c15)
	all := make([]*time.Timer, timers)
	delays := make([]time.Duration, timers)
	for i := range delays {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		delays[i] = time.Hour + time.Duration(random%uint64(time.Hour))
	}
	fire := func() { panic("a timer fired") }
	begun := time.Now()
	for i, d := range delays {
		all[i] = time.AfterFunc(d, fire)
	}
	for _, t := range all {
		if !t.Stop() {
			panic("stop")
		}
	}
	runtime.Gosched()
	return since(begun, timers)
}

// blocking: Go needs no executor, since a goroutine in a system call leaves its P to others. What
// corresponds to one is a bounded number of workers; a call is sent to them, its result back.
func blocking() float64 {
	const calls = 200000
	type call struct {
		fn   func() int
		done chan int
	}
	jobs := make(chan *call, inFlight)
	for i := 0; i < 2; i++ {
		go func() {
			for c := range jobs {
				c.done <- c.fn()
			}
		}()
	}
	defer close(jobs)
	empty := func() int { return 0 }
	var wg sync.WaitGroup
	wg.Add(inFlight)
	begun := time.Now()
	for i := 0; i < inFlight; i++ {
		go func() {
			defer wg.Done()
			c := &call{empty, make(chan int, 1)}
			for j := 0; j < calls/inFlight; j++ {
				jobs <- c
				<-c.done
			}
		}()
	}
	wg.Wait()
	return since(begun, calls)
}

// trip: there and back between two goroutines, locked or free as above.
func trip(locked bool, trips int) float64 {
	if locked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	ping, pong := make(chan int), make(chan int)
	go func() {
		if locked {
			runtime.LockOSThread()
		}
		for i := range ping {
			pong <- i
		}
	}()
	ping <- 0
	<-pong // the other one is there
	begun := time.Now()
	for i := 0; i < trips; i++ {
		ping <- i
		sink += <-pong
	}
	ns := since(begun, trips)
	close(ping)
	return ns
}

func main() {
	cases := []struct {
		name  string
		procs int
		run   func() float64
	}{
		{"yield-2", 1, func() float64 { return yield(2) }},
		{"yield-1000", 1, func() float64 { return yield(1000) }},
		{"spawn-join", 1, spawnJoin},
		{"gather", 1, gather},
		{"future", 1, future},
		{"queue", 1, func() float64 { return queue(false, 256) }},
		{"chan", 1, func() float64 { return queue(false, 128) }},
		{"mutex", 1, mutex},
		{"timer", 1, timer},
		{"chan-threads", 2, func() float64 { return queue(true, 128) }},
		{"chan-free", 2, func() float64 { return queue(false, 128) }},
		{"blocking", 2, blocking},
		{"trip-threads", 2, func() float64 { return trip(true, 2000) }},
		{"trip-free", 2, func() float64 { return trip(false, 200000) }},
	}
	wanted := map[string]bool{}
	for _, name := range os.Args[1:] {
		wanted[name] = true
	}
	for _, c := range cases {
		if len(wanted) > 0 && !wanted[c.name] {
			continue
		}
		runtime.GOMAXPROCS(c.procs)
		c.run() // warms up
		values := make([]float64, repeats)
		for i := range values {
			values[i] = c.run()
		}
		sort.Float64s(values)
		fmt.Printf("%s %.2f\n", c.name, values[repeats/2])
	}
}

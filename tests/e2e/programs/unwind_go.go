// unwind_go SECONDS: main.main < main.outer < main.middle < main.burn, and the same in a goroutine
// below main.worker.
package main

import (
	"os"
	"strconv"
	"time"
)

var sink int

//go:noinline
func burn(count int) int {
	sum := 0
	for i := 0; i < count; i++ {
		sum ^= i
	}
	return sum
}

//go:noinline
func middle(x int) int { return burn(5000000) + x }

//go:noinline
func outer(x int) int { return middle(x) + 1 }

func until(end time.Time) {
	for time.Now().Before(end) {
		sink += outer(1)
	}
}

//go:noinline
func worker(end time.Time, done chan bool) {
	until(end)
	done <- true
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		os.Exit(2)
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	done := make(chan bool)
	go worker(end, done)
	until(end)
	<-done
}

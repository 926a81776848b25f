// unwind_go_gc SECONDS: three goroutines below main.worker, which hash (in assembly that uses rbp for
// data), sort, make garbage (collected on the stacks of the scheduler) and wait for each other.
package main

import (
	"crypto/sha256"
	"os"
	"sort"
	"strconv"
	"time"
)

const workers = 3

//go:noinline
func hash(data []byte) byte { return sha256.Sum256(data)[0] }

//go:noinline
func order(numbers []int) int {
	for i := range numbers {
		numbers[i] = i * 7919 % len(numbers)
	}
	sort.Ints(numbers)
	return numbers[0]
}

//go:noinline
func litter(count int) int {
	items := map[int][]byte{}
	for i := 0; i < count; i++ {
		items[i] = make([]byte, 200)
	}
	return len(items)
}

// The stack grows with every level, and is copied.
//
//go:noinline
func deep(levels int) int {
	var local [128]byte
	if levels == 0 {
		return 0
	}
	local[levels%128] = 1
	return deep(levels-1) + int(local[0])
}

func worker(end time.Time, rounds chan int) {
	data, numbers := make([]byte, 4<<20), make([]int, 50000)
	for time.Now().Before(end) {
		rounds <- int(hash(data)) + order(numbers) + litter(20000) + deep(100)
	}
	rounds <- -1
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		os.Exit(2)
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	rounds := make(chan int)
	for i := 0; i < workers; i++ {
		go worker(end, rounds)
	}
	for left := workers; left > 0; {
		if <-rounds < 0 {
			left--
		}
	}
}

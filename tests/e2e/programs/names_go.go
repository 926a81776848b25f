// A Go program whose functions, source lines and inlined calls are known: all of its time is in
// inner, which is inlined into outer. Prints its pid at once and runs until its standard input
// ends. The tests find lines by the comments at their ends.
package main

import (
	"strconv"
	"syscall"
)

var sink uint64

func inner(x uint64) uint64 {
	return x*31 + x>>7 // inner body
}

//go:noinline
func outer(x uint64) uint64 {
	for i := 0; i < 200000; i++ {
		x = inner(x) // outer calls
	}
	return x
}

func main() {
	syscall.Write(1, []byte(strconv.Itoa(syscall.Getpid())+"\n"))
	go func() {
		syscall.Read(0, make([]byte, 1))
		syscall.Exit(0)
	}()
	for {
		sink = outer(sink)
	}
}

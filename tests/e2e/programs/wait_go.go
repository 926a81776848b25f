// wait_go: one thread for each way to wait, named after it, blocked below main.outer < main.middle
// < main.waitInNAME in a goroutine of its own; and goroutines that wait without a thread. Prints
// its pid when all wait, and ends when its standard input does.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const prSetName = 15

var sink int
var word uint32

//go:noinline
func waitInFutex() {
	syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), 0, 0, 0, 0, 0)
}

//go:noinline
func waitInNanosleep() {
	ts := syscall.Timespec{Sec: 1000000}
	syscall.Nanosleep(&ts, nil)
}

//go:noinline
func waitInRead() {
	var fds [2]int
	syscall.Pipe(fds[:])
	syscall.Read(fds[0], make([]byte, 1))
}

//go:noinline
func waitInAccept() {
	fd, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	syscall.Listen(fd, 1)
	syscall.Accept(fd)
}

//go:noinline
func waitInEpoll() {
	fd, _ := syscall.EpollCreate1(0)
	syscall.EpollWait(fd, make([]syscall.EpollEvent, 1), -1)
}

//go:noinline
func waitInPoll() {
	syscall.Syscall(syscall.SYS_POLL, 0, 0, ^uintptr(0))
}

//go:noinline
func waitInIoUring() {
	var params [15]uint64
	fd, _, _ := syscall.Syscall(425, 8, uintptr(unsafe.Pointer(&params)), 0)
	syscall.Syscall6(426, fd, 0, 1, 1, 0, 0)
}

//go:noinline
func middle(wait func()) {
	wait()
	sink++
}

//go:noinline
func outer(name string, wait func()) {
	runtime.LockOSThread()
	bytes := append([]byte(name), 0)
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(&bytes[0])), 0)
	middle(wait)
	sink++
}

func main() {
	kinds := map[string]func(){
		"futex":     waitInFutex,
		"nanosleep": waitInNanosleep,
		"read":      waitInRead,
		"accept":    waitInAccept,
		"epoll":     waitInEpoll,
		"poll":      waitInPoll,
		"io_uring":  waitInIoUring,
	}
	for name, wait := range kinds {
		go outer(name, wait)
	}
	var mutex sync.Mutex
	mutex.Lock()
	go mutex.Lock()
	time.Sleep(300 * time.Millisecond)
	fmt.Println(os.Getpid())
	syscall.Read(0, make([]byte, 1))
}

"""wait_python: one thread for each way to wait, named after it. Prints its pid when all wait, and
ends when its standard input does."""

import ctypes
import os
import select
import socket
import sys
import threading
import time

LIBC = ctypes.CDLL(None)
PR_SET_NAME = 15


def wait_in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_in_condition():
    condition = threading.Condition()
    with condition:
        condition.wait()


def wait_in_sleep():
    time.sleep(1000000)


def wait_in_read():
    os.read(os.pipe()[0], 1)


def wait_in_accept():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.accept()


def wait_in_poll():
    poll = select.poll()
    poll.register(os.pipe()[0], select.POLLIN)
    poll.poll()


def wait_in_select():
    select.select([os.pipe()[0]], [], [])


def wait_in_epoll():
    epoll = select.epoll()
    epoll.register(os.pipe()[0], select.EPOLLIN)
    epoll.poll()


def wait_in_uring():
    params = (ctypes.c_uint64 * 15)()
    fd = LIBC.syscall(425, 8, params)
    LIBC.syscall(426, fd, 0, 1, 1, None, ctypes.c_long(0))


def run(name, wait):
    LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    wait()


def main():
    kinds = {name.removeprefix("wait_in_"): function for name, function in globals().items()
             if name.startswith("wait_in_")}
    for name, wait in kinds.items():
        threading.Thread(target=run, args=(name, wait), daemon=True).start()
    time.sleep(0.3)
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)


main()

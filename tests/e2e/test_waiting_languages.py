"""Threads of Rust, Go, Python and Node programs that wait: the reason, and the whole stack from the
thread's start to the system call."""

import os
import re
import subprocess
import sys

import harness
import unwinding
import waiting

SECONDS = 4
# thread: reason
RUST = {"mutex": "lock", "condition": "lock", "channel": "lock", "sleep": "sleep",
        "accept": "network", "tcp": "network", "unix": "pipe", "poll": "poll", "epoll": "poll",
        "io_uring": "io_uring"}
GO = {"futex": ("lock", "Futex"), "nanosleep": ("sleep", "Nanosleep"), "read": ("pipe", "Read"),
      "accept": ("network", "Accept"), "epoll": ("poll", "Epoll"), "poll": ("poll", "Poll"),
      "io_uring": ("io_uring", "IoUring")}
# thread: reason, a function of the interpreter or of libc that led there
PYTHON = {"lock": ("lock", r"PyThread_acquire_lock_timed"),
          "condition": ("lock", r"PyThread_acquire_lock_timed"),
          "sleep": ("sleep", r"clock_nanosleep"), "read": ("pipe", r"read$"),
          "accept": ("network", r"accept4?$"), "poll": ("poll", r"poll$"),
          "select": ("poll", r"select$"), "epoll": ("poll", r"epoll_wait$"),
          "uring": ("io_uring", r"syscall$")}
NODE = {"poll": r"epoll_p?wait", "lock": r"pthread_cond_wait|Wait", "pipe": r"read$"}


class Languages(waiting.Case):
    def samples_of(self, *command):
        """What the threads of a program wait for, {thread: samples}."""
        server = self.serve()
        program = self.program(*command)
        self.settle(server, program)
        window = waiting.watch(program.pid, SECONDS)
        profile = self.fetch_pid(server, program, window)
        threads = {}
        for tid in window.tids:
            mine = profile.of(tid=tid)
            self.assert_waited(profile, window, tid, f"thread {tid}")
            for one in mine:
                threads.setdefault(one.labels["thread"], []).append(one)
        return threads

    def check_thread(self, samples, reason, chain, what):
        self.assertEqual(set(waiting.by_label(samples, "reason")), {reason}, what)
        self.assert_chain(samples, chain, what)

    def blocked(self, samples, reasons):
        """Of threads that have something to do now and then: the samples for these reasons, which
        is nearly all that they did not wait for a CPU."""
        mine = [one for one in samples if one.labels["reason"] in reasons]
        others = [one for one in samples
                  if one.labels["reason"] not in reasons | waiting.RUNNABLE]
        self.assertLessEqual(waiting.total_ns(others),
                             waiting.STRAY_PART * waiting.total_ns(mine), others[:5])
        return mine

    def has_function(self, sample, pattern):
        return any(re.search(pattern, frame) for frame in waiting.user_frames(sample))

    def test_rust(self):
        harness.need_tool("rustc")
        path = self.path("wait_rust")
        subprocess.run(["rustc", "-O", "-o", path,
                        os.path.join(unwinding.PROGRAMS, "wait_rust.rs")], check=True)
        threads = self.samples_of(path)
        for name, reason in RUST.items():
            with self.subTest(thread=name):
                self.check_thread(threads[name], reason,
                                  ("wait_rust::rust_outer", "wait_rust::rust_middle",
                                   "wait_rust::wait_in_" + name), name)

    def test_go(self):
        harness.need_tool("go")
        path = self.path("wait_go")
        subprocess.run(["go", "build", "-o", path,
                        os.path.join(unwinding.PROGRAMS, "wait_go.go")], check=True,
                       env={**os.environ, "GOCACHE": self.path("go-cache"),
                            "GO111MODULE": "off"})
        threads = self.samples_of(path)
        for name, (reason, function) in GO.items():
            with self.subTest(thread=name):
                self.check_thread(threads[name], reason,
                                  ("main.outer", "main.middle", "main.waitIn" + function), name)
        with self.subTest(thread="of the runtime"):
            self.assert_chain(self.blocked(threads["wait_go"], {"lock", "sleep", "poll", "pipe"}),
                              (), "the runtime's own threads")

    def test_python(self):
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        threads = self.samples_of(python, os.path.join(unwinding.PROGRAMS, "wait_python.py"))
        for name, (reason, function) in PYTHON.items():
            with self.subTest(thread=name):
                self.check_thread(threads[name], reason, (), name)
                for one in threads[name]:
                    self.assertTrue(self.has_function(one, function), one.frames)

    def test_node(self):
        harness.need_tool("node")
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        threads = self.samples_of("node", os.path.join(unwinding.PROGRAMS, "wait_node.js"), fifo)
        samples = [one for mine in threads.values() for one in mine]
        samples = self.blocked(samples, set(NODE))
        self.assert_chain(samples, (), "all threads of node")
        for reason, function in NODE.items():
            mine = [one for one in samples if one.labels["reason"] == reason]
            self.assertTrue(any(self.has_function(one, function) for one in mine), reason)


if __name__ == "__main__":
    harness.main()

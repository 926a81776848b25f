"""Runs the real hearth binary under test: start, ask, stop, and leave nothing behind.

Every test is a unittest module that ends with harness.main(). What a machine lacks is said
by need(...), which ends the test as skipped (exit 77).
"""

import contextlib
import glob
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ.get("HEARTH_BIN") or os.path.join(ROOT, "build/release/cli/hearth")
CPUS = len(os.sched_getaffinity(0))
# Seconds. Only what is broken takes as long: others may have the machine for a while.
PATIENCE = 300.0
SKIPPED = 77


def need(condition, what):
    """Skip the running test unless the condition holds."""
    if not condition:
        raise unittest.SkipTest(what)


def need_tool(name):
    need(shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin"), f"needs {name}")


def wait_until(condition, what, seconds=PATIENCE):
    """What condition() returns as soon as that is true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)


def run(*args, **options):
    """The hearth command to its end: CompletedProcess with text."""
    options.setdefault("timeout", PATIENCE)
    return subprocess.run([BIN, *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **options)


def now_us():
    return time.time_ns() // 1000


def cpu_seconds(pid):
    """User and system time of a process as /proc/PID/stat has it (proc(5))."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def held_up_us(pid):
    """How long the threads of a process waited for a CPU so far, and the machine for its host
    and its disks: what made a program late by no fault of its own."""
    waited_ns = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            waited_ns += int(file.read().split()[1])
    with open("/proc/stat", encoding="ascii") as file:
        stolen = int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    disk_us = 0
    with contextlib.suppress(OSError), open("/proc/pressure/io", encoding="ascii") as file:
        disk_us = int(file.readline().rpartition("total=")[2])
    return waited_ns / 1e3 + stolen * 1e6 + disk_us


def bpf_descriptors(pid):
    """What /proc/PID/fdinfo says of each BPF object that the process holds, as dictionaries:
    prog_id, map_id or link_id, and for maps memlock, in bytes."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="utf-8") as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:
            continue  # closed meanwhile
        if {"prog_id", "map_id", "link_id"} & set(fields):
            found.append({key: value.strip() for key, value in fields.items()})
    return found


class Server:
    """`hearth serve` on a free port. A context manager: killed at the end if still there."""

    def __init__(self, data, *args, listen="127.0.0.1:0", env=None,
                 seconds=PATIENCE):
        self.data = data
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [BIN, "serve", "--listen", listen, "--data", data, *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        try:
            self.url = wait_until(self._listening, "hearth serve listens", seconds)
            wait_until(self._ready, "/readyz answers 200", seconds)
        except BaseException:
            self.kill()
            raise

    def output(self):
        self.log.flush()
        with open(f"/proc/self/fd/{self.log.fileno()}", encoding="utf-8",
                  errors="replace") as log:
            return log.read()

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"hearth serve ended with {self.process.returncode}: "
                                 f"{self.output()}")
        found = re.search(r"listening on (http://\S+?)/?[.,]?\s", self.output())
        return found and found.group(1)

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"hearth serve ended: {self.output()}")
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path, method="GET", headers=None, **params):
        """(status, headers, body bytes) of a request; no exception for 4xx and 5xx."""
        url = self.url + path
        if params:
            url += "?" + urllib.parse.urlencode(params)
        request = urllib.request.Request(url, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as reply:
            with reply:
                return reply.code, reply.headers, reply.read()

    def api(self, route, **params):
        """The JSON of /api/v1/ROUTE; anything but 200 is a failure."""
        if "from_us" in params:
            params["from"] = f"{params.pop('from_us') / 1e6:.6f}"
        if "until_us" in params:
            params["until"] = f"{params.pop('until_us') / 1e6:.6f}"
        status, _, body = self.get("/api/v1/" + route, **params)
        if status != 200:
            raise AssertionError(f"/api/v1/{route} {params}: {status} {body[:500]!r}")
        return json.loads(body)

    def status(self):
        return self.api("status")

    def wait_stored(self, until_us, seconds=PATIENCE):
        """Until the store has samples taken after that time."""
        def stored():
            spin(0.03)  # somebody has to be sampled
            return self.status()["store"]["newest_us"] >= until_us
        wait_until(stored, "samples are stored", seconds)

    def stop(self, signo=signal.SIGTERM, seconds=PATIENCE):
        """Ask it to end; its exit status."""
        self.process.send_signal(signo)
        return self.process.wait(timeout=seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.log.close()


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def record_for(pid, seconds, *args, before=()):
    """`hearth record` of a process until that has had so many more seconds of CPU time since
    the sampler is in the kernel, whoever else wants the CPUs; then SIGINT. CompletedProcess."""
    command = [*before, BIN, "record", "-p", str(pid), "-d", "3600", *map(str, args)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: process.poll() is not None or
                       any("link_id" in one for one in bpf_descriptors(process.pid)),
                       "the sampler is in the kernel")
            end = cpu_seconds(pid) + seconds
            wait_until(lambda: process.poll() is not None or cpu_seconds(pid) >= end,
                       f"{pid} had {seconds} s of CPU time", 400)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def compiled(folder, name, comm=None):
    """The path of one of programs/*.c, compiled."""
    path = os.path.join(folder, comm or name)
    if not os.path.exists(path):
        subprocess.run(
            ["gcc", "-O1", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
             "-pthread", "-o", path, os.path.join(HERE, "programs", name + ".c")],
            check=True)
    return path


class Workload:
    """One of programs/*.c, compiled and running; ends when its standard input is closed."""

    def __init__(self, folder, name, *args, comm=None):
        path = compiled(folder, name, comm)
        self.process = subprocess.Popen([path, *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = int(self.process.stdout.readline())

    def line(self):
        return self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()


class Case(unittest.TestCase):
    """A test with a folder of its own and a machine that can be sampled."""

    longMessage = True

    def setUp(self):
        need(os.geteuid() == 0, "needs root, to sample the machine")
        need(os.path.exists(BIN), f"needs {BIN}; ./dev build makes it")
        need(os.path.exists("/sys/kernel/btf/vmlinux"), "needs a kernel with BTF")
        self.folder = tempfile.mkdtemp(prefix="hearth-e2e-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, "data")

    def serve(self, *args, **options):
        """A server that ends with the test."""
        server = Server(options.pop("data", self.data), *args, **options)
        self.addCleanup(server.__exit__)
        return server

    def workload(self, name, *args, **options):
        workload = Workload(self.folder, name, *args, **options)
        self.addCleanup(workload.__exit__)
        return workload

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def assert_close(self, value, wanted, within, what):
        self.assertLessEqual(abs(value - wanted), within,
                             f"{what}: {value:.3f}, expected {wanted:.3f} +- {within}")

    def assert_balanced(self, ledger, what):
        self.assertEqual(ledger["taken"],
                         ledger["stored"] + ledger["pending"] + sum(ledger["dropped"].values()),
                         f"{what} ledger: taken = stored + dropped + pending: {ledger}")


def read_folded(path):
    """[(frames from the root on, value)] of a folded file; the first frame is the comm."""
    stacks = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            stack, _, value = line.rstrip("\n").rpartition(" ")
            stacks.append((stack.split(";"), int(value)))
    return stacks


def read_gzip(path):
    with gzip.open(path) as file:
        return file.read()


@contextlib.contextmanager
def stopped(pid):
    """The process stands still in this block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def main():
    """Run the module's tests: exit 0, 1, or 77 when one was skipped and none failed."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    if not program.result.wasSuccessful():
        sys.exit(1)
    if program.result.skipped or not program.result.testsRun:
        sys.exit(SKIPPED)

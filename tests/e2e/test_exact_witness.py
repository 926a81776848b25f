"""The sums of exact tracing against those of strace and of perf sched, taken at the same time of
the same program. Its threads stand at a gate before either tool begins to look, and stand there
again when either ends, in read(2), which is not compared: a wait that began before or goes on is
in no tool's sums. So all have the same waits."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import exact
import harness
import waiting

ROUNDS, WAIT_MS = 8, 250
SPINNERS = 2
WITHIN = 0.01
MAX_HELD = 0.1  # of a thread's time by strace: 0.001 on a machine that has little else to do
LOST = {2, 13}  # PERF_RECORD_LOST, PERF_RECORD_LOST_SAMPLES of <linux/perf_event.h>
MAX_MISSING = 2  # threads that may lack waits, if Hearth says so: most do not
TRIES, TRY_SECONDS = 3, 150  # and no other try after so long
READ, POLL = {"0"}, {"7", "271"}  # read(2); poll(2) and ppoll(2): their numbers on x86-64
# Where a thread that strace traces stands still, at the beginning and the end of each system call.
STOP = re.compile(r"^(_*ptrace_|syscall_trace_|syscall_exit_|do_jobctl_trap|get_signal)")
TIMEHIST = re.compile(r"^\s*\d+\.\d+ \S*\s*\[\d+\]\s+.*\[(\d+)(?:/\d+)?\]\s+"
                      r"([\d.]+)\s+([\d.]+)\s+([\d.]+)\s*$")


class Unclear(Exception):
    """What this machine did meanwhile leaves nothing to compare."""


def say(*words):
    print(*words, file=sys.stderr)


def read_strace(path):
    """{system call: seconds} of `strace -c`."""
    seconds = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if len(words) >= 5 and re.fullmatch(r"[\d.]+", words[0]):
                seconds[words[-1]] = float(words[1])
    return seconds


def read_timehist(text):
    """{tid: (seconds off the CPU, seconds on it)} of `perf sched timehist`, which has a line each
    time that a thread leaves a CPU: how long it had been off it before, the part of that on a run
    queue, and how long it ran. The first line of a thread is of the time before it was known."""
    sums = {}
    for line in text.splitlines():
        found = TIMEHIST.match(line)
        if found:
            tid, off_ms, _, run_ms = map(float, found.groups())
            off, ran = sums.get(int(tid), (-off_ms / 1e3, -run_ms / 1e3))
            sums[int(tid)] = off + off_ms / 1e3, ran + run_ms / 1e3
    return sums


def call_of(thread):
    """The number of the system call that /proc/THREAD is in; "running" when it is not asleep."""
    with open(f"/proc/{thread}/syscall", encoding="utf-8") as file:
        return file.read().split()[0]


def before_all_others():
    """In a child: what strace takes to note a time counts as the system call's."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class Program:
    """exact_witness, alone or under a tool, in a process group that ends with this block."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True,
                                        start_new_session=True, **options)
        self.pid = int(self.process.stdout.readline() or 0)
        if not self.pid:
            raise Unclear(f"{command[0]} does not run here")
        self.wait_at_gate()

    def is_at_gate(self):
        return all(call_of(f"{self.pid}/task/{tid}") in READ
                   for tid in os.listdir(f"/proc/{self.pid}/task"))

    def wait_at_gate(self):
        harness.wait_until(self.is_at_gate, "all threads are at the gate", exact.SECONDS)

    def run(self):
        """Open the gate; [(system call, tid, seconds by its own clock)], one of each thread."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            words = line.split()
            if words == ["end"]:
                break
            rows.append((words[0], int(words[1]), int(words[2]) / 1e9))
        self.wait_at_gate()
        return rows

    def finish(self):
        self.process.stdin.close()
        self.process.wait(timeout=exact.SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class PerfSched:
    """`perf sched record` of the machine. With -B: where another tool has the kernel tell build IDs
    of what is mapped, the kernel marks perf's records, too, though they have none, and perf 6.1
    aborts when it reads them."""

    def __init__(self, folder):
        self.data = os.path.join(folder, "sched.data")
        self.process = subprocess.Popen(["perf", "sched", "record", "-B", "-o", self.data],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, cwd=folder,
                                        preexec_fn=exact.hurry)

    def is_recording(self):
        """It waits for events: all are enabled by then. False, too, when it has ended."""
        try:
            with open(f"/proc/{self.process.pid}/maps", encoding="utf-8") as file:
                is_mapped = "[perf_event]" in file.read()
            return is_mapped and call_of(self.process.pid) in POLL
        except OSError:
            return False

    def wait_until_recording(self):
        harness.wait_until(lambda: self.is_recording() or self.process.poll() is not None,
                           "perf sched records", exact.SECONDS)
        if self.process.poll() is not None:
            raise Unclear(f"perf sched does not record: {self.process.stderr.read()[-300:]}")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            _, text = self.process.communicate(timeout=exact.SECONDS)
        except subprocess.TimeoutExpired:
            raise Unclear("perf sched record does not end") from None
        # It ends by the signal that it was sent.
        if self.process.returncode not in (0, -signal.SIGINT, 128 + signal.SIGINT):
            raise Unclear(f"perf sched record failed: {text[-300:]}")

    def perf(self, *args):
        try:
            done = subprocess.run(["perf", *args, "-i", self.data], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, errors="replace", check=False,
                                  timeout=exact.SECONDS)
        except subprocess.TimeoutExpired:
            raise Unclear(f"perf {args[0]} does not end") from None
        if done.returncode:
            raise Unclear(f"perf {args[0]} failed: {done.stderr[-300:]}")
        return done.stdout

    def has_lost(self):
        """The file says that events were lost: perf.data-file-format.txt of tools/perf in Linux."""
        with open(self.data, "rb") as file:
            data = file.read()
        at, size = struct.unpack_from("<QQ", data, 40)  # struct perf_file_header, data
        end = at + size
        while at + 8 <= end:
            kind, _, size = struct.unpack_from("<IHH", data, at)
            if kind in LOST or not size:
                return True
            at += size
        return False

    def sums(self):
        if self.has_lost():
            raise Unclear("perf lost events")
        return read_timehist(self.perf("sched", "timehist"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Witness(exact.Case):
    def setUp(self):
        super().setUp()
        harness.need(os.geteuid() == 0, "needs root, to trace")
        harness.need_tool("gcc")
        self.program = [self.compile("exact_witness"), str(ROUNDS), str(WAIT_MS)]

    def judge(self, attempt):
        """A try that cannot be judged says nothing of Hearth; several say that this machine
        cannot do it at present."""
        whys = []
        end = time.monotonic() + TRY_SECONDS
        while len(whys) < TRIES and (not whys or time.monotonic() < end):
            folder = tempfile.mkdtemp(dir=self.folder)
            try:
                return attempt(folder)
            except Unclear as why:
                say("again:", why)
                whys.append(str(why))
            finally:
                shutil.rmtree(folder, True)
        return self.skipTest(f"{len(whys)} times nothing to compare: " + "; ".join(whys))

    def assert_same(self, report, rows):
        """[(thread, what, ours, theirs)], in seconds, are the same within a percent; one more
        number is what may be in theirs beside. A switch that
        the kernel did not tell is missing in the sums of the two threads that took turns; Hearth
        counts those."""
        missed = self.check_ledger(report)["dropped"]["missed"]
        say(f"missed: {missed}")
        others = set()
        for thread, what, ours, theirs, *slack in rows:
            say(f"{what}: {theirs:.6f} s, hearth {100 * (ours / theirs - 1):+.3f} %")
            if abs(ours - theirs) > WITHIN * theirs + sum(slack):
                others.add(thread)
        if MAX_MISSING < len(others) <= 2 * missed:
            raise Unclear(f"the kernel did not tell of {missed} switches")
        self.assertLessEqual(len(others), 2 * missed, f"threads that differ: {others}")

    # --- strace ---

    def waits_of(self, profile, call, tid):
        """(seconds in the system call, seconds that strace held it there) as Hearth has them."""
        waited = held = 0
        for sample in profile.of(tid):
            if not {"call_" + call, f"__x64_sys_{call}"} & set(
                    frame.split("_[")[0] for frame in sample.frames):
                continue
            if sample.labels.get("reason") == "stopped" or any(map(STOP.match, sample.frames)):
                held += sample.ns
            else:
                waited += sample.ns
        return waited / 1e9, held / 1e9

    def compare_strace(self, folder):
        out, counts = os.path.join(folder, "waits.pb.gz"), os.path.join(folder, "strace.txt")
        strace = ["strace", "-f", "-c", "-w", "-o", counts]
        with Program([*strace, *self.program, "0"], preexec_fn=before_all_others) as program:
            with self.tracing("-p", str(program.pid), "-o", out) as reports:
                rows = program.run()
            program.finish()
        with open(out, "rb") as file:
            profile = waiting.Pprof(file.read())
        seconds = read_strace(counts)
        self.assertEqual(len(rows), 6)
        judged = []
        for call, tid, own in rows:
            waited, held = self.waits_of(profile, call, tid)
            if held > MAX_HELD * own:
                raise Unclear(f"strace held {call} for {held:.3f} s of {own:.3f} s: busy")
            # What strace's clock has of the stops around the wait is not told: all, or nothing.
            judged.append((tid, f"strace -c -w, {call}, held {held:.6f} s", waited, seconds[call],
                           held))
            # The program's clock was read outside of the stops.
            judged.append((tid, f"its own clock, {call}", waited + held, own))
        self.assert_same(reports[0], judged)

    def test_strace(self):
        harness.need_tool("strace")
        self.judge(self.compare_strace)

    # --- perf sched ---

    def compare_perf(self, folder):
        with Program([*self.program, str(SPINNERS)]) as program, PerfSched(folder) as perf:
            with self.tracing("-p", str(program.pid)) as reports:
                perf.wait_until_recording()
                rows = program.run()
                perf.stop()
            sums = perf.sums()
        threads = {row["tid"]: row for row in reports[0]["threads"]}
        self.assertEqual(len(rows), 6 + SPINNERS)
        judged, compared = [], 0
        for name, tid, own in rows:
            thread, (off, ran) = threads[tid], sums[tid]
            is_spinner = name == "spin"
            off_cpu, on_cpu = thread["off_us"] / 1e6, thread["running_us"] / 1e6
            judged.append((tid, f"its own clock, {name}", off_cpu + is_spinner * on_cpu, own))
            # perf lost some switch of it: less may be in its file than it was told to take.
            if abs(off + is_spinner * ran - own) > WITHIN * own:
                say(f"perf sched, {name}: {off:.6f} s of {own:.6f} s by its own clock: left out")
                continue
            compared += 1
            judged.append((tid, f"perf sched, {name}, off the CPU", off_cpu, off))
            if is_spinner:
                judged.append((tid, f"perf sched, {name}, on a CPU", on_cpu, ran))
        if compared < len(rows) / 2:
            raise Unclear(f"perf sched has {compared} of {len(rows)} threads right")
        self.assert_same(reports[0], judged)

    def test_perf_sched(self):
        harness.need_tool("perf")
        self.judge(self.compare_perf)


if __name__ == "__main__":
    harness.main()

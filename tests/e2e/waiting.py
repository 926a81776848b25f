"""What the tests of waiting threads share: programs that know how long they waited, what the
kernel says of their threads (schedstat), and profiles with a label on every sample, read from
pprof's format (google/pprof proto/profile.proto)."""

import collections
import gzip
import math
import os
import subprocess
import sys
import time

import harness
import unwinding

RATE_HZ = 99  # of the clock behind the CPU part of wall
SECONDS = float(os.environ.get("HEARTH_WAITING_SECONDS", "12"))
KIND_SECONDS = 6
WITHIN_POINTS = 3.0
WITHIN_PERCENT = 3.0
SIGMAS = 5.0
RUNNABLE = {"run_queue", "preempted", "throttled"}
# Why stacks of a program that was just met are cut.
LACKING = ("[cut: no unwind rows]", "[cut: address in no mapping]")

Sample = collections.namedtuple("Sample", "frames ns labels")  # frames: root first


def say(*words):
    print(*words, file=sys.stderr)


# --- pprof ---

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """[(number, int or bytes)] of a protobuf message:
    https://protobuf.dev/programming-guides/encoding"""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise AssertionError(f"wire type {key & 7} in a profile")
        yield key >> 3, value


def numbers(value):
    """A repeated integer, packed or one of many."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        one, at = varint(value, at)
        found.append(one)
    return found


class Pprof:
    """A profile: its samples, and the range of time it is of."""

    def __init__(self, data):
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        message = collections.defaultdict(list)
        for number, value in fields(data):
            message[number].append(value)
        self.strings = [value.decode(errors="replace") for value in message[6]]
        self.types = [self._type(value) for value in message[1]]
        self.start_us = sum(message[9]) // 1000
        self.duration_us = sum(message[10]) // 1000
        self.functions = {}
        for value in message[5]:
            one = dict(fields(value))
            self.functions[one[1]] = self.strings[one.get(2, 0)]
        self.locations = dict(map(self._location, message[4]))
        units = [unit for _, unit in self.types]
        self.column = len(units) - 1 - units[::-1].index("nanoseconds")
        self.samples = [self._sample(value) for value in message[2]]
        self.by_tid = collections.defaultdict(list)
        for sample in self.samples:
            self.by_tid[int(sample.labels.get("tid", 0))].append(sample)

    def _type(self, data):
        one = dict(fields(data))
        return self.strings[one.get(1, 0)], self.strings[one.get(2, 0)]

    def _location(self, data):
        number, names = 0, []
        for key, value in fields(data):
            if key == 1:
                number = value
            elif key == 4:
                names.append(self.functions[dict(fields(value))[1]])
        return number, names  # innermost first

    def _sample(self, data):
        stack, values, labels = [], [], {}
        for key, value in fields(data):
            if key == 1:
                stack += numbers(value)
            elif key == 2:
                values += numbers(value)
            elif key == 3:
                label = dict(fields(value))
                text = self.strings[label[2]] if 2 in label else label.get(3, 0)
                labels[self.strings[label[1]]] = text
        frames = [name for number in stack for name in self.locations[number]]
        return Sample(tuple(reversed(frames)), values[self.column], labels)

    def of(self, tid):
        """The samples of a thread."""
        return self.by_tid[int(tid)]

    def pids(self):
        return {int(sample.labels["pid"]) for sample in self.samples}


def total_ns(samples):
    return sum(sample.ns for sample in samples)


def by(samples, key):
    """{key(sample): ns}"""
    totals = collections.Counter()
    for sample in samples:
        totals[key(sample)] += sample.ns
    return totals


def by_label(samples, label):
    return by(samples, lambda sample: str(sample.labels.get(label, "")))


def by_function(samples, names):
    """{name: ns below it}"""
    return {name: total_ns(one for one in samples if name in map(unwinding.plain, one.frames))
            for name in names}


def user_frames(sample):
    """Root first, without the kernel's part and the mark of the reason, as folded text has them."""
    return [unwinding.plain(frame) for frame in sample.frames]


# --- what is known from elsewhere ---

class Schedstats:
    """What the kernel says of a process's threads now: /proc/PID/task/TID/schedstat
    (Documentation/scheduler/sched-stats.rst): ns on a CPU, ns on a run queue."""

    def __init__(self, pid):
        self.now_us = harness.now_us()
        self.cpu_ns, self.delay_ns = {}, {}
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="utf-8") as file:
                cpu, delay, _ = map(int, file.read().split())
            self.cpu_ns[int(tid)], self.delay_ns[int(tid)] = cpu, delay


class Window:
    """A range of time, with the CPU time and run queue delay of each thread in it."""

    def __init__(self, before, after):
        self.start_us, self.end_us = before.now_us, after.now_us
        self.ns = (after.now_us - before.now_us) * 1000
        self.tids = set(before.cpu_ns) & set(after.cpu_ns)
        self.cpu_ns = {tid: after.cpu_ns[tid] - before.cpu_ns[tid] for tid in self.tids}
        self.delay_ns = {tid: after.delay_ns[tid] - before.delay_ns[tid] for tid in self.tids}


def watch(pid, seconds):
    before = Schedstats(pid)
    time.sleep(seconds)
    return Window(before, Schedstats(pid))


def tick_error(window, tid):
    """Five standard deviations, in percent of the elapsed time, of the CPU time of a thread that
    runs part of the time: the number of ticks that meet it is binomial."""
    part = min(1.0, window.cpu_ns[tid] / window.ns)
    return SIGMAS * 100.0 * math.sqrt(part * (1.0 - part) / (RATE_HZ * window.ns / 1e9))


def share_error(mean_ns, part, period_ns, total_ns):
    """Five standard deviations, in points, of the share that a part of total_ns has, by visits each
    period_ns to waits of that mean length. Long waits: each change to another is seen up to one
    period late, and the standard deviation of that is the period's length / sqrt(12). Short ones:
    each visit is a draw."""
    late = total_ns / mean_ns / 12.0
    drawn = part * (1.0 - part) * total_ns / period_ns
    return SIGMAS * 100.0 * math.sqrt(min(late, drawn)) * period_ns / total_ns


class Program:
    """A program that says its pid on its first line, and ends when its standard input does."""

    def __init__(self, *command, **options):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, **options)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.end()
            raise AssertionError(f"{command}: {line!r}")
        self.pid = int(line)

    def line(self):
        return self.process.stdout.readline()

    def words(self):
        return self.line().split()

    def end(self):
        self.process.kill()
        self.process.communicate()


class Case(unwinding.Case):
    def program(self, *command, **options):
        """A program that ends with the test."""
        program = Program(*command, **options)
        self.addCleanup(program.end)
        self.starts.add(os.path.realpath(f"/proc/{program.pid}/exe"), "")
        return program

    def workload(self, name, *args, comm=None, **options):
        """One of programs/NAME.c, without frame pointers; under another name, so that tests that
        run beside each other on a machine do not meet."""
        path = self.path(comm or name)
        if not os.path.exists(path):
            self.build(os.path.basename(path), name + ".c")
        return self.program(path, *args, **options)

    def settle(self, server, program):
        """Until what the program waits for has been visited, stacks are whole, and idle threads
        have been so for long enough to be marked."""
        time.sleep(2.0)

        def is_settled():
            end_us = harness.now_us()
            recent = self.fetch(server, end_us - 300_000, end_us, f'{{pid="{program.pid}"}}')
            tids = {int(sample.labels["tid"]) for sample in recent.samples}
            lacking = [sample for sample in recent.samples
                       if sample.frames and sample.frames[0] in LACKING]
            return not lacking and tids == set(map(int, os.listdir(f"/proc/{program.pid}/task")))
        harness.wait_until(is_settled, "stacks are whole", 40)

    def fetch(self, server, start_us, end_us, selector, kind="offcpu"):
        """A range of the store as a profile; what is being waited is stored first."""
        status, _, body = server.get("/api/v1/export", format="pprof", type=kind, query=selector,
                                     **{"from": f"{start_us / 1e6:.6f}",
                                        "until": f"{end_us / 1e6:.6f}"})
        self.assertEqual(status, 200, body[:300])
        return Pprof(body)

    def fetch_pid(self, server, program, window, kind="offcpu"):
        return self.fetch(server, window.start_us, window.end_us, f'{{pid="{program.pid}"}}', kind)

    def record(self, kind, *args, seconds=None, suffix="pb.gz"):
        """`hearth record --type KIND`, read."""
        path = self.path(f"{kind}.{suffix}")
        limit = ("-d", seconds) if seconds else ()
        done = harness.run("record", "--type", kind, "-o", path, *limit, *args, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        if suffix == "folded":
            return harness.read_folded(path)
        with open(path, "rb") as file:
            return Pprof(file.read())

    def assert_waited(self, profile, window, tid, what):
        """All that the thread was not on a CPU is in the profile."""
        wanted_ns = window.ns - window.cpu_ns[tid]
        self.assert_percent(total_ns(profile.of(tid=tid)), wanted_ns, WITHIN_PERCENT, what)

    def assert_percent(self, ns, wanted_ns, within, what):
        """Equal within so many percent."""
        self.assertGreater(wanted_ns, 0, what)
        self.assert_close(100.0 * ns / wanted_ns, 100.0, within, f"{what}, in percent")

    def assert_shares(self, samples, truth, errors, what):
        """{function: ns it really took}: their shares of the sum."""
        found = by_function(samples, truth)
        all_ns, true_ns = sum(found.values()), sum(truth.values())
        self.assertGreater(all_ns, 0, what)
        for name, ns in truth.items():
            share, wanted = 100.0 * found[name] / all_ns, 100.0 * ns / true_ns
            say(f"{what}: {name} {share:.2f} %, truth {wanted:.2f}")
            self.assert_close(share, wanted, errors, f"{what}: share of {name}")

    def assert_chain(self, samples, chain, what):
        """Every sample's stack is whole and has the chain's functions in this order."""
        self.assertTrue(samples, what)
        for sample in samples:
            frames = user_frames(sample)
            self.assertFalse([one for one in frames if one.startswith(unwinding.CUT)],
                             f"{what}: {frames}")
            self.assertTrue(self.starts.has(frames[0]), f"{what} begins where threads do: {frames}")
            self.assertTrue(unwinding.is_chain(frames, chain), f"{what}: {chain} in {frames}")


class KnownCase(Case):
    """One program at a time, as visits to many threads that move make Hearth lower its rate."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.before = self.server.status()["waiting"]

    def tearDown(self):
        ledger = self.server.status()["ledger"]
        self.assert_balanced(ledger["kernel"], "kernel")
        self.assert_balanced(ledger["user"], "user")

    def range_of(self, program):
        """(START, END) in unix us, when the program has come to its end."""
        start_us, end_us = map(int, program.words())
        passes = self.server.status()["waiting"]["passes"] - self.before["passes"]
        self.period_ns = (end_us - start_us) * 1000 / passes
        return start_us, end_us

    def rows(self, program, count):
        return [program.words() for _ in range(count)]

    def bound(self, mean_ns, part, total_ns):
        """In points: the issue's 3, or what the rate of visits allows in this time, when waits of
        that mean length follow each other and a part of the time is to be told from the rest."""
        error = share_error(mean_ns, part, self.period_ns, total_ns)
        say(f"error of sampling each {self.period_ns / 1e6:.0f} ms: {error:.2f} points")
        return max(WITHIN_POINTS, error)

    def fetch_range(self, program, start_us, end_us, kind="offcpu"):
        return self.fetch(self.server, start_us, end_us, f'{{pid="{program.pid}"}}', kind)

    def assert_reason(self, samples, wanted):
        """Apart from the time that it was ready to run."""
        reasons = by_label(samples, "reason")
        say(dict(reasons))
        waited_ns = sum(ns for reason, ns in reasons.items() if reason not in RUNNABLE)
        # The rest: a page of the program that is not in memory, for one.
        self.assertGreater(reasons[wanted], 0.95 * waited_ns, reasons)


class KindsCase(Case):
    """Judges programs/wait_kinds.c."""

    def judge(self, server, program, kinds):
        """Each thread against {kind: (reason, is idle or None)}; the profile and its window."""
        rows = iter(program.words, ["all"])
        self.settle(server, program)
        window = watch(program.pid, KIND_SECONDS)
        profile = self.fetch_pid(server, program, window)
        for name, tid, *note in rows:
            with self.subTest(kind=name):
                self.assertNotEqual(tid, "0", f"it waits; {note}")
                reason, is_idle = kinds[name]
                mine = profile.of(tid=tid)
                self.assert_waited(profile, window, int(tid), name)
                self.assertEqual(set(by_label(mine, "reason")), {reason})
                self.assertEqual({one.labels["thread"] for one in mine}, {name})
                if name != "vfork":  # glibc keeps its return address in a register
                    self.assert_chain(mine, ("outer", "middle", "wait_in_" + name), name)
                if is_idle is not None:
                    marks = {one.labels.get("idle") for one in mine}
                    self.assertEqual(marks, {"true" if is_idle else None}, "idle")
                self.check_note(mine, " ".join(note))
        return profile, window

    def check_note(self, samples, note):
        on = {one.labels.get("waits_on", "") for one in samples}
        if note.startswith("0x"):
            self.assertEqual(on, {f"futex {note}"})
        elif note:
            self.assertEqual(len(on), 1)
            self.assertIn(note, on.pop())

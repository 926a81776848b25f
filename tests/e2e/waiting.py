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
# Of variances: visits that come as irregularly as by a Poisson process, on a busy machine.
IRREGULAR = 2.0
RUNNABLE = {"run_queue", "preempted", "throttled"}
# At most, of what a thread waits: for what no test is about, such as a page that is not in memory.
STRAY_PART = 0.05
SETTLE_SECONDS = 120
IDLE_SECONDS = 1.5  # and a half more than it takes to be marked as idle
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
        self.stolen_ns = stolen_ns()
        self.cpu_ns, self.delay_ns = {}, {}
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="utf-8") as file:
                cpu, delay, _ = map(int, file.read().split())
            self.cpu_ns[int(tid)], self.delay_ns[int(tid)] = cpu, delay
        self.took_us = harness.now_us() - self.now_us


def stolen_ns():
    """What interrupts and the hypervisor took of all CPUs, and no thread ran or was queued for:
    proc(5), /proc/stat."""
    with open("/proc/stat", encoding="utf-8") as file:
        ticks = list(map(int, file.readline().split()[1:]))
    return sum(ticks[5:8]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def schedstats(pid):
    """The quickest of some readings, in a second: as good as all at one time."""
    readings = [Schedstats(pid)]
    while readings[-1].took_us > 10_000 and harness.now_us() - readings[0].now_us < 1_000_000:
        readings.append(Schedstats(pid))
    return min(readings, key=lambda one: one.took_us)


class Window:
    """A range of time, with the CPU time and run queue delay of each thread in it."""

    def __init__(self, before, after):
        self.start_us, self.end_us = before.now_us, after.now_us
        self.ns = (after.now_us - before.now_us) * 1000
        self.stolen_ns = after.stolen_ns - before.stolen_ns
        self.tids = set(before.cpu_ns) & set(after.cpu_ns)
        self.cpu_ns = {tid: after.cpu_ns[tid] - before.cpu_ns[tid] for tid in self.tids}
        self.delay_ns = {tid: after.delay_ns[tid] - before.delay_ns[tid] for tid in self.tids}


def watch(pid, seconds):
    before = schedstats(pid)
    time.sleep(seconds)
    return Window(before, schedstats(pid))


def tick_error(cpu_ns, elapsed_ns):
    """Five standard deviations, in percent of the elapsed time, of the CPU time of a thread that
    runs part of the time: the number of ticks that meet it is binomial."""
    part = min(1.0, cpu_ns / elapsed_ns)
    return SIGMAS * 100.0 * math.sqrt(part * (1.0 - part) / (RATE_HZ * elapsed_ns / 1e9))


def share_error(mean_ns, part, period_ns, total_ns):
    """Five standard deviations, in points, of the share that a part of total_ns has, by visits each
    period_ns to waits of that mean length. Long waits: each change to another is seen up to one
    period late, and the standard deviation of that is the period's length / sqrt(12). Short ones:
    each visit is a draw."""
    late = total_ns / mean_ns / 12.0
    drawn = part * (1.0 - part) * total_ns / period_ns
    return SIGMAS * 100.0 * math.sqrt(IRREGULAR * min(late, drawn)) * period_ns / total_ns


class Visits:
    """What a server counts of its visits to the threads that wait, from now on."""

    def __init__(self, server):
        self.server = server
        self.start_ns, self.first = time.monotonic_ns(), server.status()["waiting"]

    def counted(self, what):
        return self.server.status()["waiting"][what] - self.first[what]

    def period_ns(self):
        """Between two visits, on the average until now."""
        return (time.monotonic_ns() - self.start_ns) / self.counted("passes")


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

    def begin(self):
        """Some wait for that: waits.h, wait_to_begin()."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

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
        """Until all that the program waits for has been visited, stacks are whole, and idle threads
        have been so for long enough to be marked."""
        self.wait_whole(server, program)
        time.sleep(IDLE_SECONDS)
        self.wait_whole(server, program)

    def wait_whole(self, server, program):
        """Until all threads were seen, from some time on, on no stack that lacks something."""
        since_us = harness.now_us()

        def is_whole():
            nonlocal since_us
            now_us = harness.now_us()
            recent = self.fetch(server, since_us, now_us, f'{{pid="{program.pid}"}}')
            if [one for one in recent.samples if one.frames and one.frames[0] in LACKING]:
                since_us = now_us
                return False
            return set(map(int, os.listdir(f"/proc/{program.pid}/task"))) <= set(recent.by_tid)
        harness.wait_until(is_whole, f"stacks of {program.pid} are whole", SETTLE_SECONDS)

    def wait_seen(self, server, program, tids, after_us):
        """Until these threads were seen to wait after that time: then all that they waited before
        is stored. Of one that is on a CPU when it is asked for, the last turn is not known yet."""
        def is_seen():
            later = self.fetch(server, after_us, harness.now_us(), f'{{pid="{program.pid}"}}')
            return set(tids) <= set(later.by_tid)
        harness.wait_until(is_seen, f"{tids} wait after {after_us}", SETTLE_SECONDS)

    def fetch(self, server, start_us, end_us, selector, kind="offcpu"):
        """A range of the store as a profile; what is being waited is stored first."""
        status, _, body = server.get("/api/v1/export", format="pprof", type=kind, query=selector,
                                     **{"from": f"{start_us / 1e6:.6f}",
                                        "until": f"{end_us / 1e6:.6f}"})
        self.assertEqual(status, 200, body[:300])
        return Pprof(body)

    def fetch_pid(self, server, program, window, kind="offcpu"):
        self.wait_seen(server, program, window.tids, window.end_us)
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
        """All that the thread was not on a CPU is in the profile. The scheduler counts what runs at
        the moment once in a tick."""
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

    def begin(self, name, *args, **options):
        """A workload that begins when its files are known, so that stacks are whole from then on,
        but for their first visits."""
        program = self.workload(name, *args, **options)
        self.settle(self.server, program)
        self.visits = Visits(self.server)
        program.begin()
        return program

    def tearDown(self):
        ledger = self.server.status()["ledger"]
        self.assert_balanced(ledger["kernel"], "kernel")
        self.assert_balanced(ledger["user"], "user")

    def range_of(self, program):
        """START and END in unix us, and what else that line says, when the program has come to its
        end and all of it is stored."""
        start_us, end_us, *others = map(int, program.words())
        self.period_ns = self.visits.period_ns()
        # What came before it, in the order in which it is stored: the ends of all others.
        self.wait_seen(self.server, program, {program.pid}, end_us)
        return start_us, end_us, *others

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
        self.assertGreaterEqual(reasons[wanted], (1 - STRAY_PART) * waited_ns, reasons)


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

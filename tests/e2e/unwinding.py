"""What the tests of user stacks share: programs to build, recordings of the whole machine, and
how a stack is judged to be whole by what readelf says of the files it passes through."""

import bisect
import collections
import contextlib
import functools
import glob
import math
import os
import re
import signal
import subprocess
import sys
import time

import harness

PROGRAMS = os.path.join(harness.HERE, "programs")
RATE_HZ = 499
DEADLINE_S = 240  # for what takes seconds on a machine that is not busy
FLAGS = ("-O2", "-fomit-frame-pointer", "-pthread")
WHOLE_PERCENT = 99.0
SIGMAS = 5  # of sampling, beyond which a difference is none of chance
CUT = "[cut: "
KERNEL = "_[k]"
INLINED = "_[i]"
# Where threads begin, when the file has symbols; without them it is looked up in the file. And what
# goes over to the stack of Go's scheduler: nobody called on that one.
STARTS = re.compile(r"_start$|_*clone3?$|runtime\.(rt0_go|goexit|mstart|mcall|systemstack|"
                    r"asmcgocall|sigtramp|morestack|nanotime1|walltime)\b|_rt0_amd64_linux$")
UNNAMED = re.compile(r"\[(?:stripped )?(.+)\+0x([0-9a-f]+)\]$")
ENTRY_BYTES = 0x30  # of _start


def output_of(*command):
    # readelf's status is 1 for a mere warning.
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def entry_point(path):
    found = re.search(r"Entry point address:\s+0x([0-9a-f]+)", output_of("readelf", "-hW", path))
    return int(found.group(1), 16)


@functools.cache
def function_starts(path):
    """Where the functions of a file begin, by its unwind information, in order."""
    text = output_of("readelf", "--debug-dump=frames", path)
    starts = re.findall(r" FDE .*pc=([0-9a-f]+)\.\.", text)
    return sorted(int(start, 16) for start in starts)


def function_start(path, vaddr):
    """Where the function of a file that holds vaddr begins."""
    starts = function_starts(path)
    after = bisect.bisect_right(starts, vaddr)
    return starts[after - 1] if after else None


def outermost_ranges(path):
    """[(first, last)] vaddrs where a file's unwind information says that nobody called, and where
    the functions that hold them begin."""
    ranges = []
    first = last = ra_column = None
    for line in output_of("readelf", "--debug-dump=frames-interp", path).splitlines():
        fields = line.split()
        found = re.search(r" FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line)
        if found:
            first, last = int(found.group(1), 16), int(found.group(2), 16) - 1
            ra_column = None
        elif fields[:2] == ["LOC", "CFA"]:
            ra_column = fields.index("ra")
        elif last and ra_column and re.match(r"[0-9a-f]{16} ", line) and fields[ra_column] == "u":
            ranges += [(int(fields[0], 16), last), (first, first)]
    return ranges


def collector_of(pid):
    """The thread of a Hearth process that takes samples and follows what is mapped, as a folder of
    /proc. None: it has not begun to sample; this thread is made after the clocks were started."""
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as comm:
            if comm.read().strip() == "hearth-collect":
                return os.path.dirname(path)
    return None


def is_collecting(pid):
    return collector_of(pid) is not None


class CollectorTimes:
    """Of that thread as of now, in seconds: what it ran, and how long it waited for a CPU
    (Documentation/scheduler/sched-stats.rst)."""

    def __init__(self, pid):
        self.now_s = time.monotonic()
        with open(collector_of(pid) + "/schedstat", encoding="utf-8") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
        self.ran_s, self.waited_s = ran_ns / 1e9, waited_ns / 1e9

    def waited_part(self, before):
        """Of the time since then."""
        return (self.waited_s - before.waited_s) / (self.now_s - before.now_s)


class Starts:
    """Tells whether an outermost frame is where a thread starts."""

    def __init__(self):
        self.ranges = {}

    def add(self, path, comm):
        """A program and what it is linked with."""
        for file in (path, *re.findall(r"(/\S+)", output_of("ldd", path))):
            name = os.path.basename(os.path.realpath(file))
            if name not in self.ranges:
                entry = entry_point(file)
                self.ranges[name] = [(entry, entry + ENTRY_BYTES)] if entry else []
                if name.startswith("libc."):
                    self.ranges[name] += outermost_ranges(file)
        self.ranges.setdefault(comm, self.ranges[os.path.basename(os.path.realpath(path))])

    def has(self, frame):
        found = UNNAMED.match(frame)
        if not found:
            return bool(STARTS.match(frame))
        vaddr = int(found.group(2), 16)
        return any(first <= vaddr <= last for first, last in self.ranges.get(found.group(1), ()))


def plain(frame):
    """A function's name without return type, arguments of templates and parameters."""
    if frame.startswith(("[", "<")):
        return frame
    while True:
        shorter = re.sub(r"<[^<>]*>", "", frame)
        if shorter == frame:
            break
        frame = shorter
    return re.sub(r"\(.*", "", frame).rpartition(" ")[2] or frame


def is_chain(frames, chain):
    """The names of the chain occur in the frames in this order."""
    frames = iter(frames)
    return all(any(name == frame for frame in frames) for name in chain)


class Samples:
    """What was recorded of one program: its stacks, root first, by their user part."""

    def __init__(self, stacks, comm, starts):
        self.comm = comm
        self.starts = starts
        self.users = collections.Counter()
        self.kernel_only = 0  # it had no user stack: on its way in by execve(2), or out
        for frames, value in stacks:
            if frames[0] != comm:
                continue
            user = tuple(plain(frame) for frame in frames[1:] if not frame.endswith(KERNEL))
            if user:
                self.users[user] += value
            else:
                self.kernel_only += value
        self.total = sum(self.users.values())

    def is_whole(self, user):
        return self.starts.has(user[0]) and not any(frame.startswith(CUT) for frame in user)

    def add(self, others):
        self.users.update(others.users)
        self.total += others.total

    def least(self, percent):
        """What so many samples show at least of that many percent."""
        count = self.total / 1e9 * RATE_HZ
        return percent - SIGMAS * math.sqrt(percent * (100 - percent) / count)

    def percent(self, condition):
        return 100.0 * sum(value for user, value in self.users.items()
                           if condition(user)) / self.total

    def worst(self, condition):
        """A few stacks of those for which the condition does not hold, heaviest first."""
        bad = sorted(((value, user) for user, value in self.users.items() if not condition(user)),
                     reverse=True)
        return "".join(f"\n  {100.0 * value / self.total:.2f} %: {' < '.join(user)}"
                       for value, user in bad[:5])


class Case(harness.Case):
    """Builds programs, records, and judges what came of them."""

    def setUp(self):
        super().setUp()
        for tool in ("gcc", "g++", "readelf", "ldd"):
            harness.need_tool(tool)
        self.starts = Starts()

    def build(self, name, source, *flags, compiler="gcc"):
        path = self.path(name)
        subprocess.run([compiler, *FLAGS, "-o", path, os.path.join(PROGRAMS, source), *flags],
                       check=True, stderr=subprocess.DEVNULL)
        return path

    def plugin(self):
        return self.build("libunwindplugin.so", "unwind_plugin.c", "-shared", "-fPIC")

    def start(self, *command, **options):
        """A program that is ended with the test, if it is still there."""
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   **options)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    @contextlib.contextmanager
    def recording(self, path, *args):
        """The whole machine is recorded to path while the block runs."""
        recorder = self.start(harness.BIN, "record", "-o", path, *args,
                              stderr=subprocess.PIPE, text=True)

        def is_sampling():
            if recorder.poll() is not None:
                raise AssertionError(f"hearth record: {recorder.stderr.read()}")
            return is_collecting(recorder.pid)
        harness.wait_until(is_sampling, "the machine is sampled", DEADLINE_S)
        yield recorder
        recorder.send_signal(signal.SIGINT)
        text = recorder.communicate(timeout=DEADLINE_S)[1]
        self.assertEqual(recorder.returncode, 0, text)

    def record_runs(self, commands):
        """The stacks of [(command, additional environment)], all at once, from their exec on."""
        path = self.path("made.folded")
        with self.recording(path, "-F", RATE_HZ):
            processes = [self.start(*command, env={**os.environ, **env})
                         for command, env in commands]
            for process in processes:
                process.wait(timeout=DEADLINE_S)
                self.assertEqual(process.returncode, 0, process.args)
        return harness.read_folded(path)

    def samples(self, stacks, comm, path):
        self.starts.add(path, comm)
        samples = Samples(stacks, comm, self.starts)
        self.assertGreater(samples.total, 0, f"{comm} was sampled")
        return samples

    def check(self, samples, condition, percent, what):
        """At least that many percent, but for the error of sampling."""
        share, least = samples.percent(condition), samples.least(percent)
        print(f"{samples.comm}: {share:.2f} % (at least {least:.2f} %) of "
              f"{samples.total / 1e9:.2f} s {what}", file=sys.stderr)
        self.assertGreaterEqual(share, least,
                                f"{samples.comm}: {what}{samples.worst(condition)}")

    def check_whole(self, samples, percent=WHOLE_PERCENT):
        self.check(samples, samples.is_whole, percent, "whole")

    def check_chain(self, samples, chain, least):
        """So much of its time is in the chain's last function, and then in the whole chain."""
        leaf = chain[-1]
        self.check(samples, lambda user: leaf in user, least, f"in {leaf}")
        self.check(samples, lambda user: leaf not in user or is_chain(user, chain),
                   WHOLE_PERCENT, "with the chain")

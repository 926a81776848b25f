"""The stacks of programs that stand still in one place, or that go round few places, are the
ones that gdb and perf see."""

import collections
import math
import os
import re
import signal
import sys

import harness
import unwinding

PERF_CPU_SECONDS = 4
PERF_HZ = 997
AGREE_PERCENT = 99.5
WHOLE_PERCENT = 80.0  # so that the agreement says something; how many are whole is not the matter
SIGMAS = unwinding.SIGMAS  # of two counts of some 4 000 samples: 6 points of 50
KERNEL_ADDRESSES = 1 << 63
# name, mode, extra argument; each spins for ever in the innermost function of its chain
STILL = (
    ("w-calls", "calls", None),
    ("w-recurse", "recurse", 60),
    ("w-vla", "vla", None),
    ("w-large", "large", None),
    ("w-qsort", "qsort", None),
    ("w-threads", "threads", None),
    ("w-dlopen", "dlopen", "PLUGIN"),
    ("w-static", "calls", None),
    ("w-nested", "nested", None),
)


def bases_of(pid):
    """[(start, end, base address, path)] of the executable mappings of a process."""
    bases, mappings = {}, []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as lines:
        for line in lines:
            fields = line.split(maxsplit=5)
            if len(fields) < 6 or not fields[5].startswith("/"):
                continue
            path = fields[5].strip()
            start, end = (int(part, 16) for part in fields[0].split("-"))
            base = bases.setdefault(path, start - int(fields[2], 16))
            if "x" in fields[1]:
                mappings.append((start, end, base, path))
    return mappings


class Gdb:
    """What gdb says of the threads of a running process: [[(name, address)]], leaf first."""

    def __init__(self, pid):
        self.mappings = bases_of(pid)
        text = unwinding.output_of("gdb", "-nx", "-batch", "-ex", "set backtrace past-main on",
                                   "-ex", "set print frame-arguments none",
                                   "-ex", "set debuginfod enabled off",
                                   "-ex", "thread apply all bt", "-p", str(pid))
        self.threads = []
        for line in text.splitlines():
            if line.startswith("Thread "):
                self.threads.append([])
            frame = re.match(r"#\d+\s+(?:0x([0-9a-f]+) in )?(.*?) \(", line)
            if frame and self.threads:
                self.add_frame(self.threads[-1], frame.group(2), frame.group(1))

    @staticmethod
    def add_frame(thread, name, address):
        """Inlined functions come first, with the address of the frame that they all are in."""
        if address or not thread:
            thread.append((name, int(address, 16) if address else None))
        else:
            thread[-1] = (name, thread[-1][1])

    def is_same(self, frame, seen):
        """A frame of ours, and one of gdb's: by name, or, where we have none, by where
        its function begins."""
        name, address = seen
        unnamed = unwinding.UNNAMED.match(frame)
        if not unnamed:
            return plain_alias(frame) == plain_alias(name)
        for start, end, base, path in self.mappings:
            if (address and start <= address < end and
                    os.path.basename(path) == unnamed.group(1)):
                # Ours is the function with the call, gdb's is where that returns to.
                vaddr = address - base - 1
                start_vaddr = unwinding.function_start(path, vaddr)
                return int(unnamed.group(2), 16) in (start_vaddr, vaddr)
        return False

    def has(self, user):
        """One of the threads has this stack, which is root first; or, where it says that it is
        cut, its leaf's end."""
        # gdb's inlined functions were left out, too.
        real = [frame for frame in user if not frame.endswith(unwinding.INLINED)]
        frames = [frame for frame in reversed(real) if not frame.startswith(unwinding.CUT)]
        is_cut = len(frames) < len(real)
        return any((len(frames) <= len(thread) if is_cut else len(frames) == len(thread))
                   and all(map(self.is_same, frames, thread)) for thread in self.threads)


def plain_alias(name):
    """A function of libc has many names: qsort_r is __GI___qsort_r, too."""
    return re.sub(r"^__GI_|_impl$|@.*", "", unwinding.plain(name)).lstrip("_")


def read_perf(path):
    """Counter of the user stacks of a perf.data file, root first."""
    text = unwinding.output_of("perf", "script", "-i", path, "--no-inline", "-F", "ip,sym")
    stacks = collections.Counter()
    for block in text.split("\n\n"):
        lines = [line.split(maxsplit=1) for line in block.splitlines() if line.strip()]
        frames = [name for address, name in lines if int(address, 16) < KERNEL_ADDRESSES]
        if frames:
            stacks[tuple(map(unwinding.plain, reversed(frames)))] += 1
    return stacks


def from_main(stacks, samples_per_value):
    """Of those that have main: (how many samples, {their part from main on: percent})."""
    parts = collections.Counter()
    for frames, value in stacks.items():
        if "main" in frames:
            parts[frames[frames.index("main"):]] += value
    total = sum(parts.values())
    return (total * samples_per_value,
            {frames: 100.0 * value / total for frames, value in parts.most_common(3)})


class UnwindWitness(unwinding.Case):
    def start_still(self):
        plugin = self.plugin()
        commands = {}
        for name, mode, extra in STILL:
            if mode == "nested":
                path = self.build(name, "unwind_cxx.cc", "-std=c++17", compiler="g++")
            else:
                path = self.build(name, "unwind.c", *(["-static"] if name == "w-static" else []))
            extra = plugin if extra == "PLUGIN" else extra
            commands[name] = (path, mode, 0, *([extra] if extra else []))
        return {name: (command[0], self.start(*command)) for name, command in commands.items()}

    def test_debugger_sees_the_same(self):
        harness.need_tool("gdb")
        running = self.start_still()
        harness.wait_until(lambda: all(harness.cpu_seconds(process.pid) > 0.1
                                       for _, process in running.values()), "all spin",
                           unwinding.DEADLINE_S)
        path = self.path("still.folded")
        with self.recording(path, "-F", unwinding.RATE_HZ):
            before = {name: harness.cpu_seconds(process.pid)
                      for name, (_, process) in running.items()}
            harness.wait_until(
                lambda: all(harness.cpu_seconds(process.pid) > before[name] + 0.7
                            for name, (_, process) in running.items()), "all were sampled",
                unwinding.DEADLINE_S)
        stacks = harness.read_folded(path)
        for _, process in running.values():
            process.send_signal(signal.SIGSTOP)  # so that gdb has the machine for itself
        for name, (program, process) in running.items():
            with self.subTest(program=name):
                samples = self.samples(stacks, name, program)
                gdb = Gdb(process.pid)
                self.assertTrue(gdb.threads, "gdb sees threads")
                try:
                    self.check(samples, gdb.has, AGREE_PERCENT, "as gdb has it")
                    self.check_whole(samples, WHOLE_PERCENT)
                except AssertionError as error:
                    raise AssertionError(f"{error}\n  gdb: {gdb.threads}") from None

    def test_perf_sees_the_same(self):
        harness.need_tool("perf")
        path = self.build("w-spots", "unwind.c")
        process = self.start(path, "spots", 600)
        data = self.path("perf.data")
        perf = self.start("perf", "record", "-e", "cpu-clock", "-F", PERF_HZ, "--call-graph",
                          "dwarf", "-o", data, "-p", process.pid)
        folded = self.path("spots.folded")
        with self.recording(folded, "-p", process.pid, "-F", PERF_HZ):
            # However little of the machine there is for it: so many samples it takes.
            until = harness.cpu_seconds(process.pid) + PERF_CPU_SECONDS
            harness.wait_until(lambda: harness.cpu_seconds(process.pid) > until,
                               "the program got its CPU time", unwinding.DEADLINE_S)
        perf.send_signal(signal.SIGINT)
        perf.wait(timeout=unwinding.DEADLINE_S)
        process.kill()
        ours, theirs = self.samples(harness.read_folded(folded), "w-spots", path), read_perf(data)
        self.check_whole(ours)
        self.compare(from_main(ours.users, PERF_HZ / 1e9), from_main(theirs, 1))

    def compare(self, mine, theirs):
        """Two ((count of samples, {frames: percent})) that differ by chance only."""
        print(f"hearth: {mine}\nperf: {theirs}", file=sys.stderr)
        (my_count, my_shares), (their_count, their_shares) = mine, theirs
        self.assertGreater(min(my_count, their_count), PERF_HZ, "samples")
        self.assertEqual(set(my_shares), set(their_shares), "the three heaviest stacks")
        for frames, share in my_shares.items():
            expected = their_shares[frames]
            sigma = math.sqrt(expected * (100 - expected) * (1 / my_count + 1 / their_count))
            self.assert_close(share, expected, SIGMAS * sigma, " < ".join(frames))


if __name__ == "__main__":
    harness.main()

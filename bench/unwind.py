"""unwind.py [--seconds N] [--rounds N]: what it costs in the kernel to walk a user stack by
unwind rows, beside bpf_get_stack() by frame pointers on the same program. docs/BENCHMARKS.md says
how to read it. Leaves nothing behind."""

import argparse
import collections
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402

RATE_HZ = 999
DEPTHS = (10, 30, 60, 120, 500)
TARGET_DEPTH, TARGET_RATIO = 60, 2.0
TARGET_SLOW_PERCENT = 0.1
GET_STACK_LIMIT = 127  # kernel.perf_event_max_stack
WARM_UP_SECONDS = 1.0  # until what is met is in unwind memory
# Programs without frame pointers that go on for ever, for rows, memory and the slow way.
PROGRAMS = {
    "python3": ("python3", "-c", "import json\nwhile True: json.loads(json.dumps([{}] * 99))"),
    "perl": ("perl", "-e", "while (1) { my %h = map { $_ => sqrt($_) } 1 .. 999 }"),
    "sqlite3": ("sqlite3", ":memory:", "with recursive n(i) as (select 1 union all select i + 1 "
                "from n where i < 1e15) select count(distinct i % 999) from n;"),
    "xz": ("xz", "-1", "-c", "/dev/zero"),
}

Cost = collections.namedtuple("Cost", "samples ns frames")


def say(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Tools:
    """The programs of this folder, compiled."""

    def __init__(self, folder):
        self.folder = folder
        self.recurse = self._compile("recurse", "-fno-omit-frame-pointer",
                                     "-fno-optimize-sibling-calls", "-pthread")
        self._skeleton("unwind_peer")
        self.peer = self._compile("unwind_peer", "-lbpf")
        self.maps = self._compile("unwind_maps", "-lbpf")

    def _compile(self, name, *flags):
        path = os.path.join(self.folder, name)
        subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", f"-I{ROOT}",
                        f"-I{self.folder}", "-o", path, os.path.join(HERE, name + ".c"), *flags],
                       check=True)
        return path

    def _skeleton(self, name):
        """As cmake/HearthBpf.cmake makes them."""
        path = os.path.join(self.folder, name)
        multiarch = output_of("gcc", "-print-multiarch").strip()
        subprocess.run(["clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", f"-I{ROOT}",
                        f"-I/usr/include/{multiarch}", "-c",
                        os.path.join(HERE, name + ".bpf.c"), "-o", path + ".bpf.o"], check=True)
        with open(path + ".skel.h", "w", encoding="utf-8") as skeleton:
            subprocess.run(["bpftool", "gen", "skeleton", path + ".bpf.o", "name",
                            name + "_bpf"], check=True, stdout=skeleton)


@contextlib.contextmanager
def running(*command, **options):
    """A program until the end of the block."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def recursing(tools, depth):
    """bench/recurse.c; its pid."""
    with running(tools.recurse, str(depth), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True) as process:
        yield int(process.stdout.readline())


class Recording:
    """`hearth record` of some processes, under way, and what its BPF maps say."""

    def __init__(self, tools, pids):
        self.tools = tools
        self.path = os.path.join(tools.folder, "record.folded")
        self.process = subprocess.Popen(
            [harness.BIN, "record", "-F", str(RATE_HZ), "-p", ",".join(map(str, pids)), "-o",
             self.path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        try:
            harness.wait_until(self._is_sampling, "hearth samples")
            time.sleep(WARM_UP_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc):
        self._end()

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _is_sampling(self):
        if self.process.poll() is not None:
            raise AssertionError(f"hearth record: {self.process.stderr.read()}")
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.maps()[0]["runs"] > 0
        return False

    def maps(self):
        """({counter: value}, [(pid, ip, block, pages, rows, bytes)])"""
        ids = {one["map_id"] for one in harness.bpf_descriptors(self.process.pid)
               if "map_id" in one}
        done = subprocess.run([self.tools.maps, *ids], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        counts, files = {}, []
        for line in done.stdout.splitlines():
            name, *numbers = line.split()
            if name == "file":
                files.append(tuple(map(int, numbers)))
            else:
                counts[name] = int(numbers[0])
        return counts, files

    def counts_of(self, seconds):
        """What is added to the counters."""
        before = self.maps()[0]
        time.sleep(seconds)
        after = self.maps()[0]
        return {name: after[name] - before[name] for name in after}

    def frames_per_sample(self):
        """Ends the recording; user frames of its average stack."""
        self.process.send_signal(signal.SIGINT)
        _, text = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise AssertionError(f"hearth record: {text}")
        weight = frames = 0
        for stack, value in harness.read_folded(self.path):
            weight += value
            frames += value * sum(not name.endswith("_[k]") for name in stack[1:])
        return frames / max(1, weight)


def cost_of_other_ticks(tools, seconds):
    """ns of a tick that hits nobody who was asked for: Hearth's counter has these, too."""
    with running("sleep", "infinity") as idle, recursing(tools, min(DEPTHS)), \
            Recording(tools, [idle.pid]) as recording:
        counts = recording.counts_of(seconds)
    return counts["run_ns"] / max(1, counts["runs"])


def measure_hearth(tools, pid, seconds, other_ns):
    with Recording(tools, [pid]) as recording:
        counts = recording.counts_of(seconds)
        frames = recording.frames_per_sample()
    others = counts["runs"] - counts["taken"]
    samples = max(1, counts["taken"])
    return Cost(counts["taken"], (counts["run_ns"] - others * other_ns) / samples, frames)


def measure_peer(tools, pid, seconds):
    samples, run_ns, frames = map(int, output_of(tools.peer, str(pid), str(RATE_HZ),
                                                 str(seconds)).split())
    return Cost(samples, run_ns / max(1, samples), frames / max(1, samples))


def medians(costs):
    return Cost(*(statistics.median(values) for values in zip(*costs)))


def measure_depths(tools, options):
    """{depth: (Hearth, peer)}, each the medians over the rounds."""
    costs = {depth: ([], []) for depth in DEPTHS}
    for number in range(options.rounds):
        where = f"round {number + 1} of {options.rounds}: "
        say(where + "ticks that hit others")
        other_ns = cost_of_other_ticks(tools, options.seconds)
        for depth in DEPTHS:
            say(f"{where}{depth} frames")
            with recursing(tools, depth) as pid:
                costs[depth][0].append(measure_hearth(tools, pid, options.seconds, other_ns))
                costs[depth][1].append(measure_peer(tools, pid, options.seconds))
    say("")
    return {depth: tuple(map(medians, both)) for depth, both in costs.items()}


def mapped_file(pid, ip):
    """Base name of what a process has mapped there; proc(5)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            start, _, rest = line.partition("-")
            if int(start, 16) <= ip < int(rest.split()[0], 16):
                fields = line.split(maxsplit=5)
                return os.path.basename(fields[5].strip()) if len(fields) == 6 else "[anon]"
    return "?"


def measure_programs(tools, options):
    """({counter: increase}, [(name, pages, rows, bytes)], names of the programs)"""
    with contextlib.ExitStack() as stack:
        pids, names = [], []
        for name, command in PROGRAMS.items():
            if shutil.which(name):
                names.append(name)
                pids.append(stack.enter_context(running(
                    *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)).pid)
        say(f"{', '.join(names)}: warming up")
        recording = stack.enter_context(Recording(tools, pids))
        time.sleep(options.seconds)
        say(f"{', '.join(names)}: steady state")
        counts = recording.counts_of(options.steady_seconds)
        files = [(mapped_file(pid, ip), pages, rows, size)
                 for pid, ip, _, pages, rows, size in recording.maps()[1]]
        say("")
        return counts, sorted(files, key=lambda file: -file[3]), names


def report_depths(costs, options):
    print(f"{RATE_HZ} Hz, {harness.CPUS} CPUs, {options.seconds} s each way, "
          f"median of {options.rounds}; Linux {os.uname().release}\n")
    print("| frames | hearth, ns | frames seen | samples | bpf_get_stack, ns | frames seen "
          "| samples | ratio |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for depth, (hearth, peer) in costs.items():
        mark = "*" if depth > GET_STACK_LIMIT else ""
        print(f"| {depth} | {hearth.ns:.0f} | {hearth.frames:.0f} | {hearth.samples:.0f} "
              f"| {peer.ns:.0f}{mark} | {peer.frames:.0f}{mark} | {peer.samples:.0f} "
              f"| {hearth.ns / max(1, peer.ns):.2f}{mark} |")
    print(f"\n* bpf_get_stack() stops at {GET_STACK_LIMIT} frames and does less work.")
    hearth, peer = costs[TARGET_DEPTH]
    print(f"Ratio at {TARGET_DEPTH} frames: {hearth.ns / max(1, peer.ns):.2f}, to be at most "
          f"{TARGET_RATIO}.\n")


def report_programs(counts, files, names):
    print(f"Executables met in {', '.join(names)}:\n")
    print("| executable | pages of 64 KiB | rows | KiB in the kernel | bytes per row |")
    print("|---|---:|---:|---:|---:|")
    total = ("together", *(sum(file[i] for file in files) for i in (1, 2, 3)))
    for name, pages, rows, size in (*files, total):
        per_row = f"{size / rows:.1f}" if rows else ""
        print(f"| {name} | {pages} | {rows} | {size / 1024:.1f} | {per_row} |")
    share = 100 * counts["tails"] / max(1, counts["taken"])
    print(f"\nThe slow way in steady state: {counts['tails']} of {counts['taken']} samples, "
          f"{share:.3f} %; to be below {TARGET_SLOW_PERCENT} %.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", 1)[1].strip())
    parser.add_argument("--seconds", type=int, default=2, help="length of each measurement (2)")
    parser.add_argument("--rounds", type=int, default=3, help="repeat, and print medians (3)")
    parser.add_argument("--steady-seconds", type=int, default=20,
                        help="length of the measurement of the slow way (20)")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("unwind.py: needs root, to sample the machine")
    with contextlib.suppress(KeyboardInterrupt), \
            tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        tools = Tools(folder)
        report_depths(measure_depths(tools, options), options)
        report_programs(*measure_programs(tools, options))
        return
    sys.exit(130)


if __name__ == "__main__":
    main()

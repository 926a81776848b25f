"""waiting.py [--rounds N] [--loops N] [--seconds N]: what it costs the busiest programs to be
watched while they wait, beside bpftrace and perf, and what thousands of sleeping threads cost
Hearth. docs/BENCHMARKS.md says how to read it. Leaves nothing behind."""

import argparse
import contextlib
import os
import signal
import shutil
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

SLEEPERS = (0, 100, 1000, 5000)
PIPE, MESSAGING = "pipe", "messaging"
NOTHING = "nothing"
TARGET_PIPE_RATIO = 1.05
TARGET_CPU_PERCENT = 0.5
WARM_UP_SECONDS = 1.0
EXACT_SECONDS = "300"  # at most; it is ended when the loads are
# What people use today to see where threads wait: a stack at every switch.
BPFTRACE = "tracepoint:sched:sched_switch { @[kstack, ustack] = count(); }"


def say(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def cpu_seconds_of(command):
    """User and system time of a program and all its children, which it waits for."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    _, status, usage = os.wait4(process.pid, 0)
    text = process.stderr.read()
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {text}")
    return usage.ru_utime + usage.ru_stime


def loads(options):
    """{name: command}: two processes that hand each other the CPU, and 120 that crowd it."""
    cpu = str(min(os.sched_getaffinity(0)))
    return {PIPE: ["taskset", "-c", cpu, "perf", "bench", "sched", "pipe", "-l",
                   str(options.loops)],
            MESSAGING: ["perf", "bench", "sched", "messaging", "-g", "3", "-l",
                        str(max(1, options.loops // 500))]}


# --- who watches ---

@contextlib.contextmanager
def tracefs():
    """Where bpftrace and perf find the tracepoints; mounted for as long as they need it."""
    path = "/sys/kernel/tracing"
    has_been_there = os.path.exists(os.path.join(path, "events/sched/sched_switch"))
    if not has_been_there:
        subprocess.run(["mount", "-t", "tracefs", "nodev", path], check=True)
    try:
        yield
    finally:
        if not has_been_there:
            subprocess.run(["umount", path], check=False)


@contextlib.contextmanager
def nobody(_folder):
    yield


@contextlib.contextmanager
def serving(folder):
    data = os.path.join(folder, "data")
    with harness.Server(data) as server:
        harness.wait_until(lambda: server.status()["waiting"]["passes"] > 0, "Hearth visits", 20)
        time.sleep(WARM_UP_SECONDS)
        yield
        server.stop()
    shutil.rmtree(data)


@contextlib.contextmanager
def process_that(command, is_ready):
    """A tracer, from when it traces on until it has ended by SIGINT."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def text():
            with open(f"/proc/self/fd/{log.fileno()}", encoding="utf-8", errors="replace") as file:
                return file.read()

        def ready():
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)}: {text()}")
            return is_ready(process.pid, text)
        try:
            harness.wait_until(ready, f"{command[0]} traces", 30)
            time.sleep(WARM_UP_SECONDS)
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def has_programs(pid, _text):
    """It has loaded BPF programs."""
    return any("prog_id" in one for one in harness.bpf_descriptors(pid))


def exact(*words):
    @contextlib.contextmanager
    def recording(folder):
        path = os.path.join(folder, "exact.pb.gz")
        command = [harness.BIN, "record", "--exact", "-d", EXACT_SECONDS, *words, "-o", path]
        with process_that(command, has_programs):
            yield
        os.unlink(path)
    return recording


@contextlib.contextmanager
def bpftracing(_folder):
    with process_that(["bpftrace", "-e", BPFTRACE], lambda _pid, text: "Attaching" in text()):
        yield


@contextlib.contextmanager
def perf_recording(folder):
    path = os.path.join(folder, "perf.data")
    with process_that(["perf", "record", "-e", "sched:sched_switch", "-g", "-a", "-o", path],
                      lambda _pid, _text: os.path.exists(path) and os.path.getsize(path)):
        yield
    os.unlink(path)


WATCHERS = {
    NOTHING: nobody,
    "nothing, once more": nobody,
    "hearth serve": serving,
    "hearth record --exact": exact(),
    "hearth record --exact --stacks all": exact("--stacks", "all"),
    "bpftrace, stacks at sched_switch": bpftracing,
    "perf record -e sched:sched_switch -g": perf_recording,
}


def watchers():
    """Those that this build of Hearth has."""
    done = harness.run("record", "--help")
    has_exact = "--exact" in done.stdout + done.stderr
    return {name: watcher for name, watcher in WATCHERS.items()
            if has_exact or "--exact" not in name}


def measure_loads(folder, options):
    """{who: {load: [CPU seconds, one per round]}}, interleaved."""
    results = {who: {name: [] for name in loads(options)} for who in watchers()}
    for command in loads(options).values():
        cpu_seconds_of(command)  # warm caches
    for number in range(options.rounds):
        for who in results:
            say(f"round {number + 1} of {options.rounds}: {who}")
            with WATCHERS[who](folder):
                for name, command in loads(options).items():
                    results[who][name].append(cpu_seconds_of(command))
    say("")
    return results


def report_loads(results, options):
    print(f"{harness.CPUS} CPUs, {options.rounds} rounds, {options.loops} loops of pipe; "
          f"load average {os.getloadavg()[0]:.1f}; Linux {os.uname().release}\n")
    print("| watched by | sched pipe, CPU s | ratio | sched messaging, CPU s | ratio |")
    print("|---|---:|---:|---:|---:|")
    pipe_ratio = None
    for who, times in results.items():
        cells = []
        for name, seconds in times.items():
            ratios = [one / alone for one, alone in zip(seconds, results[NOTHING][name])]
            ratio = statistics.median(ratios)
            if (who, name) == ("hearth serve", PIPE):
                pipe_ratio = ratio
            cells.append(f"{statistics.median(seconds):.2f} | "
                         + (f"{ratio:.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
                            if who != NOTHING else "1"))
        print(f"| {who} | {' | '.join(cells)} |")
    print(f"\nRatio of pipe under Hearth's default: {pipe_ratio:.2f}, to be at most "
          f"{TARGET_PIPE_RATIO} and the noise.\n")


# --- sleeping threads ---

def thread_cpu_seconds(pid, comm):
    """Of the threads of that name, by schedstat, in ns."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as file:
                if file.read().strip() != comm:
                    continue
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="utf-8") as file:
                total += int(file.read().split()[0])
    return total / 1e9


class Herd:
    """tests/e2e/programs/wait_herd.c with so many threads."""

    def __init__(self, folder, threads):
        self.process = None
        if threads:
            path = os.path.join(folder, "wait_herd")
            subprocess.run(["gcc", "-O2", "-pthread", "-o", path,
                            os.path.join(harness.HERE, "programs/wait_herd.c")], check=True)
            self.process = subprocess.Popen([path, str(threads)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True)
            self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process:
            self.process.kill()
            self.process.communicate()


def measure_sleepers(folder, threads, seconds):
    """What Hearth uses while that many threads do nothing, once it has met them all."""
    data = os.path.join(folder, "sleepers")
    with Herd(folder, threads), harness.Server(data) as server:
        time.sleep(5)
        before, waits, all_cpu = (server.status(), thread_cpu_seconds(server.pid, "hearth-wait"),
                                  harness.cpu_seconds(server.pid))
        start_s = time.monotonic()
        time.sleep(seconds)
        after, took_s = server.status(), time.monotonic() - start_s
        waits = thread_cpu_seconds(server.pid, "hearth-wait") - waits
        all_cpu = harness.cpu_seconds(server.pid) - all_cpu
        server.stop()
    shutil.rmtree(data)
    change = {key: after["waiting"][key] - before["waiting"][key] for key in ("passes", "visits")}
    taken = after["ledger"]["kernel"]["taken"] - before["ledger"]["kernel"]["taken"]
    return {"seen": after["waiting"]["threads"], "hz": change["passes"] / took_s,
            "us": 1e6 * waits / max(1, change["visits"]), "waits": 100 * waits / took_s,
            "all": 100 * all_cpu / took_s, "records": taken / took_s}


def report_sleepers(folder, options):
    print("| sleeping threads | found waiting | visits a second of each | µs a visit "
          "| % of a CPU, visits | % of a CPU, all of hearth | records a second |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for threads in SLEEPERS:
        rounds = []
        for number in range(options.rounds):
            say(f"{threads} sleeping threads, {number + 1} of {options.rounds}")
            rounds.append(measure_sleepers(folder, threads, options.seconds))
        say("")
        row = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print(f"| {threads} | {row['seen']:.0f} | {row['hz']:.1f} | {row['us']:.2f} "
              f"| {row['waits']:.2f} | {row['all']:.2f} | {row['records']:.0f} |")
    print(f"\nVisits are to cost at most {TARGET_CPU_PERCENT} % of a CPU.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", 1)[1].strip())
    parser.add_argument("--rounds", type=int, default=5, help="repeat, and print medians (5)")
    parser.add_argument("--loops", type=int, default=200000, help="of sched pipe (200000)")
    parser.add_argument("--seconds", type=int, default=20, help="with sleeping threads (20)")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("waiting.py: needs root, to sample the machine")
    for tool in ("perf", "bpftrace", "gcc", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"waiting.py: needs {tool}")
    with contextlib.suppress(KeyboardInterrupt), \
            tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        with tracefs():
            results = measure_loads(folder, options)
        report_loads(results, options)
        report_sleepers(folder, options)
        return
    sys.exit(130)


if __name__ == "__main__":
    main()

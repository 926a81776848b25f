"""overhead.py [--seconds N] [--rate HZ] [--rounds N]: what Hearth costs beside
`perf record -a -g` at the same rate on the same load. docs/BENCHMARKS.md says how to read it.
Leaves nothing behind."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests/e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402

PERF = "perf"
HEARTH = "Hearth"


def say(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def max_resident_bytes(pid):
    """VmHWM of proc(5)."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def samples_bytes(path):
    """What lies on disk of a data directory; its cache/ holds what is read from executables."""
    return sum(os.lstat(os.path.join(path, name)).st_blocks * 512
               for name in os.listdir(path) if name != "cache")


def bpf_map_bytes(pid):
    """Kernel memory of a process's BPF maps."""
    maps = {one["map_id"]: int(one.get("memlock", 0))
            for one in harness.bpf_descriptors(pid) if "map_id" in one}
    return sum(maps.values())


class Load:
    """bench/load.c on every CPU, and how far it got."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "load")
        subprocess.run(["gcc", "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
                        "-pthread", "-o", self.path, os.path.join(HERE, "load.c")], check=True)

    def run(self, seconds):
        """Pieces of work per second of its own CPU time."""
        done = subprocess.run([self.path, str(2 * harness.CPUS), str(seconds)], check=True,
                              capture_output=True, text=True)
        return float(done.stdout)


def with_load(pid, load, seconds):
    """The load's speed, and the CPU time that the profiler used meanwhile."""
    before = harness.cpu_seconds(pid)
    speed = load.run(seconds)
    return speed, 100 * (harness.cpu_seconds(pid) - before) / seconds


def measure_perf(folder, load, options):
    data = os.path.join(folder, "perf.data")
    process = subprocess.Popen(["perf", "record", "-e", "cpu-clock", "-F", str(options.rate), "-a",
                                "-g", "-o", data], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        harness.wait_until(lambda: os.path.exists(data) and os.path.getsize(data), "perf records")
        speed, cpu = with_load(process.pid, load, options.seconds)
        memory = max_resident_bytes(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    script = subprocess.run(["perf", "script", "-i", data, "-F", "time", "-G"], check=False,
                            capture_output=True, text=True)
    samples = sum(1 for line in script.stdout.splitlines() if line.strip())
    if not samples:
        raise SystemExit(f"perf recorded nothing that perf script reads: {script.stderr.strip()}")
    stats = subprocess.run(["perf", "report", "-i", data, "--stats"], check=False,
                           capture_output=True, text=True).stdout
    lost = sum(int(line.split()[-1]) for line in stats.splitlines() if "LOST events:" in line)
    size = os.stat(data).st_blocks * 512
    os.unlink(data)
    return {"speed": speed, "cpu": cpu, "memory": memory, "samples": samples, "bytes": size,
            "lost": lost}


def measure_hearth(folder, load, options):
    data = os.path.join(folder, "data")
    with harness.Server(data, "--rate", options.rate) as server:
        before = server.status()["ledger"]
        speed, cpu = with_load(server.pid, load, options.seconds)
        memory = max_resident_bytes(server.pid)
        maps = bpf_map_bytes(server.pid)
        after = server.status()["ledger"]
        if server.stop():
            raise AssertionError(server.output())
    lost = sum(sum(after[side]["dropped"].values()) - sum(before[side]["dropped"].values())
               for side in after)
    done = harness.run("query", "top", "--data", data, "--from", "now-1h", "--json")
    if done.returncode:
        raise AssertionError(done.stderr)
    size = samples_bytes(data)
    shutil.rmtree(data)
    return {"speed": speed, "cpu": cpu, "memory": memory, "maps": maps, "bytes": size,
            "samples": json.loads(done.stdout)["samples"], "lost": lost}


def measure_all(options):
    """{who: {what: median over the rounds}}"""
    rounds = {"alone": [], PERF: [], HEARTH: []}
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        load = Load(folder)
        say("warming up")
        load.run(1)
        for number in range(options.rounds):
            where = f"round {number + 1} of {options.rounds}: "
            say(where + "the load alone")
            rounds["alone"].append({"speed": load.run(options.seconds)})
            say(where + "with perf")
            rounds[PERF].append(measure_perf(folder, load, options))
            say(where + "with hearth")
            rounds[HEARTH].append(measure_hearth(folder, load, options))
        say("")
    return {who: {what: statistics.median(one[what] for one in all_rounds)
                  for what in all_rounds[0]} for who, all_rounds in rounds.items()}


def report(results, options):
    alone, perf, hearth = results["alone"], results[PERF], results[HEARTH]
    for one in (perf, hearth):
        one["slowdown"] = 100 * (alone["speed"] / one["speed"] - 1)
        one["per_sample"] = one["bytes"] / max(1, one["samples"])
        one["mib"] = one["memory"] / 2**20
    rows = [
        ("CPU of the profiler, % of one CPU", "cpu", "{:.2f}"),
        ("slowdown of the load, %", "slowdown", "{:.2f}"),
        ("memory, largest resident set, MiB", "mib", "{:.1f}"),
        ("samples kept", "samples", "{:.0f}"),
        ("bytes on disk per sample", "per_sample", "{:.1f}"),
        ("samples lost", "lost", "{:.0f}"),
    ]
    ratios = {"cpu", "mib", "per_sample"}
    print(f"{options.rate} Hz, {harness.CPUS} CPUs, all busy, {options.seconds} s each way, "
          f"median of {options.rounds}; Linux {os.uname().release}\n")
    print(f"| {'':36} | {'perf record':>12} | {'hearth serve':>12} | {'ratio':>6} |")
    print(f"|{'-' * 38}|{'-' * 13}:|{'-' * 13}:|{'-' * 7}:|")
    for title, key, form in rows:
        ratio = ""
        if key in ratios and perf[key]:
            ratio = f"{hearth[key] / perf[key]:.2f}"
        print(f"| {title:36} | {form.format(perf[key]):>12} | {form.format(hearth[key]):>12} "
              f"| {ratio:>6} |")
    print(f"\nKernel memory of Hearth's BPF maps: {hearth['maps'] / 2**20:.1f} MiB.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", 1)[1].strip())
    parser.add_argument("--seconds", type=int, default=60, help="length of each phase (60)")
    parser.add_argument("--rate", type=int, default=99, help="samples a second (99)")
    parser.add_argument("--rounds", type=int, default=1, help="repeat, and print medians (1)")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("overhead.py: needs root, to sample the machine")
    if not shutil.which("perf"):
        sys.exit("overhead.py: needs perf; Debian's package is linux-perf")
    with contextlib.suppress(KeyboardInterrupt):
        report(measure_all(options), options)
        return
    sys.exit(130)


if __name__ == "__main__":
    main()

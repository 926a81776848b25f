"""A program with a known answer: 70, 20 and 10 % of its CPU time in three functions, several
threads. The server, `hearth record` and `perf record` watch the same run and must agree with
each other and with what the program measured of itself."""

import collections
import itertools
import json
import math
import os
import re
import signal
import subprocess

import harness

FUNCTIONS = ("burn_heavy", "burn_middle", "burn_light")
SECONDS = int(os.environ.get("HEARTH_SHARES_SECONDS", "30"))  # of CPU time, of each CPU
RATE_HZ = 99
WITHIN_CPU_PERCENT = 3.0


def shares_of(stacks):
    """Percent of the value below each function: [(frames, value)]."""
    total = sum(value for _, value in stacks)
    return {name: 100.0 * sum(value for frames, value in stacks if name in frames) / total
            for name in FUNCTIONS}


def share_error(percent, *sample_counts):
    """Five standard deviations of a share, or of the difference of two, in percent."""
    part = percent / 100
    return 500.0 * math.sqrt(part * (1 - part) * sum(1 / count for count in sample_counts))


def read_perf(path):
    """[(frames, 1)] of a perf.data file, by `perf script`."""
    text = subprocess.run(["perf", "script", "-i", path, "-F", "comm,ip,sym"],
                          check=True, capture_output=True, text=True).stdout
    stacks = []
    for block in text.split("\n\n"):
        frames = [line.split()[1] for line in block.splitlines()[1:] if len(line.split()) > 1]
        if frames:
            stacks.append((frames, 1))
    return stacks


class Shares(harness.Case):
    def start_all(self):
        """The load and the three that watch it."""
        load = self.workload("shares", harness.CPUS * 2, SECONDS / 2, comm="hearth-shares")
        start_us = harness.now_us()
        self.folded = self.path("run.folded")
        self.perf_data = self.path("perf.data")
        watchers = [
            subprocess.Popen([harness.BIN, "record", "-p", str(load.pid), "-d", "3600", "-o",
                              self.folded], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True),
            subprocess.Popen(["perf", "record", "-e", "cpu-clock", "-F", str(RATE_HZ), "-g", "-o",
                              self.perf_data, "-p", str(load.pid)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True),
        ]
        return load, start_us, watchers

    def from_api(self, pid, start_us, end_us):
        top = self.server.api("top", query=f'{{pid="{pid}"}}', from_us=start_us, until_us=end_us,
                              limit=1000)
        rows = collections.Counter()
        for row in top["rows"]:
            rows[row["name"]] += row["total_us"]
        return top, {name: 100.0 * rows[name] / top["total_us"] for name in FUNCTIONS}

    def test_everyone_agrees(self):
        harness.need_tool("perf")
        harness.need_tool("gcc")
        self.server = self.serve()
        load, start_us, watchers = self.start_all()
        *spent_ns, process_ns = map(int, load.line().split())
        end_us = harness.now_us()
        cpu_seconds = harness.cpu_seconds(load.pid)
        for watcher in watchers:
            watcher.send_signal(signal.SIGINT)
            output = watcher.communicate(timeout=harness.PATIENCE)
            # perf writes its file and then ends by the signal
            self.assertIn(watcher.returncode, (0, -signal.SIGINT), f"{watcher.args}: {output}")
        self.server.wait_stored(end_us)

        truth = {name: 100.0 * ns / sum(spent_ns) for name, ns in zip(FUNCTIONS, spent_ns)}
        top, api = self.from_api(load.pid, start_us - 1000000, end_us + 1000000)
        total_us = top["total_us"]
        folded = harness.read_folded(self.folded)
        recorded = shares_of(folded)
        stacks = read_perf(self.perf_data)
        perf = shares_of(stacks)
        taken = {"API": top["samples"], "perf": len(stacks),
                 "record": sum(value for _, value in folded) * RATE_HZ / 1e9}
        print(json.dumps({"truth": truth, "api": api, "record": recorded, "perf": perf,
                          "samples": taken,
                          "cpu_s": {"hearth": total_us / 1e6, "proc": cpu_seconds,
                                    "clock": process_ns / 1e9}}, indent=1))
        for name in FUNCTIONS:
            shares = {"API": api[name], "record": recorded[name], "perf": perf[name]}
            for who, share in shares.items():
                self.assert_close(share, truth[name], share_error(truth[name], taken[who]),
                                  f"{who}: {name}")
            for one, other in itertools.combinations(shares, 2):
                self.assert_close(shares[one], shares[other],
                                  share_error(truth[name], taken[one], taken[other]),
                                  f"{one} and {other}: {name}")
        self.assert_close(100 * total_us / 1e6 / cpu_seconds, 100.0,
                          WITHIN_CPU_PERCENT + self.sampling_error(cpu_seconds, end_us - start_us),
                          "CPU time in percent of /proc/PID/stat")
        self.check_ledgers()

    @staticmethod
    def sampling_error(cpu_seconds, took_us):
        """In percent, five standard deviations. Nothing while the program has all CPUs; while
        it shares them with others, the number of ticks that meet it is binomial."""
        part = min(1.0, cpu_seconds / (harness.CPUS * took_us / 1e6))
        return 500.0 * math.sqrt((1.0 - part) / (cpu_seconds * RATE_HZ))

    def check_ledgers(self):
        ledger = self.server.status()["ledger"]
        self.assert_balanced(ledger["kernel"], "kernel")
        self.assert_balanced(ledger["user"], "user")
        self.assertEqual(sum(ledger["user"]["dropped"].values()), 0, "nothing lost on the way")

    def test_folded_names_the_program_first(self):
        harness.need_tool("gcc")
        load = self.workload("shares", 1, 600, comm="hearth-shares")
        path = self.path("short.folded")
        done = harness.record_for(load.pid, 1, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        stacks = harness.read_folded(path)
        self.assertTrue(stacks, "one second of a busy program has samples")
        for frames, value in stacks:
            self.assertEqual(frames[0], "hearth-shares")
            self.assertGreater(value, 0)
            self.assertFalse(re.search(r"^$", "".join(frames)), frames)


if __name__ == "__main__":
    harness.main()

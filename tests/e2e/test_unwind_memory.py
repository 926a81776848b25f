"""Less memory for unwind information than what runs would fill: 4 MiB in the kernel, for 4.8 MB of
rows in two programs, and a compiler, interpreters and tools beside them. Rows come and go, and
what is shown stays right: shares, whole stacks, ledgers, sums."""

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys

import harness
import unwinding
from test_shares import FUNCTIONS, share_error
from test_unwind_real import NODE, PERL, PYTHON, SQL, write_c

DENSE = 2
CAP_BYTES = {"kernel": 4 << 20, "user": 16 << 20}
CPU_SECONDS = 12
# 6 000 samples of the program with a known answer: 3 points are 5 standard deviations.
RATE_HZ = 499
WHOLE_PERCENT = 95.0
WITHIN_POINTS = 3.0  # as stacks may be cut
NO_STACK = "no user stack"
# Code that it makes at run time keeps frame pointers mostly; that is not what is tested here.
JIT = "node"
LOOP = 'while :; do "$@" || exit; done'


def whole_percent(ends):
    walked = sum(ends.values()) - ends[NO_STACK]
    return 100.0 * ends["complete"] / walked if walked else 0.0


class UnwindMemory(unwinding.Case):
    def start_dense(self):
        """{pid: name} of programs whose rows alone are more than there is room for."""
        running = {}
        for copy in range(DENSE):
            path = self.build(f"u-dense{copy}", "unwind_dense.c", f"-DCOPY={copy}",
                              "-Wl,--build-id")
            process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, process_group=0)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            running[int(process.stdout.readline())] = f"dense {copy}"
        return running

    def start_real(self):
        """{pid: name} of what there is of real programs, each busy until it is killed."""
        text, source = self.path("text"), self.path("large.c")
        with open(text, "wb") as file:
            for i in range(500000):
                file.write(b"%d %d some text that repeats\n" % (i, i * i % 1000003))
        write_c(source)
        commands = {
            "xz": ("sh", "-c", LOOP, "sh", "xz", "-9", "-k", "-c", text),
            "git": ("sh", "-c", LOOP, "sh", "git", "hash-object", text),
            "sqlite3": ("sqlite3", ":memory:", SQL),
            "perl": ("perl", "-e", PERL),
            "python3": ("python3", "-c", PYTHON),
            "node": ("node", "-e", NODE),
            "gcc": ("gcc", "-O2", "-c", source, "-o", "/dev/null"),
        }
        running = {}
        for name, command in commands.items():
            if shutil.which(name):
                process = self.start(*command, preexec_fn=self.stand_back)
                self.addCleanup(self.signal_group, process.pid, signal.SIGKILL)
                running[process.pid] = name
        return running

    @staticmethod
    def stand_back():
        """A group, to be ended with its children; no session, as between those the scheduler may
        share out the CPUs evenly, whatever is nice."""
        os.setpgid(0, 0)
        os.nice(5)

    @staticmethod
    def signal_group(pid, signo):
        """A shell's or a compiler driver's children, too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signo)

    def check_tables(self, status):
        """Each table adds up to the totals, end by end."""
        for name in ("processes", "libraries"):
            table = status["stack_quality"][name]
            sums = collections.Counter(table["other"])
            for row in table["rows"]:
                sums.update(row["ends"])
            totals = {end: count for end, count in status["stack_ends"].items() if count}
            self.assertEqual({end: count for end, count in sums.items() if count}, totals, name)

    def check_whole(self, status, running):
        """Of what was started here, all native stacks together, and each dense program's."""
        ends = {pid: collections.Counter() for pid in running}
        for row in status["stack_quality"]["processes"]["rows"]:
            if row["pid"] in ends:
                ends[row["pid"]].update(row["ends"])
        together = collections.Counter()
        for pid, name in running.items():
            print(f"{name}: {whole_percent(ends[pid]):.2f} % whole, {dict(ends[pid])}",
                  file=sys.stderr)
            if name != JIT:
                together.update(ends[pid])
            if name.startswith("dense") or name == "shares":
                self.assertGreaterEqual(whole_percent(ends[pid]), WHOLE_PERCENT, name)
        self.assertGreaterEqual(whole_percent(together), WHOLE_PERCENT)

    def check_shares(self, server, load, spent_ns, span_us):
        top = server.api("top", query=f'{{pid="{load.pid}"}}', from_us=span_us[0],
                         until_us=span_us[1], limit=1000)
        rows = collections.Counter()
        for row in top["rows"]:
            rows[row["name"]] += row["total_us"]
        for name, ns in zip(FUNCTIONS, spent_ns):
            truth = 100.0 * ns / sum(spent_ns)
            within = max(WITHIN_POINTS, share_error(truth, top["samples"]))
            self.assert_close(100.0 * rows[name] / top["total_us"], truth, within,
                              f"share of {name}")

    def test_rows_come_and_go(self):
        running = self.start_dense()
        server = self.serve("--max-memory", "32M", "--rate", RATE_HZ)
        unwind = server.status()["unwind"]
        caps = {side: unwind[side]["cap_bytes"] for side in CAP_BYTES}
        self.assertEqual(caps, CAP_BYTES)
        running.update(self.start_real())
        start_us = harness.now_us()
        os.setpriority(os.PRIO_PROCESS, 0, -3)  # or it would wait for all the others
        load = self.workload("shares", 2, CPU_SECONDS / 2, comm="hearth-shares")
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        running[load.pid] = "shares"
        *spent_ns, _ = map(int, load.line().split())
        end_us = harness.now_us()
        harness.wait_until(lambda: server.status()["unwind"]["kernel"]["evictions"],
                           "the kernel's rows were evicted", unwinding.DEADLINE_S)
        for pid in running:
            self.signal_group(pid, signal.SIGSTOP)  # so that the server has the machine for itself
        server.wait_stored(end_us, unwinding.DEADLINE_S)
        status = server.status()
        unwind = status["unwind"]
        print(unwind, status["ledger"], status["cost"], file=sys.stderr)
        self.assertGreater(unwind["user"]["loads"], 0)
        self.assertGreater(unwind["kernel"]["loads"], 0)
        self.assertGreater(unwind["kernel"]["misses"], 0)
        self.assertLessEqual(unwind["kernel"]["used_bytes"], CAP_BYTES["kernel"])
        self.check_tables(status)
        self.check_whole(status, running)
        self.check_shares(server, load, spent_ns, (start_us - 1000000, end_us + 1000000))
        for side in ("kernel", "user"):
            self.assert_balanced(status["ledger"][side], side)
        self.assertEqual(server.stop(seconds=unwinding.DEADLINE_S), 0, server.output())

    def test_sizes_that_are_none(self):
        for command in ("serve", "record"):
            for size in ("0", "1", "31M", "-64M", "64MB", "much", ""):
                with self.subTest(command=command, size=size):
                    done = harness.run(command, "--max-memory", size)
                    self.assertEqual(done.returncode, 2)
                    self.assertEqual(len(done.stderr.splitlines()), 1)
                    self.assertIn("--max-memory", done.stderr)


if __name__ == "__main__":
    harness.main()

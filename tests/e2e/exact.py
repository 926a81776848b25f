"""What the tests of exact tracing share: programs, Hearth that traces, the law of its reports."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

SECONDS = 200  # to attach or to end, on a machine that has a lot else to do


def hurry():
    """In a child: before most else that wants to run. It is not what is measured."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, name):
        path = self.path(name)
        subprocess.run(["gcc", "-O1", "-g", "-fno-optimize-sibling-calls", "-pthread", "-o", path,
                        os.path.join(harness.HERE, "programs", name + ".c")], check=True)
        return path

    def record(self, *args, **options):
        """`hearth record --exact`; the report, if it was asked for as JSON."""
        done = harness.run("record", "--exact", *args, timeout=120, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout) if "--json" in args else done.stdout

    def check_ledger(self, report):
        switches = report["switches"]
        self.assertEqual(switches["seen"],
                         switches["sent"] + switches["unsampled"] + switches["open"] +
                         switches["ended"] + sum(switches["filtered"].values()) +
                         sum(switches["dropped"].values()))
        return switches

    @contextlib.contextmanager
    def tracing(self, *args):
        """Hearth that traces until the end; yields a list that has the report then."""
        report = []
        path = self.path("report.json")
        tracer = subprocess.Popen(
            [harness.BIN, "record", "--exact", "--json", "--report", path, "-d", "300", *args],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=hurry)
        try:
            harness.wait_until(
                lambda: any("prog_id" in one for one in harness.bpf_descriptors(tracer.pid)) and
                self.is_attached(tracer.pid), "hearth traces", SECONDS)
            yield report
            tracer.terminate()
            self.assertEqual(tracer.wait(timeout=SECONDS), 0, tracer.stderr.read())
            with open(path, encoding="utf-8") as file:
                report.append(json.load(file))
        finally:
            tracer.kill()
            tracer.wait()
            tracer.stderr.close()

    @staticmethod
    def is_attached(pid):
        """All four programs on the scheduler's events are links."""
        return sum("link_id" in one for one in harness.bpf_descriptors(pid)) >= 4

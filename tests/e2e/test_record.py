"""`hearth record`: the command's exit status is passed on, the formats are what their names
say, and the filters filter."""

import math
import os
import signal
import subprocess

import harness


class Record(harness.Case):
    def record(self, *args, **options):
        return harness.run("record", *args, **options)

    def test_exit_status_is_passed_on(self):
        for code in (0, 1, 3, 42, 255):
            with self.subTest(code=code):
                done = self.record("-o", self.path(f"{code}.folded"), "--", "sh", "-c",
                                   f"exit {code}")
                self.assertEqual(done.returncode, code, done.stderr)
        done = self.record("-o", self.path("killed.folded"), "--", "sh", "-c", "kill -TERM $$")
        self.assertEqual(done.returncode, 128 + signal.SIGTERM, "as a shell says it")

    def test_options_after_the_dashes_are_the_commands(self):
        done = self.record("-o", self.path("x.folded"), "--", "printf", "%s", "--help")
        self.assertEqual((done.returncode, done.stdout), (0, "--help"))

    def test_command_and_its_children_only(self):
        path = self.path("run.folded")
        done = self.record("-F", 499, "-o", path, "--", "sh", "-c",
                           "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); true")
        self.assertEqual(done.returncode, 0, done.stderr)
        comms = {frames[0] for frames, _ in harness.read_folded(path)}
        self.assertIn("sh", comms)
        self.assertLessEqual(comms, {"sh", "hearth"}, "only the command is in the file")

    def test_formats(self):
        harness.need_tool("gcc")
        load = self.workload("shares", 1, 60, comm="hearth-record")
        path = self.path("a.pb.gz")
        done = self.record("-p", load.pid, "-d", 1, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"burn_heavy", harness.read_gzip(path))
        path = self.path("a.folded")
        done = self.record("-p", load.pid, "-d", 2, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        total_ns = sum(value for _, value in harness.read_folded(path))
        # One thread that never waits; other load may take turns with it.
        self.assertGreater(total_ns, 0.2e9)
        self.assertLess(total_ns, 2.6e9)

    def test_rate(self):
        harness.need_tool("gcc")
        load = self.workload("shares", 1, 60, comm="hearth-record")
        totals = []
        for rate in (49, 499):
            path = self.path(f"{rate}.folded")
            before = harness.cpu_seconds(load.pid)
            done = self.record("-p", load.pid, "-d", 4, "-F", rate, "-o", path)
            took = harness.cpu_seconds(load.pid) - before
            self.assertEqual(done.returncode, 0, done.stderr)
            totals.append(sum(value for _, value in harness.read_folded(path)) / 1e9)
            # Five standard deviations, for when other load takes turns with it.
            within = 5 * math.sqrt(took / rate)
            self.assertLessEqual(totals[-1], took + within, "no more time than there was")
        self.assertGreater(min(totals), 0.2, "weights do not depend on the rate")

    def test_interrupted_recording_is_kept(self):
        harness.need_tool("gcc")
        load = self.workload("shares", 1, 60, comm="hearth-record")
        path = self.path("cut.folded")
        process = subprocess.Popen([harness.BIN, "record", "-p", str(load.pid), "-d", "60", "-o",
                                    path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        before = harness.cpu_seconds(load.pid)
        harness.wait_until(lambda: harness.cpu_seconds(load.pid) > before + 1.5, "it ran 1.5 s")
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, output)
        self.assertTrue(harness.read_folded(path))

    def test_quiet_when_piped(self):
        done = self.record("-d", 1, "-o", self.path("q.folded"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\r", done.stderr, "no progress line without a terminal")
        self.assertNotIn("\x1b", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_no_half_file(self):
        """A file that was there stays whole when the recording cannot start."""
        path = self.path("old.folded")
        with open(path, "w", encoding="utf-8") as file:
            file.write("old;stack 1\n")
        done = self.record("-p", 4194304, "-d", 1, "-o", path)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(harness.read_folded(path), [(["old", "stack"], 1)])
        self.assertEqual(os.listdir(self.folder), ["old.folded"])


if __name__ == "__main__":
    harness.main()

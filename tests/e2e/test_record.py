"""`hearth record`: the command's exit status is passed on, the formats are what their names
say, and the filters filter."""

import math
import os
import signal

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
        load = self.workload("shares", 1, 600, comm="hearth-record")
        path = self.path("a.pb.gz")
        done = harness.record_for(load.pid, 1, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"burn_heavy", harness.read_gzip(path))
        path = self.path("a.folded")
        done = harness.record_for(load.pid, 1, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        for frames, value in harness.read_folded(path):
            self.assertEqual(frames[0], "hearth-record")
            self.assertGreater(value, 0)

    def test_rate(self):
        harness.need_tool("gcc")
        program = harness.compiled(self.folder, "shares", comm="hearth-record")
        for rate in (49, 499):
            path = self.path(f"{rate}.folded")
            done = self.record("-F", rate, "-o", path, "--", program, 1, 3, timeout=400)
            self.assertEqual(done.returncode, 0, done.stderr)
            took = int(done.stdout.split()[-1]) / 1e9
            total = sum(value for _, value in harness.read_folded(path)) / 1e9
            # Five standard deviations, for when other load takes turns with it.
            self.assert_close(total, took, 5 * math.sqrt(took / rate), f"CPU time at {rate} Hz")

    def test_interrupted_recording_is_kept(self):
        harness.need_tool("gcc")
        load = self.workload("shares", 1, 600, comm="hearth-record")
        path = self.path("cut.folded")
        before = harness.cpu_seconds(load.pid)
        done = harness.record_for(load.pid, 2, "-o", path)
        took = harness.cpu_seconds(load.pid) - before
        self.assertEqual(done.returncode, 0, done.stderr)
        total = sum(value for _, value in harness.read_folded(path)) / 1e9
        # Five standard deviations, for when other load takes turns with it.
        self.assertGreaterEqual(total, 2 - 5 * math.sqrt(2 / 99))
        self.assertLessEqual(total, took + 5 * math.sqrt(took / 99))

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

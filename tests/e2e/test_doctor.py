"""`hearth doctor` tells what this kernel and these privileges allow: one line each, in text and
in JSON, and exits with 1 when `hearth serve` could not start."""

import json
import os
import shutil
import subprocess
import tempfile

import harness

NOBODY = 65534
# Each kernel that has BTF at all answers these, whoever asks.
ALWAYS = {"kernel", "BTF", "stack depth", "open files"}
STACKS = ["whole stacks", "unwind memory"]
NAMES = ["kernel", "BTF", "privileges", "process ids", "on-CPU sampling", "perf side-band",
         "build IDs", "stack depth", "other processes", "map_files", "kernel names", "cgroups",
         "lockdown", "open files", "hardware clock", "sleepable iterator",
         "copy from tasks", "task iterator", "task storage", "sampled switches",
         "off-CPU sampling", "task work",
         "exact tracing", "uprobes", "debuginfod"]


def as_nobody(*args, **options):
    """The hearth command, without any privilege: its own copy, where nobody may read it."""
    harness.need(os.geteuid() == 0, "needs root to become nobody")
    harness.need_tool("setpriv")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(harness.BIN, folder)
        os.chmod(copy, 0o755)
        return subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
             "--inh-caps=-all", copy, *args],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=harness.PATIENCE, **options)


class Doctor(harness.unittest.TestCase):
    def check_report(self, done):
        self.assertEqual(done.stderr, "")
        report = json.loads(done.stdout)
        capabilities = {c["name"]: c for c in report["capabilities"]}
        self.assertEqual([c["name"] for c in report["capabilities"]], NAMES)
        for capability in capabilities.values():
            self.assertIs(type(capability["works"]), bool)
            self.assertTrue(capability["why"])
            self.assertTrue(capability["used_for"])
            self.assertNotIn("\n", capability["why"])
            self.assertEqual("remedy" in capability, not capability["works"], capability)
        can_serve = all(c["works"] for c in capabilities.values() if c["required"])
        self.assertIs(report["can_serve"], can_serve)
        self.assertEqual(done.returncode, 0 if can_serve else 1)
        for name in ALWAYS:
            self.assertTrue(capabilities[name]["works"], capabilities[name])
        return capabilities

    def test_json(self):
        capabilities = self.check_report(harness.run("doctor", "--json"))
        if os.geteuid() == 0:
            self.assertTrue(capabilities["kernel names"]["works"])

    def test_nobody_is_told_what_is_missing(self):
        done = as_nobody("doctor", "--json")
        capabilities = self.check_report(done)
        self.assertEqual(done.returncode, 1)
        self.assertIn("CAP_BPF", capabilities["privileges"]["why"])
        self.assertIn("CAP_PERFMON", capabilities["privileges"]["why"])
        for name in ("on-CPU sampling", "privileges", "other processes"):
            self.assertFalse(capabilities[name]["works"], capabilities[name])
            self.assertIn("root", capabilities[name]["remedy"])
        # What the kernel has does not depend on who asks.
        for name, capability in self.check_report(harness.run("doctor", "--json")).items():
            if capability["why"].startswith("the kernel has "):
                self.assertTrue(capabilities[name]["works"], name)

    def test_text_has_one_line_each(self):
        for done in (harness.run("doctor"), as_nobody("doctor")):
            # A server may run on the default address.
            lines = [line for line in done.stdout.splitlines()
                     if line[10:28].strip() not in [*STACKS, "cut stacks"]]
            self.assertEqual(len(lines), len(NAMES))
            for line, name in zip(lines, NAMES):
                self.assertRegex(line, rf"^(works|MISSING|not here) +{name} +\S")
                self.assertEqual("; to do: " in line, not line.startswith("works"))

    def test_serve_says_the_same_in_one_line(self):
        done = as_nobody("serve", "--data", "/nonexistent/hearth")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)


class DoctorOfStacks(harness.Case):
    def test_a_server_is_asked_how_whole_its_stacks_are(self):
        server = self.serve()

        def has_user_stacks():
            harness.spin(0.03)
            ends = server.status()["stack_ends"]
            return sum(ends.values()) > ends.get("no user stack", 0)
        harness.wait_until(has_user_stacks, "there are user stacks")
        done = harness.run("doctor", "--json", "--url", server.url)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        stacks = json.loads(done.stdout)["stacks"]
        self.assertEqual([line["name"] for line in stacks][:2], STACKS)
        for line in stacks:
            self.assertIn(line["name"], [*STACKS, "cut stacks"])
            self.assertEqual("remedy" in line, not line["works"], line)
        self.assertRegex(stacks[0]["why"], r"^\d+\.\d % of [1-9]\d* user stacks")
        self.assertRegex(stacks[1]["why"], r"^\d+\.\d of \d+\.\d MiB in the kernel in use")
        text = harness.run("doctor", "--url", server.url)
        self.assertEqual(text.returncode, 0)
        for name in STACKS:
            self.assertRegex(text.stdout, rf"(?m)^(works|not here) +{name} +\d")

    def test_a_server_that_was_named_has_to_be_there(self):
        for url in ("http://127.0.0.1:1", "nonsense://x"):
            done = harness.run("doctor", "--json", "--url", url)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(json.loads(done.stdout)["stacks"], [])


if __name__ == "__main__":
    harness.main()

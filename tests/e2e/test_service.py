"""The systemd unit: without a fault, hardened, and with the few capabilities it keeps, the
sampler still works."""

import os
import re
import subprocess

import harness

UNIT = os.path.join(harness.ROOT, "deploy/hearth.service.in")


class Service(harness.Case):
    def unit(self):
        """The unit as installed, with a program that is there."""
        with open(UNIT, encoding="utf-8") as file:
            text = file.read().replace("@CMAKE_INSTALL_FULL_BINDIR@/hearth", "/bin/true")
        self.assertNotIn("@CMAKE", text)
        path = self.path("hearth.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path, text

    def test_verifies(self):
        harness.need_tool("systemd-analyze")
        path, _ = self.unit()
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True,
                              check=False)
        # Unknown keys are said on stderr only.
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_is_hardened(self):
        harness.need_tool("systemd-analyze")
        path, _ = self.unit()
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=40",
                               path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-300:])

    def test_capabilities_suffice(self):
        harness.need_tool("setpriv")
        harness.need_tool("gcc")
        _, text = self.unit()
        names = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.M).group(1).lower().split()
        have = subprocess.run(["setpriv", "--dump"], capture_output=True, text=True,
                              check=True).stdout
        have = re.search(r"^Capability bounding set: (.*)$", have, re.M).group(1).split(",")
        keep = [name.removeprefix("cap_") for name in names]
        keep = [f"+{name}" for name in keep if name in have]
        # A program in a folder and owned by a user who lets nobody else look.
        os.chmod(self.folder, 0o755)
        secret = self.path("secret")
        os.mkdir(secret, 0o700)
        load = harness.Workload(secret, "shares", 1, 600, comm="hearth-secret")
        self.addCleanup(load.__exit__)
        os.chown(secret, 65534, 65534)
        path = self.path("out.folded")
        limit = ["setpriv", "--no-new-privs", "--bounding-set", "-all," + ",".join(keep),
                 "--inh-caps", "-all"]
        done = harness.record_for(load.pid, 1, "-o", path, before=limit)
        self.assertEqual(done.returncode, 0, done.stderr)
        names = {name for frames, _ in harness.read_folded(path) for name in frames}
        self.assertIn("burn_heavy", names)


if __name__ == "__main__":
    harness.main()

"""SIGINT and SIGTERM: exit 0, what was taken is stored, and nothing is left behind: no BPF
program, map or link, no temporary file."""

import json
import os
import signal
import subprocess

import harness

KINDS = ("prog", "map", "link")


def held_by(pid):
    """{kind: ids} of the BPF objects that a process holds."""
    descriptors = harness.bpf_descriptors(pid)
    return {kind: {int(one[f"{kind}_id"]) for one in descriptors if f"{kind}_id" in one}
            for kind in KINDS}


def in_the_kernel():
    """{kind: ids} of all BPF objects there are."""
    found = {}
    for kind in KINDS:
        done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, text=True,
                              check=True,
                              env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        found[kind] = {one["id"] for one in json.loads(done.stdout or "[]")}
    return found


class Leftovers(harness.Case):
    def check_signal(self, signo):
        harness.need_tool("bpftool")
        tmp = self.path("tmp")
        os.mkdir(tmp)
        server = self.serve(env={"TMPDIR": tmp})
        mine = held_by(server.pid)
        self.assertTrue(mine["prog"] and mine["map"], "the sampler is in the kernel")
        there = in_the_kernel()
        for kind in KINDS:
            self.assertLessEqual(mine[kind], there[kind])
        asked_us = harness.now_us()
        server.wait_stored(asked_us)
        self.assertEqual(server.stop(signo), 0, server.output())

        def gone():
            there = in_the_kernel()
            return all(not (mine[kind] & there[kind]) for kind in KINDS)
        harness.wait_until(gone, "its BPF objects are gone")  # maps go after an RCU period
        self.assertEqual(os.listdir(tmp), [])
        done = harness.run("query", "top", "--data", self.data, "--from", "now-5m", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads(done.stdout)["samples"], 0)

    def test_sigterm(self):
        self.check_signal(signal.SIGTERM)

    def test_sigint(self):
        self.check_signal(signal.SIGINT)

    def test_signal_while_it_starts(self):
        for _ in range(5):
            process = subprocess.Popen(
                [harness.BIN, "serve", "--listen", "127.0.0.1:0", "--data", self.data],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            process.stderr.read(1)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=harness.PATIENCE)
            self.assertIn(process.returncode, (0, -signal.SIGTERM))

    def test_flushes_what_was_taken(self):
        harness.need_tool("gcc")
        server = self.serve()
        self.workload("shares", harness.CPUS, 600, comm="hearth-flush")
        for _ in range(3):  # at any moment between two writes to the store
            server.wait_stored(harness.now_us())
            harness.spin(0.2)
        ledger = server.status()["ledger"]
        lost = sum(sum(ledger[side]["dropped"].values()) for side in ("kernel", "user"))
        self.assertEqual(server.stop(), 0, server.output())
        done = harness.run("query", "top", "--type", "wall", "--data", self.data, "--from",
                           "now-1h", "--until", "now", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(json.loads(done.stdout)["samples"],
                                ledger["kernel"]["taken"] - lost, "every sample is in the store")


if __name__ == "__main__":
    harness.main()

"""Go's pprof reads what we export, from a file and from every URL it comes from, and sees the
same shares."""

import math
import os
import re
import subprocess
import urllib.parse

import harness

RATE_HZ = 499
CPU_SECONDS = 10  # some 5,000 samples
# Their error is 3.2 in percent, five standard deviations; a round of the program that is cut, at
# either end and in each thread, another 1.4.
WITHIN_POINTS = 6
BURNERS = {"burn_heavy": 70, "burn_middle": 20, "burn_light": 10}  # percent
RESULT = re.compile(r"^\s*\S+\s+[\d.]+%\s+[\d.]+%\s+(\S+)\s+([\d.]+)%\s+(.+)$", re.M)


class Pprof(harness.Case):
    def setUp(self):
        super().setUp()
        harness.need_tool("go")
        harness.need_tool("gcc")

    def pprof(self, *args):
        env = {**os.environ, "PPROF_TMPDIR": self.folder, "HOME": self.folder,
               "GOCACHE": self.path("cache")}
        done = subprocess.run(["go", "tool", "pprof", *args], env=env, capture_output=True,
                              text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def shares(self, source):
        """{function: cumulative percent} of `pprof -top -cum`."""
        text = self.pprof("-top", "-cum", "-nodecount=500", "-timeout=240", source)
        self.assertIn("Type: cpu", text)
        return {name: float(percent) for _, percent, name in RESULT.findall(text)}

    def assert_shares(self, shares):
        for name, wanted in BURNERS.items():
            self.assert_close(shares.get(name, 0), wanted, WITHIN_POINTS, name)

    def test_urls_and_file(self):
        load = self.workload("shares", harness.CPUS, 15, comm="hearth-pprof")
        server = self.serve("-F", RATE_HZ)
        start_us = harness.now_us()
        query = urllib.parse.quote(f'{{pid="{load.pid}"}}')

        # While it runs: the last seconds, from the store.
        end = harness.cpu_seconds(load.pid) + CPU_SECONDS
        harness.wait_until(lambda: harness.cpu_seconds(load.pid) >= end, "it ran", 300)
        ran_us = harness.now_us()
        server.wait_stored(ran_us)
        seconds = math.ceil((harness.now_us() - start_us) / 1e6)
        live = f"{server.url}/debug/pprof/profile?seconds={seconds}&query={query}"
        self.assert_shares(self.shares(live))

        load.line()
        end_us = harness.now_us()
        server.wait_stored(end_us)
        export = (f"{server.url}/api/v1/export?format=pprof&query={query}"
                  f"&from={start_us / 1e6:.3f}&until={end_us / 1e6:.3f}")
        by_url = self.shares(export)
        self.assert_shares(by_url)

        path = self.path("saved.pb.gz")
        done = harness.run("query", "pprof", "--url", server.url, "--from",
                           f"{start_us / 1e6:.3f}", "--until", f"{end_us / 1e6:.3f}", "-o", path,
                           f'{{pid="{load.pid}"}}')
        self.assertEqual(done.returncode, 0, done.stderr)
        saved = self.shares(path)
        for name in BURNERS:
            self.assertEqual(saved[name], by_url[name], "file and URL are the same profile")

        # The same numbers in the API.
        top = server.api("top", query=f'{{pid="{load.pid}"}}', from_us=start_us, until_us=end_us)
        for row in top["rows"]:
            if row["name"].startswith("burn_"):
                self.assert_close(by_url[row["name"]], 100 * row["total_us"] / top["total_us"],
                                  0.1, row["name"])

    def test_recorded_file(self):
        load = self.workload("shares", harness.CPUS, 600, comm="hearth-pprof")
        path = self.path("run.pb.gz")
        done = harness.record_for(load.pid, CPU_SECONDS, "-F", RATE_HZ, "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_shares(self.shares(path))
        self.assertIn("hearth-pprof", self.pprof("-raw", path), "the mapping has its file")
        self.assertRegex(self.pprof("-traces", path), r"burn_heavy")


if __name__ == "__main__":
    harness.main()

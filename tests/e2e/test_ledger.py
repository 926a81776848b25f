"""Nothing is lost silently: with a ring of two pages and a reader that is stopped, samples are
lost; every one of them is in the ledger, and status, metrics and timeline say the same."""

import json
import re
import signal

import harness


def metric_sum(text, pattern):
    """Sum of the metrics whose line (name and labels) matches."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
               if not line.startswith("#") and re.search(pattern, line.rpartition(" ")[0]))


class Ledger(harness.Case):
    def lossy_server(self):
        harness.need_tool("gcc")
        self.workload("stacks", harness.CPUS * 2)
        server = self.serve("--ring-bytes", 8192, "--rate", 499)

        def dropped():
            # 8 KiB are a few stacks: no reader for a moment, and the ring is full.
            with harness.stopped(server.pid):
                harness.spin(0.3)
            return server.status()["ledger"]["kernel"]["dropped"]["ring_full"]
        harness.wait_until(lambda: dropped() > 50, "a tiny ring loses samples")
        return server

    def test_balances_while_it_runs(self):
        server = self.lossy_server()
        for _ in range(50):
            ledger = server.status()["ledger"]
            self.assert_balanced(ledger["kernel"], "kernel")
            self.assert_balanced(ledger["user"], "user")
            # What is still in the ring is taken by nobody yet. A CPU counts a record after it
            # is in the ring, and may be held up in between.
            self.assertLessEqual(ledger["user"]["taken"],
                                 ledger["kernel"]["stored"] + harness.CPUS)

    def test_metrics_agree_with_status(self):
        server = self.lossy_server()
        before = server.status()["ledger"]
        text = server.get("/metrics")[2].decode()
        after = server.status()["ledger"]
        for side in ("kernel", "user"):
            for key in ("taken", "stored"):
                value = metric_sum(text, rf'samples_{key}\w*\{{.*{side}')
                self.assertLessEqual(before[side][key], value, f"{side} {key} in /metrics")
                self.assertGreaterEqual(after[side][key], value, f"{side} {key} in /metrics")
        lost = metric_sum(text, r'dropped.*ring_full')
        self.assertLessEqual(before["kernel"]["dropped"]["ring_full"], lost)
        self.assertGreaterEqual(after["kernel"]["dropped"]["ring_full"], lost)

    def test_timeline_shows_the_loss(self):
        server = self.lossy_server()
        lost = server.status()["ledger"]["kernel"]["dropped"]["ring_full"]
        server.wait_stored(harness.now_us())
        series = server.api("series", **{"from": "now-1h", "until": "now", "step": "1s"})
        self.assertEqual(len(series["dropped"]), series["points"])
        self.assertGreaterEqual(sum(series["dropped"]), lost * 0.9, "losses are on the timeline")
        for taken, dropped in zip(series["taken"], series["dropped"]):
            self.assertLessEqual(dropped, taken)

    def test_balances_exactly_after_the_run(self):
        server = self.lossy_server()
        kernel = server.status()["ledger"]["kernel"]
        self.assertEqual(server.stop(signal.SIGTERM), 0, server.output())
        # There is one ledger for what runs and what waits.
        everything = ("--type", "wall", "--data", self.data, "--from", "now-10m", "--until", "now",
                      "--json")
        done = harness.run("query", "series", *everything)
        self.assertEqual(done.returncode, 0, done.stderr)
        series = json.loads(done.stdout)
        done = harness.run("query", "top", *everything)
        self.assertEqual(done.returncode, 0, done.stderr)
        samples = json.loads(done.stdout)["samples"]
        self.assertGreaterEqual(sum(series["dropped"]), kernel["dropped"]["ring_full"])
        self.assertGreaterEqual(sum(series["taken"]), kernel["taken"], "every tick is in the store")
        self.assertEqual(sum(series["taken"]), samples + sum(series["dropped"]),
                         "taken = stored + dropped, over the whole run")

    def test_a_normal_ring_loses_nothing(self):
        harness.need_tool("gcc")
        self.workload("stacks", harness.CPUS * 2)
        server = self.serve()
        harness.wait_until(lambda: server.status()["ledger"]["user"]["stored"] > 500,
                           "500 samples are stored")
        ledger = server.status()["ledger"]
        self.assertEqual(sum(ledger["kernel"]["dropped"].values()), 0, ledger)
        self.assertEqual(sum(ledger["user"]["dropped"].values()), 0, ledger)


if __name__ == "__main__":
    harness.main()

"""Waits that are much longer than the time between two visits: whoever waits through a whole range
is there with its length, whatever happens to it or to the server; 5,000 sleepers cost little; and
what `hearth record` writes of it all."""

import os
import signal
import time

import harness
import waiting


class LongWaits(waiting.Case):
    def test_killed_while_it_waits(self):
        """The last part of a wait, since the last visit or record, is not lost."""
        server = self.serve()
        program = self.workload("wait_herd", 20)
        self.settle(server, program)
        start_us = harness.now_us()
        time.sleep(3.7)
        kill_us = harness.now_us()
        os.kill(program.pid, signal.SIGKILL)
        program.process.wait()
        end_us = harness.now_us()
        query = f'{{pid="{program.pid}"}}'
        harness.wait_until(lambda: len(self.fetch(server, kill_us, end_us + 1_000_000,
                                                  query).by_tid) == 21,
                           "what all waited at last is stored")
        profile = self.fetch(server, start_us, end_us + 1_000_000, query)
        tids = {sample.labels["tid"] for sample in profile.samples}
        self.assertEqual(len(tids), 21)
        least_ns, most_ns = (kill_us - start_us) * 1000, (end_us - start_us) * 1000
        for tid in tids:
            waited_ns = waiting.total_ns(profile.of(tid=tid))
            self.assertGreaterEqual(waited_ns, 0.97 * least_ns, f"waited by {tid}")
            self.assertLessEqual(waited_ns, 1.03 * most_ns, f"waited by {tid}")

    def test_any_range_of_a_long_wait(self):
        """Threads that sleep through the whole range are there, for its length; a restart of the
        server changes nothing of it."""
        server = self.serve()
        program = self.workload("wait_herd", 4)
        self.settle(server, program)
        window = waiting.watch(program.pid, 13)
        query = f'{{pid="{program.pid}"}}'
        self.fetch_pid(server, program, window)  # stores what is being waited
        middle_us = window.start_us + 4_321_000
        for start_us, end_us in ((window.start_us, window.end_us),
                                 (middle_us, middle_us + 3_000_000),
                                 (middle_us, middle_us + 700_000)):
            top = server.api("top", type="offcpu", query=query, from_us=start_us, until_us=end_us)
            self.assert_percent(top["total_us"], 5 * (end_us - start_us), waiting.WITHIN_PERCENT,
                                "waited in a range of a wait")
        self.check_flat(server, query, window)
        old = self.fetch_pid(server, program, window)
        self.assertEqual(server.stop(), 0, server.output())
        server = self.serve()
        self.settle(server, program)
        later = waiting.watch(program.pid, 2)
        again = self.fetch_pid(server, program, window)
        self.assertEqual(waiting.by_label(again.samples, "tid"),
                         waiting.by_label(old.samples, "tid"), "history is what it was")
        profile = self.fetch_pid(server, program, later)
        for tid in later.tids:
            self.assert_waited(profile, later, tid, "after the restart")

    def check_flat(self, server, query, window):
        """Each second of the timeline has a second of each thread."""
        series = server.api("series", type="offcpu", query=query, step="1s", group_by="tid",
                            from_us=window.start_us, until_us=window.end_us)
        self.assertEqual(len(series["series"]), 5)
        for line in series["series"]:
            for point_us in line["weight_us"][1:-1]:
                self.assert_close(point_us / 1e6, 1.0, 0.05, "a second of a sleeper")

    def test_stopped(self):
        server = self.serve()
        program = self.workload("wait_herd", 3)
        with harness.stopped(program.pid):
            self.settle(server, program)
            window = waiting.watch(program.pid, 3)
            profile = self.fetch_pid(server, program, window)
        self.assertEqual(set(waiting.by_label(profile.samples, "reason")), {"stopped"})
        for tid in window.tids:
            self.assert_waited(profile, window, tid, "stopped")

    def test_five_thousand_sleepers(self):
        threads, seconds = 5000, 20
        server = self.serve()
        program = self.workload("wait_herd", threads)
        self.settle(server, program)
        before, start_s = server.status(), time.monotonic()
        window = waiting.watch(program.pid, seconds)
        after, took_s = server.status(), time.monotonic() - start_s
        profile = self.fetch_pid(server, program, window)
        self.assertEqual({int(one.labels["tid"]) for one in profile.samples}, window.tids)
        for tid in window.tids:
            self.assert_waited(profile, window, tid, f"sleeper {tid}")
        for side in ("kernel", "user"):
            dropped = after["ledger"][side]["dropped"]
            self.assertEqual(sum(dropped.values()), 0, dropped)
        rate = (after["ledger"]["kernel"]["taken"] - before["ledger"]["kernel"]["taken"]) / took_s
        top = server.api("top", type="offcpu", query=f'{{pid="{program.pid}"}}',
                         from_us=window.start_us, until_us=window.end_us)
        cpu = (after["waiting"]["cpu_us"] - before["waiting"]["cpu_us"]) / took_s / 1e4
        waiting.say(f"{rate:.0f} records a second of the whole machine, {top['samples']} in "
                    f"{window.ns / 1e9:.1f} s of the sleepers, passes {cpu:.2f} % of a CPU, "
                    f"{after['waiting']}")
        # One each ten seconds of each, and those that begin before or end after the range.
        self.assertLessEqual(top["samples"], (threads + 1) * (window.ns / 10e9 + 2))
        if after["waiting"]["period_us"] < 1_000_000:  # the longest there is
            self.assertLessEqual(cpu, 1.0, "the rate is lowered before it costs 0.5 % of a CPU")


class Recorded(waiting.Case):
    def test_record(self):
        """A file of one program, by pid and by command, is of the time that it says."""
        program, seconds = self.workload("wait_cycle", 4, 600), 4
        program.begin()
        for kind in ("offcpu", "wall"):
            with self.subTest(type=kind):
                profile = self.record(kind, "-p", program.pid, seconds=seconds)
                self.assertGreaterEqual(profile.duration_us, seconds * 1e6)
                self.assertEqual(profile.pids(), {program.pid})
                tids = {sample.labels["tid"] for sample in profile.samples}
                self.assertEqual(len(tids), 5)
                self.assertEqual(profile.types[profile.column][0], kind)
                self.check_same_time(profile, tids, seconds)
        stacks = self.record("offcpu", "-p", program.pid, seconds=2, suffix="folded")
        for frames, _ in stacks:
            self.assertRegex(frames[-1], r"^\[\w+\]$", "the innermost frame is the reason")
        self.assertTrue([1 for frames, _ in stacks if "wait_a" in frames])

    def check_same_time(self, profile, tids, seconds):
        """All threads are sampled from the first visit, a little after the file begins, to the
        last, which comes after so many seconds."""
        waited_ns = [waiting.total_ns(profile.of(tid=tid)) for tid in tids]
        waiting.say(f"{seconds} s in a profile of {profile.duration_us / 1e6:.2f} s: {waited_ns}")
        self.assertGreater(min(waited_ns), 0.8 * seconds * 1e9)
        self.assert_percent(max(waited_ns + [1000 * profile.duration_us]),
                            1000 * profile.duration_us, waiting.WITHIN_PERCENT, "no longer")
        for one_ns in waited_ns:
            self.assert_percent(one_ns, max(waited_ns), waiting.WITHIN_PERCENT, "as all others")

    def test_record_command(self):
        """From its first wait to its last."""
        path = self.build("wait_once", "wait_cycle.c")
        out = self.path("once.pb.gz")
        done = harness.run("record", "--type", "offcpu", "-o", out, "--", path, 2, 3)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [list(map(int, line.split())) for line in done.stdout.splitlines()]
        with open(out, "rb") as file:
            profile = waiting.Pprof(file.read())
        for tid, _, _, _, waited_ns, _ in rows[2:]:
            self.assert_percent(waiting.total_ns(profile.of(tid=tid)), waited_ns,
                                waiting.WITHIN_PERCENT, f"waited by {tid}")


if __name__ == "__main__":
    harness.main()

"""Programs that know how long they waited, where and for what: the store says the same, in shares
and in sums."""

import os

import harness
import waiting

SECONDS = waiting.SECONDS
THREADS = 12


class Shares(waiting.KnownCase):
    def test_cycle(self):
        self.check_cycle(self.workload("wait_cycle", THREADS, SECONDS))

    def test_cycle_on_changing_cpus(self):
        self.check_cycle(self.workload("wait_cycle", THREADS, SECONDS, "hop", comm="wait_hop"))

    def check_cycle(self, program):
        start_us, end_us = self.range_of(program)
        rows = [list(map(int, words)) for words in self.rows(program, THREADS)]
        profile = self.fetch_range(program, start_us, end_us)
        for tid, in_a_ns, in_b_ns in rows:
            self.assert_percent(waiting.total_ns(profile.of(tid=tid)), in_a_ns + in_b_ns,
                                waiting.WITHIN_PERCENT, f"waited by {tid}")
        truth = {"wait_a": sum(row[1] for row in rows), "wait_b": sum(row[2] for row in rows)}
        total_ns = sum(truth.values())
        self.assert_shares(profile.samples, truth, self.bound(125e6, 0.2, total_ns), "cycle")
        sleeping = [one for one in profile.samples if "wait_a" in one.frames]
        self.assert_reason(sleeping, "sleep")
        always = profile.of(tid=program.pid)
        self.assert_percent(waiting.total_ns(always), (end_us - start_us) * 1000,
                            waiting.WITHIN_PERCENT, "blocked for the whole run")
        # By then all that is needed to walk its stack has been read.
        middle_us = (start_us + end_us) // 2
        always = [one for one in self.fetch_range(program, middle_us, end_us).of(program.pid)
                  if "wait_always" in one.frames]
        self.assert_chain(always, ("main", "wait_always"), "blocked for the whole run")
        # A visit later it was seen to wait for the end of its input.
        self.assertGreater(waiting.total_ns(always), 0.8 * (end_us - middle_us) * 1000)
        wall = self.fetch_range(program, start_us, end_us, "wall")
        for tid, *_ in rows:
            self.assert_percent(waiting.total_ns(wall.of(tid=tid)), (end_us - start_us) * 1000,
                                waiting.WITHIN_PERCENT, "wall is elapsed time")

    def test_spinners_on_one_cpu(self):
        """Four threads take turns: what they do not get of the CPU is time on the run queue."""
        program = self.workload("wait_cpu", 4, min(os.sched_getaffinity(0)))
        self.settle(self.server, program)
        window = waiting.watch(program.pid, SECONDS)
        profile = self.fetch_pid(self.server, program, window)
        wall = self.fetch_pid(self.server, program, window, "wall")
        for tid in sorted(window.tids - {program.pid}):
            mine = profile.of(tid=tid)
            reasons = waiting.by_label(mine, "reason")
            self.assertLessEqual(set(reasons), waiting.RUNNABLE, "it never waits by itself")
            self.assertGreater(reasons["preempted"], reasons["run_queue"], "nobody woke it")
            self.assert_chain(mine, ("run", "spin"), "spinner")
            # One turn that is not over yet is in no schedstat.
            self.assert_waited(profile, window, tid, "spinner")
            self.assert_percent(waiting.total_ns(mine), window.delay_ns[tid],
                                waiting.WITHIN_PERCENT + 1, "run queue by schedstat")
            self.assert_percent(waiting.total_ns(wall.of(tid=tid)), window.ns,
                                waiting.WITHIN_PERCENT + waiting.tick_error(window, tid),
                                "wall is elapsed time")

    def test_shorter_than_a_period(self):
        """Processes that live 30 ms: what was seen of them and what no visit met add up."""
        count, ms = 300, 30
        program = self.workload("wait_short", count, ms, SECONDS)
        start_us, end_us, true_ns = map(int, program.words())
        profile = self.fetch(self.server, start_us, end_us, '{comm="wait_short"}')
        slept = [one for one in profile.samples if "sleep_short" in one.frames]
        seen = waiting.total_ns(slept) / true_ns
        after = self.server.status()["waiting"]
        unseen = (after["unseen_us"] - self.before["unseen_us"]) * 1000 / true_ns
        period_ns = (end_us - start_us) * 1000 / (after["passes"] - self.before["passes"])
        waiting.say(f"{true_ns / 1e9:.2f} s in {count} sleeps: {100 * seen:.1f} % seen, "
                    f"{100 * unseen:.1f} % counted as unseen")
        self.assertGreaterEqual(seen + unseen, 0.95, "all of it is accounted for")
        self.assertLessEqual(seen, 1.05, "no more than there was")
        # A visit meets one with the chance of its length by the period's.
        chance = min(1.0, ms * 1e6 / period_ns)
        error = waiting.SIGMAS * (chance * (1 - chance) / count) ** 0.5
        self.assertGreaterEqual(seen, chance - error, "as much as the visits can meet")


if __name__ == "__main__":
    harness.main()

"""Programs that know how long they waited, where and for what: the store says the same, in shares
and in sums."""

import os

import harness
import waiting

SECONDS = waiting.SECONDS
THREADS = 12


class Shares(waiting.KnownCase):
    def test_cycle(self):
        self.check_cycle(self.begin("wait_cycle", THREADS, SECONDS))

    def test_cycle_on_changing_cpus(self):
        self.check_cycle(self.begin("wait_cycle", THREADS, SECONDS, "hop", comm="wait_hop"))

    def check_cycle(self, program):
        start_us, end_us = self.range_of(program)
        rows = [list(map(int, words)) for words in self.rows(program, THREADS)]
        profile = self.fetch_range(program, start_us, end_us)
        # Also outside of its sleeps: for a CPU, after a hop.
        for tid, _, _, _, waited_ns, _ in rows:
            self.assert_percent(waiting.total_ns(profile.of(tid=tid)), waited_ns,
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
        self.assertGreater(waiting.total_ns(always),
                           0.9 * (end_us - middle_us) * 1000 - 2 * self.period_ns)
        wall = self.fetch_range(program, start_us, end_us, "wall")
        for tid, _, _, lived_ns, waited_ns, _ in rows:
            error = waiting.tick_error(lived_ns - waited_ns, lived_ns)
            self.assert_percent(waiting.total_ns(wall.of(tid=tid)), lived_ns,
                                waiting.WITHIN_PERCENT + error, "wall is elapsed time")

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
            runnable_ns = sum(reasons[reason] for reason in waiting.RUNNABLE)
            self.assertGreaterEqual(runnable_ns, (1 - waiting.STRAY_PART) * sum(reasons.values()),
                                    f"it never waits by itself: {reasons}")
            self.assertGreater(reasons["preempted"], reasons["run_queue"], "nobody woke it")
            self.assert_chain(mine, ("run", "spin"), "spinner")
            # One turn that is not over yet is in no schedstat.
            self.assert_waited(profile, window, tid, "spinner")
            stolen = 100.0 * window.stolen_ns / window.delay_ns[tid]
            self.assert_percent(waiting.total_ns(mine), window.delay_ns[tid],
                                waiting.WITHIN_PERCENT + 1 + stolen, "run queue by schedstat")
            error = waiting.tick_error(window.cpu_ns[tid], window.ns)
            self.assert_percent(waiting.total_ns(wall.of(tid=tid)), window.ns,
                                waiting.WITHIN_PERCENT + error, "wall is elapsed time")

    def test_shorter_than_a_period(self):
        """Processes that live 30 ms: what was seen of them and what no visit met add up."""
        count, ms = 300, 30
        program = self.begin("wait_short", count, ms, SECONDS)
        start_us, end_us, slept_ns, lived_ns = self.range_of(program)
        profile = self.fetch(self.server, start_us, end_us, '{comm="wait_short"}')
        children = [one for one in profile.samples if int(one.labels["tid"]) != program.pid]
        # Elsewhere they wait for a CPU, and what was seen of one is where it was seen last.
        sleeping = [one for one in children if "sleep_short" in one.frames]
        seen_ns, met_ns = waiting.total_ns(children), waiting.total_ns(sleeping)
        unseen_ns = self.visits.counted("unseen_us") * 1000  # of the whole machine
        waiting.say(f"{slept_ns / 1e9:.2f} s in {count} sleeps: {seen_ns / 1e9:.2f} s seen, "
                    f"{met_ns / 1e9:.2f} of it asleep, {unseen_ns / 1e9:.2f} counted as unseen")
        self.assertGreaterEqual(seen_ns + unseen_ns, 0.95 * slept_ns, "all is accounted for")
        self.assertLessEqual(seen_ns, 1.05 * lived_ns, "no more than there was")
        # A visit meets one with the chance of its length by the period's.
        chance = min(1.0, ms * 1e6 / self.period_ns)
        error = waiting.SIGMAS * (chance * (1 - chance) / count) ** 0.5
        self.assertGreaterEqual(met_ns, (chance - error) * slept_ns, "as visits can meet")


if __name__ == "__main__":
    harness.main()

"""A process with tens of thousands of mappings, thousands of them of code, that goes on making
others: its stacks stay whole, the kernel's walker learns of new code, and what Hearth spends on
it stays small."""

import sys

import harness
import unwinding

MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"
PLAIN, COPIES = 50000, 8000
RATE_HZ = 499
# Of one CPU, for the thread that follows what is mapped: some 0.05. Each change pushed at once, or
# maps read anew for it, takes from 0.15 more to all there is.
MAX_CPUS = 0.2
CPU_SECONDS = 4
MAX_MISSES_PERCENT = 50.0


class Maps(unwinding.Case):
    def start_mapper(self, pause_us):
        with open(MAX_MAP_COUNT, encoding="utf-8") as file:
            limit = int(file.read())
        harness.need(limit > PLAIN + COPIES + 1000, f"needs {MAX_MAP_COUNT} above what it is")
        plugin = self.build("libmaps.so", "unwind_plugin.c", "-shared", "-fPIC",
                            "-Wl,-Bsymbolic")
        program = self.build("maps", "maps.c")
        mapper = self.start(program, plugin, PLAIN, COPIES, pause_us, stdout=-1, text=True)
        self.assertEqual(int(mapper.stdout.readline()), mapper.pid)
        with open(f"/proc/{mapper.pid}/maps", encoding="utf-8") as lines:
            self.assertGreater(sum(1 for _ in lines), PLAIN + COPIES)
        return mapper

    def check_stacks(self, status, pid):
        """All of its stacks are whole, but for a few."""
        ends = {}
        for row in status["stack_quality"]["processes"]["rows"]:
            if row["pid"] == pid and row["comm"] == "maps":
                ends = row["ends"]
        total = sum(ends.values()) - ends.get("no user stack", 0)
        self.assertGreater(total, RATE_HZ, "samples")
        self.assertGreaterEqual(100.0 * ends["complete"] / total, unwinding.WHOLE_PERCENT, ends)

    def check(self, pause_us):
        server = self.serve("--rate", RATE_HZ)
        mapper = self.start_mapper(pause_us)
        until = harness.cpu_seconds(mapper.pid) + 1
        harness.wait_until(lambda: harness.cpu_seconds(mapper.pid) > until, "it maps",
                           unwinding.DEADLINE_S)
        before, before_us = server.status(), harness.now_us()
        spent = -unwinding.CollectorTimes(server.pid).ran_s
        until += CPU_SECONDS
        harness.wait_until(lambda: harness.cpu_seconds(mapper.pid) > until, "it maps on",
                           unwinding.DEADLINE_S)
        spent += unwinding.CollectorTimes(server.pid).ran_s
        after, after_us = server.status(), harness.now_us()
        self.assertIsNone(mapper.poll())
        server.wait_stored(after_us, unwinding.DEADLINE_S)
        events, taken, misses = (read(after) - read(before) for read in (
            lambda status: status["sideband"]["records"],
            lambda status: status["ledger"]["kernel"]["taken"],
            lambda status: status["unwind"]["kernel"]["misses"]))
        cpus = spent * 1e6 / (after_us - before_us)
        print(f"{events} events, {cpus:.3f} CPUs, {taken} samples, {misses} walked by user space; "
              f"{after['sideband']}", file=sys.stderr)
        self.assertLess(cpus, MAX_CPUS)
        self.assertLess(100.0 * misses / taken, MAX_MISSES_PERCENT)
        self.check_stacks(server.status(), mapper.pid)
        for side in ("kernel", "user"):
            self.assert_balanced(server.status()["ledger"][side], side)
        self.assertEqual(server.stop(seconds=unwinding.DEADLINE_S), 0, server.output())

    def test_new_code_all_the_time(self):
        self.check(2000)

    def test_new_code_now_and_then(self):
        self.check(200000)


if __name__ == "__main__":
    harness.main()

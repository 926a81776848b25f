"""Waits that not every machine can have: for a disk past the page cache, for a CPU quota, in
io_uring, in a page fault that user space answers."""

import contextlib
import os

import harness
import waiting

SECONDS = waiting.SECONDS
QUOTA_US, PERIOD_US = 20_000, 100_000


def quota_files(path):
    """{file: text} that give a cgroup of v2 or v1 a fifth of a CPU."""
    if os.path.exists(os.path.join(path, "cpu.max")):
        return {"cpu.max": f"{QUOTA_US} {PERIOD_US}"}
    return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(QUOTA_US)}


@contextlib.contextmanager
def limited_cgroup():
    """The path of a cgroup that may use a fifth of a CPU; gone at the end."""
    for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"):
        path = os.path.join(root, f"hearth-e2e-{os.getpid()}")
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            for name, text in quota_files(path).items():
                with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                    file.write(text)
        except OSError:
            os.rmdir(path)
            continue
        try:
            yield path
        finally:
            harness.wait_until(lambda: remove(path), f"{path} is empty and gone")
        return
    harness.need(False, "needs a cgroup with a CPU quota, of v1 or v2")


def remove(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)


def throttled_ns(path):
    """Since the cgroup was made, of all its CPUs: cpu.stat (throttled_usec of v2)."""
    with open(os.path.join(path, "cpu.stat"), encoding="utf-8") as file:
        stat = dict(line.split() for line in file)
    return int(stat.get("throttled_time", int(stat.get("throttled_usec", 0)) * 1000))


class Machine(waiting.Case):
    def test_quota(self):
        with limited_cgroup() as path:
            server = self.serve()
            server_passes = lambda: server.status()["waiting"]["passes"]
            program = self.workload("wait_cpu", 1, min(os.sched_getaffinity(0)))
            try:
                with open(os.path.join(path, "cgroup.procs"), "w", encoding="utf-8") as procs:
                    procs.write(str(program.pid))
                self.settle(server, program)
                before_ns, passes = throttled_ns(path), server_passes()
                window = waiting.watch(program.pid, SECONDS)
                true_ns, passes = throttled_ns(path) - before_ns, server_passes() - passes
                profile = self.fetch_pid(server, program, window)
            finally:
                program.end()
        (tid,) = window.tids - {program.pid}
        mine = profile.of(tid=tid)
        reasons = waiting.by_label(mine, "reason")
        waiting.say(f"throttled {true_ns / 1e9:.2f} s; {dict(reasons)}")
        harness.need(true_ns > window.ns / 4, "needs a kernel that throttles as it says")
        self.assert_waited(profile, window, tid, "over its quota")
        error = waiting.share_error(PERIOD_US * 500, 0.2, window.ns / passes, window.ns)
        self.assert_close(100.0 * reasons["throttled"] / window.ns, 100.0 * true_ns / window.ns,
                          max(waiting.WITHIN_POINTS, error), "share of being throttled")

    def test_disk(self):
        threads = 4
        server = self.serve()
        try:
            program = self.workload("wait_disk", self.path("disk"), SECONDS, threads)
        except AssertionError as error:
            harness.need("no O_DIRECT" not in str(error), "needs a file system with O_DIRECT")
            raise
        start_us, end_us = map(int, program.words())
        rows = [list(map(int, program.words())) for _ in range(threads)]
        profile = self.fetch(server, start_us, end_us, f'{{pid="{program.pid}"}}')
        waited_ns = sum(reading_ns - cpu_ns for _, _, reading_ns, cpu_ns in rows)
        all_ns = (end_us - start_us) * 1000 * threads
        reads = sum(row[1] for row in rows)
        waiting.say(f"{reads} reads, {100 * waited_ns / all_ns:.1f} % waiting")
        harness.need(waited_ns > all_ns / 4, "needs a disk that a reader waits for")
        mine = [one for one in profile.samples if "read_disk" in one.frames]
        reasons = waiting.by_label(mine, "reason")
        waiting.say(dict(reasons))
        self.assert_percent(waiting.total_ns(mine), waited_ns, waiting.WITHIN_PERCENT, "waited")
        self.assertGreater(reasons["disk"], 0.5 * sum(reasons.values()), reasons)
        self.assertLessEqual(set(reasons), {"disk", "run_queue", "preempted"})
        # When what is needed to walk its stacks has long been read.
        later = self.fetch(server, (start_us + end_us) // 2, end_us, f'{{pid="{program.pid}"}}')
        disk = [one for one in later.samples if one.labels["reason"] == "disk"]
        self.assert_chain(disk, ("run", "read_disk"), "disk")


class Special(waiting.KindsCase):
    """The kinds that need more than any machine has."""

    def check(self, kind, reason, is_idle):
        program = self.workload("wait_kinds", kind)
        words = program.words()
        harness.need(words[1] != "0", f"needs {kind}: {words[2:]}")
        program.words = iter([words, ["all"]]).__next__
        self.judge(self.serve(), program, {kind: (reason, is_idle)})

    def test_io_uring(self):
        self.check("io_uring", "io_uring", True)

    def test_page_fault(self):
        self.check("page_fault", "page_fault", False)


if __name__ == "__main__":
    harness.main()

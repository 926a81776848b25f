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


class Quota(waiting.Case):
    def test_quota(self):
        with limited_cgroup() as path:
            server = self.serve()
            program = self.workload("wait_cpu", 1, min(os.sched_getaffinity(0)))
            try:
                with open(os.path.join(path, "cgroup.procs"), "w", encoding="utf-8") as procs:
                    procs.write(str(program.pid))
                self.settle(server, program)
                before_ns, visits = throttled_ns(path), waiting.Visits(server)
                window = waiting.watch(program.pid, SECONDS)
                true_ns, period_ns = throttled_ns(path) - before_ns, visits.period_ns()
                profile = self.fetch_pid(server, program, window)
            finally:
                program.end()
        (tid,) = window.tids - {program.pid}
        mine = profile.of(tid=tid)
        reasons = waiting.by_label(mine, "reason")
        waiting.say(f"throttled {true_ns / 1e9:.2f} s; {dict(reasons)}")
        harness.need(true_ns > window.ns / 4, "needs a kernel that throttles as it says")
        self.assert_waited(profile, window, tid, "over its quota")
        error = waiting.share_error(PERIOD_US * 500, 0.2, period_ns, window.ns)
        self.assert_close(100.0 * reasons["throttled"] / window.ns, 100.0 * true_ns / window.ns,
                          max(waiting.WITHIN_POINTS, error), "share of being throttled")


class Disk(waiting.KnownCase):
    def test_disk(self):
        threads = 4
        try:
            program = self.begin("wait_disk", self.path("disk"), SECONDS, threads)
        except AssertionError as error:
            harness.need("no O_DIRECT" not in str(error), "needs a file system with O_DIRECT")
            raise
        start_us, end_us = self.range_of(program)
        rows = [list(map(int, words)) for words in self.rows(program, threads)]
        profile = self.fetch_range(program, start_us, end_us)
        reads, waited_ns, queued_ns = (sum(row[i] for row in rows) for i in (1, 2, 3))
        all_ns = (end_us - start_us) * 1000 * threads
        waiting.say(f"{reads} reads, {100 * waited_ns / all_ns:.1f} % waiting, "
                    f"{100 * queued_ns / all_ns:.1f} % for a CPU")
        harness.need(waited_ns - queued_ns > all_ns / 4, "needs a disk that a reader waits for")
        for tid, _, mine_ns, _ in rows:
            self.assert_percent(waiting.total_ns(profile.of(tid)), mine_ns,
                                waiting.WITHIN_PERCENT, f"waited by {tid}")
        mine = [one for tid, *_ in rows for one in profile.of(tid)]
        self.assert_reason(mine, "disk")
        part = (waited_ns - queued_ns) / waited_ns
        share = 100 * waiting.by_label(mine, "reason")["disk"] / waiting.total_ns(mine)
        waiting.say(f"share of the disk {share:.2f} %, truth {100 * part:.2f}")
        bound = self.bound(waited_ns / reads, part, waited_ns)
        self.assertLessEqual(share, 100 * part + bound)
        # Visits come when there is a CPU for them: when others wait for one too, if it is busy.
        self.assertGreaterEqual(share, 100 * part / 2)
        # When what is needed to walk its stacks has long been read.
        later = self.fetch_range(program, (start_us + end_us) // 2, end_us)
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

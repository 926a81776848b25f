"""What the tests of code that is made at run time share."""

import collections
import contextlib
import math
import os
import re
import sys

import harness
import unwinding


class Case(unwinding.Case):
    """Removes the perf maps of what it starts; judges stacks by their innermost functions."""

    def setUp(self):
        super().setUp()
        self.pids = []
        self.addCleanup(self.remove_maps)

    def remove_maps(self):
        for pid in self.pids:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/tmp/perf-{pid}.map")

    def start(self, *command, **options):
        process = super().start(*command, **options)
        self.pids.append(process.pid)
        return process

    def link(self, comm, program):
        inside = os.path.dirname(program) == self.folder
        os.symlink(os.path.basename(program) if inside else program, self.path(comm))
        return "./" + comm

    def run_all(self, commands, path):
        """Records the machine while all of them run to their end."""
        with self.recording(path, "-F", unwinding.RATE_HZ):
            processes = [self.start(*command, cwd=self.folder) for command in commands]
            for process in processes:
                process.wait(timeout=unwinding.DEADLINE_S)
                self.assertEqual(process.returncode, 0, process.args)

    def leaves(self, stacks, comm):
        """{innermost function of the user stack: ns}; how the stack ended is checked, too."""
        leaves = collections.Counter()
        cut = 0
        for frames, value in stacks:
            user = [frame for frame in frames[1:] if not frame.endswith("_[k]")]
            if frames[0] == comm and user:
                leaves[user[-1]] += value
                cut += value * user[0].startswith(unwinding.CUT)
        total = sum(leaves.values())
        self.assertGreater(total, 0, f"{comm} was sampled")
        print(f"{comm}: {100 * cut / total:.2f} % of {total / 1e9:.2f} s cut;",
              *(f"{100 * value / total:.1f} % {name}" for name, value in leaves.most_common(5)),
              file=sys.stderr)
        return leaves, cut

    def share(self, leaves, pattern, wanted):
        """What it is, and how far from wanted it may be: the error of sampling, and a percent for main,
        the kernel, ..."""
        total = sum(leaves.values())
        share = sum(value for name, value in leaves.items() if re.search(pattern, name)) / total
        samples = total / 1e9 * unwinding.RATE_HZ
        sigma = math.sqrt(max(wanted * (1 - wanted), 0.01) / samples)
        return share, unwinding.SIGMAS * sigma + 0.01

    def assert_share(self, leaves, pattern, wanted, what, extra=0):
        share, within = self.share(leaves, pattern, wanted)
        self.assert_close(share, wanted, within + extra, f"{what}: {pattern}")

    def assert_share_at_least(self, leaves, pattern, wanted, what):
        share, within = self.share(leaves, pattern, wanted)
        self.assertGreaterEqual(share, wanted - within, f"{what}: {pattern}")

    def assert_made(self, stacks, comm, hot, warm, whole=0.99):
        leaves, cut = self.leaves(stacks, comm)
        self.assert_share(leaves, hot, 0.7, comm)
        self.assert_share(leaves, warm, 0.3, comm)
        self.assertLessEqual(cut, (1 - whole) * sum(leaves.values()), f"{comm}: whole stacks")

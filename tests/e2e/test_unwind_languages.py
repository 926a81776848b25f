"""Stacks of Rust, which keeps no frame pointers, and of Go, which does but has stacks and thread
starts of its own, are whole. A test of its own, because a machine may lack their compilers."""

import collections
import os
import subprocess
import sys

import harness
import unwinding

SECONDS = 3
GO_SECONDS = 6
# The same program twice, on a machine that may be busy with other things.
MUCH_PERCENT, LITTLE_PERCENT = 15, 5


class UnwindLanguages(unwinding.Case):
    def test_rust(self):
        harness.need_tool("rustc")
        path = self.path("u-rust")
        subprocess.run(["rustc", "-O", "-o", path,
                        os.path.join(unwinding.PROGRAMS, "unwind_rust.rs")], check=True)
        samples = self.samples(self.record_runs([([path, SECONDS], {})]), "u-rust", path)
        self.check_whole(samples)
        chain = ("unwind_rust::rust_outer", "unwind_rust::rust_middle", "unwind_rust::rust_burn")
        self.check_chain(samples, chain, 90)

    def build_go(self, name, source, *flags):
        harness.need_tool("go")
        path = self.path(name)
        subprocess.run(["go", "build", *flags, "-o", path,
                        os.path.join(unwinding.PROGRAMS, source)], check=True,
                       env={**os.environ, "GOCACHE": self.path("go-cache"),
                            "GO111MODULE": "off"})
        return path

    def test_go(self):
        path = self.build_go("u-go", "unwind_go.go")
        samples = self.samples(self.record_runs([([path, SECONDS], {})]), "u-go", path)
        self.check_whole(samples)
        self.check_chain(samples, ("main.outer", "main.middle", "main.burn"), 90)

    def test_go_stripped(self):
        """Through assembly and the scheduler's stacks, with and without .debug_frame."""
        shares = []
        for name, flags in (("u-go-whole", ()), ("u-go-stripped", ("-ldflags", "-s -w"))):
            path = self.build_go(name, "unwind_go_gc.go", *flags)
            samples = self.samples(self.record_runs([([path, GO_SECONDS], {})]), name, path)
            self.check_whole(samples)
            for leaf in ("main.hash", "main.order", "main.litter"):
                self.check_chain(samples, ("main.worker", leaf), LITTLE_PERCENT)
            share = collections.Counter()
            for user, value in samples.users.items():
                share[user[-1].removesuffix(".abi0")] += 100.0 * value / samples.total
            shares.append(share)
        whole, stripped = shares
        print(f"leaves: {whole.most_common(5)}, stripped {stripped.most_common(5)}",
              file=sys.stderr)
        for leaf, percent in whole.items():
            if percent >= MUCH_PERCENT:
                self.assertGreaterEqual(stripped[leaf], LITTLE_PERCENT, leaf)


if __name__ == "__main__":
    harness.main()

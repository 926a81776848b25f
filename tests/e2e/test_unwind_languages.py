"""Stacks of Rust, which keeps no frame pointers, and of Go, which does but has stacks and thread
starts of its own, are whole. A test of its own, because a machine may lack their compilers."""

import os
import subprocess

import harness
import unwinding

SECONDS = 3


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

    def test_go(self):
        harness.need_tool("go")
        path = self.path("u-go")
        subprocess.run(["go", "build", "-o", path,
                        os.path.join(unwinding.PROGRAMS, "unwind_go.go")], check=True,
                       env={**os.environ, "GOCACHE": self.path("go-cache"),
                            "GO111MODULE": "off"})
        samples = self.samples(self.record_runs([([path, SECONDS], {})]), "u-go", path)
        self.check_whole(samples)
        self.check_chain(samples, ("main.outer", "main.middle", "main.burn"), 90)


if __name__ == "__main__":
    harness.main()

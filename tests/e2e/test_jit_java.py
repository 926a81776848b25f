"""Code that a JVM made has names from the perf map that it is asked for while it is sampled. A test
of its own, because a machine may lack a JVM."""

import os
import re
import shutil
import subprocess
import sys

import harness
import jitting
import unwinding

FLAGS = ("-XX:+PreserveFramePointer", "-XX:-UsePerfData", "-XX:CompileCommand=quiet",
         "-XX:CompileCommand=exclude,Burn.burn",  # it is interpreted
         *(f"-XX:CompileCommand=dontinline,Burn.{name}" for name in ("outer", "hot", "warm")))
WARM_SECONDS = 3
SECONDS = 5


class JitJava(jitting.Case):
    def start_java(self, comm):
        for tool in ("java", "javac", "jcmd"):
            harness.need_tool(tool)
        version = re.search(r"\d+", unwinding.output_of("java", "--version"))
        harness.need(version and int(version.group()) >= 17, "needs Java 17: Compiler.perfmap")
        subprocess.run(["javac", "-d", self.folder,
                        os.path.join(unwinding.PROGRAMS, "jit_java.java")], check=True)
        java = self.start(self.link(comm, os.path.realpath(shutil.which("java"))), *FLAGS, "Burn",
                          WARM_SECONDS, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        self.addCleanup(java.wait, unwinding.DEADLINE_S)
        self.addCleanup(java.terminate)  # it removes the socket that jcmd speaks to
        self.assertEqual(java.stdout.readline(), "warm\n")
        return java.pid

    def burn(self, pid, seconds):
        until = harness.cpu_seconds(pid) + seconds
        harness.wait_until(lambda: harness.cpu_seconds(pid) >= until, "CPU time passes",
                           unwinding.DEADLINE_S)

    def ask_for_map(self, pid):
        subprocess.run(["jcmd", str(pid), "Compiler.perfmap"], check=True,
                       timeout=unwinding.DEADLINE_S, stdout=subprocess.DEVNULL)

    def stacks(self, server, pid, from_us, until_us):
        server.wait_stored(until_us, unwinding.DEADLINE_S)
        status, _, body = server.get("/api/v1/export", format="folded", query=f'{{pid="{pid}"}}',
                                     **{"from": from_us, "until": until_us})
        self.assertEqual(status, 200, body[:500])
        path = self.path("java.folded")
        with open(path, "wb") as file:
            file.write(body)
        return harness.read_folded(path)

    def named_stacks(self, server, pid):
        """Of some seconds that began when there was a map. It tells of the code that there was: a
        JVM makes its code better as it goes, and is asked again then."""
        shares = []
        for _ in range(10):
            self.ask_for_map(pid)
            from_us = harness.now_us()
            self.burn(pid, SECONDS)
            stacks = self.stacks(server, pid, from_us, harness.now_us())
            unnamed = sum(value for frames, value in stacks if "[jit]_[j]" in frames)
            shares.append(unnamed / sum(value for _, value in stacks))
            if shares[-1] < 0.01:
                print(f"without names: {shares}", file=sys.stderr)
                return stacks
        raise AssertionError(f"with a map, these shares of the time have no names: {shares}")

    def unnamed(self, server, comm):
        """{why: what would help} of code that it made, as the status page has it."""
        return {row["reason"]: row["remedy"] for row in server.status()["symbols"]["unnamed"]
                if row["file"] == f"[jit] of {comm}"}

    def test_map_while_sampled(self):
        comm = "j-java"
        pid = self.start_java(comm)
        server = self.serve("-F", unwinding.RATE_HZ)
        self.assertFalse(os.path.exists(f"/tmp/perf-{pid}.map"))
        why = harness.wait_until(lambda: self.unnamed(server, comm), "samples have no names",
                                 unwinding.DEADLINE_S)
        self.assertEqual(list(why), ["code made at run time, without a perf map or a jitdump"])
        self.assertIn("jcmd PID Compiler.perfmap", *why.values())

        stacks = self.named_stacks(server, pid)
        total = sum(value for _, value in stacks)
        own = [(frames, value) for frames, value in stacks
               if any(frame.startswith("int Burn.") for frame in frames)]
        self.assertGreater(sum(value for _, value in own), 0.8 * total)
        self.assert_made(own, comm, r"^int Burn\.hot\(int\)_\[j\]$",
                         r"^int Burn\.warm\(int\)_\[j\]$")
        # From the start of the thread through the JVM and its interpreter into compiled code.
        self.starts.add("/bin/true", comm)  # libc, in which threads start
        chain = [re.compile(pattern) for pattern in (
            r"JavaCalls::call|\[.*libjvm\.so\+", r"Interpreter_\[j\]$",
            r"int Burn\.outer\(int\)_\[j\]$")]
        whole = sum(value for frames, value in own if self.starts.has(frames[1]) and
                    all(any(map(pattern.match, frames)) for pattern in chain))
        self.assertGreaterEqual(whole, 0.99 * sum(value for _, value in own))


if __name__ == "__main__":
    harness.main()

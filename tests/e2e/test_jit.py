"""Code that was made at run time has names: of a small virtual machine that tells of it in every
way there is (programs/jit.c), and of Node, in this mount namespace and in another one."""

import os
import re
import subprocess

import harness
import jitting
import unwinding

SECONDS = 3
NODE_FLAGS = ("--perf-basic-prof", "--interpreted-frames-native-stack", "--no-turbo-inlining")
# In a mount and a pid namespace of its own, with its own /tmp; the working directory is /mnt.
ELSEWHERE = ("unshare", "-mpf", "--mount-proc", "sh", "-c",
             'mount --bind "$PWD" /mnt && mount -t tmpfs tmpfs /tmp && cd /mnt && exec "$@"', "sh")

NODE = """
function hot(n) { let x = 0; for (let i = 0; i < 7 * n; i++) x = (x * 31 + i) | 0; return x }
function warm(n) { let x = 0; for (let i = 0; i < 3 * n; i++) x = (x * 31 + i) | 0; return x }
function outer(n) { return hot(n) + warm(n) }
let seed = 1, sum = 0;
while (process.cpuUsage().user < Number(process.argv[2]) * 1e6) {
	seed = (seed * 1103515245 + 12345) & 0x7fffffff;
	sum += outer(20000 + seed % 60000);
}
"""


class Jit(jitting.Case):
    def setUp(self):
        super().setUp()
        harness.need(os.uname().machine == "x86_64", "needs x86-64, whose machine code it has")
        self.made = self.build("jit", "jit.c")

    def test_small_machine(self):
        modes = ("none", "map", "torn", "late", "moved", "stranger", "forked", "dump", "reused")
        # On two CPUs, for each to advance little in the second of samples that is named at once.
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
        commands = [("taskset", "-c", cpus, self.link("j-" + mode, self.made), mode, SECONDS)
                    for mode in modes]
        commands.append((*ELSEWHERE, self.link("j-elsewhere", self.made), "map", SECONDS))
        path = self.path("made.folded")
        self.run_all(commands, path)
        stacks = harness.read_folded(path)

        hot, warm = r"^made::hot \(a b\.src:1\)_\[j\]$", r"^made::warm \(a b\.src:9\)_\[j\]$"
        for mode in ("map", "torn", "forked", "elsewhere"):
            with self.subTest(mode=mode):
                self.assert_made(stacks, "j-" + mode, hot, warm)
        with self.subTest(mode="dump"):
            self.assert_made(stacks, "j-dump", r"^made::hot_\[j\]$", r"^made::warm_\[j\]$")
        for mode in ("none", "stranger"):
            with self.subTest(mode=mode):
                leaves, _ = self.leaves(stacks, "j-" + mode)
                self.assert_share(leaves, r"^\[jit\]_\[j\]$", 1, mode)
        # A perf map has no times: what is named together, about a second, has one truth.
        with self.subTest(mode="moved"):
            leaves, _ = self.leaves(stacks, "j-moved")
            self.assert_share(leaves, hot, 0.7, "moved", 0.1)
            self.assert_share(leaves, warm, 0.3, "moved", 0.1)
        # What had not been named yet when the map came has names, too: that may be more than half.
        with self.subTest(mode="late"):
            leaves, _ = self.leaves(stacks, "j-late")
            self.assert_share(leaves, r"^made::|^\[jit\]_\[j\]$", 1, "late")
            self.assert_share_at_least(leaves, r"^made::", 0.5, "late")
        with self.subTest(mode="reused"):
            leaves, _ = self.leaves(stacks, "j-reused")
            self.assert_share(leaves, r"^made::(hot|hot2)_\[j\]$", 0.7, "reused")
            self.assert_share(leaves, r"^made::hot2_\[j\]$", 0.35, "reused", 0.1)
            self.assert_share(leaves, r"^made::warm2_\[j\]$", 0.15, "reused", 0.1)

        # Below what was made is what called it. But it has no unwind information and is taken to
        # have its frame pointer set, which it has not at its first two instructions and its last
        # one: met there, it loses its caller; as that keeps no frame pointers, what is followed
        # then is none, and the stack is cut. (Those three were all there was of cut stacks, one
        # in 2000, when each instruction had a name of its own.)
        callers = {frames[-2] == "run_made" and "main" in frames
                   for frames, _ in stacks
                   if re.search(hot, frames[-1]) and not frames[1].startswith(unwinding.CUT)}
        self.assertEqual(callers, {True})

    def test_lines(self):
        """Of a jitdump, in pprof's format: the loop begins two lines below its function."""
        harness.need_tool("go")
        path = self.path("made.pb.gz")
        self.run_all([(self.link("j-lines", self.made), "dump", SECONDS)], path)
        env = {**os.environ, "PPROF_TMPDIR": self.folder, "HOME": self.folder,
               "GOCACHE": self.path("cache")}
        text = subprocess.run(["go", "tool", "pprof", "-top", "-lines", "-focus=made::", path],
                              env=env, check=True, capture_output=True, text=True).stdout
        lines = set(re.findall(r"(made::\w+ \S+)", text))
        self.assertLessEqual({"made::hot made.c:12", "made::warm made.c:22"}, lines)

    def test_node(self):
        harness.need_tool("node")
        script = self.path("burn.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write(NODE)
        node = os.path.realpath(subprocess.run(["which", "node"], check=True, text=True,
                                               capture_output=True).stdout.strip())
        commands = [(self.link("j-node", node), *NODE_FLAGS, "burn.js", SECONDS),
                    (*ELSEWHERE, self.link("j-node-ns", node), *NODE_FLAGS, "burn.js", SECONDS)]
        path = self.path("node.folded")
        self.run_all(commands, path)
        stacks = harness.read_folded(path)
        for comm in ("j-node", "j-node-ns"):
            with self.subTest(comm=comm):
                own = [(frames, value) for frames, value in stacks
                       if any("outer" in frame for frame in frames)]
                self.assert_made(own, comm, r"[*~^+]hot .*burn\.js:2:",
                                 r"[*~^+]warm .*burn\.js:3:")
                # From C++ through builtins and interpreted functions into compiled ones.
                native = {any(frame.startswith("node::Start") for frame in frames)
                          for frames, _ in own
                          if frames[0] == comm and not frames[1].startswith(unwinding.CUT)}
                self.assertEqual(native, {True})


if __name__ == "__main__":
    harness.main()

"""User stacks are whole without frame pointers: from the leaf to the thread's start, for what
compilers emit, from a program's first sample on."""

import os

import harness
import unwinding

SECONDS = float(os.environ.get("HEARTH_UNWIND_SECONDS", "12"))
MAIN = ("_start", "main")
CALLS = ("outer", "middle", "burn")
LAZY = ("-Wl,-z,lazy", "-Wl,--no-as-needed")
# name, mode, chain, flags, least percent of its time in the chain's last function
C_PROGRAMS = (
    ("u-calls", "calls", MAIN + CALLS, (), 90),
    ("u-vla", "vla", MAIN + ("varying", "fill", "burn"), (), 90),
    ("u-realign", "realign", MAIN + ("realign", "realigned", "burn"), (), 90),
    ("u-large", "large", MAIN + ("large_outer", "large", "burn"), (), 90),
    ("u-signal", "signal", MAIN + ("interrupted", "on_alarm", "burn"), (), 30),
    ("u-qsort", "qsort", MAIN + ("sort", "compare", "burn"), (), 90),
    ("u-threads", "threads", ("thread_main",) + CALLS, (), 90),
    ("u-fork", "fork", MAIN + ("forker", "burn"), (), 60),
    ("u-static", "calls", MAIN + CALLS, ("-static",), 90),
    ("u-thrstatic", "threads", ("start_thread", "thread_main") + CALLS, ("-static",), 90),
    ("u-staticpie", "calls", MAIN + CALLS, ("-static-pie",), 90),
    ("u-nopie", "calls", MAIN + CALLS, ("-no-pie",), 90),
    ("u-stripped", "calls", ("__libc_start_main",), ("-s",), 90),
    ("u-nohdr", "calls", MAIN + CALLS, ("-Wl,--no-eh-frame-hdr",), 90),
    ("u-plt", "plt", MAIN + ("call_plugin",), LAZY, 90),
    ("u-pltcet", "plt", MAIN + ("call_plugin",), (*LAZY, "-fcf-protection"), 90),
    ("u-resolve", "plt", MAIN + ("call_plugin",), LAZY, 90),
    ("u-resolvesig", "plt-signal", MAIN + ("call_plugin", "on_alarm", "burn"), LAZY, 20),
    ("u-pltsignal", "plt-signal", MAIN + ("call_plugin", "on_alarm", "burn"), LAZY, 20),
)
CXX_PROGRAMS = (
    ("u-throw", "throw", MAIN + ("catcher",) + ("thrower",) * 9 + ("burn",), (), 15),
    ("u-nested", "nested", MAIN + ("nested", "guarded", "Guard::~Guard", "burn"), (), 90),
    ("u-templates", "templates", MAIN + ("apply",) * 12 + ("burn",), (), 90),
)


BARE = ("bare", "bare_rbp", "bare_rbx", "bare_frame", "bare_locals")


class Unwind(unwinding.Case):
    def check_all(self, programs, stacks):
        together = unwinding.Samples([], "all of them", self.starts)
        for name, path, chain, least in programs:
            with self.subTest(program=name):
                samples = self.samples(stacks, name, path)
                together.add(samples)
                self.check_whole(samples)
                self.check_chain(samples, chain, least)
        self.check_whole(together)

    def test_compiled_c(self):
        plugin = self.plugin()
        programs, commands = [], []
        for name, mode, chain, flags, least in C_PROGRAMS:
            path = self.build(name, "unwind.c", *flags, *([plugin] if flags[:2] == LAZY else []))
            programs.append((name, path, chain, least))
            # Bound anew at each call, so that it is in the dynamic linker's resolver most often.
            env = {"LD_BIND_NOT": "1"} if name.startswith("u-resolve") else {}
            commands.append(([path, mode, SECONDS], env))
        for name, mode, chain, arg in (
                ("u-dlopen", "dlopen", ("load", "plugin_outer", "plugin_burn"), plugin),
                ("u-vfork", "vfork", ("spawn", "burn"), self.path("u-calls"))):
            path = self.build(name, "unwind.c")
            programs.append((name, path, MAIN + chain, 90))
            commands.append(([path, mode, SECONDS, arg], {}))
        self.check_all(programs, self.record_runs(commands))

    def test_recursion(self):
        """Deep stacks are whole up to a bound, and marked beyond it."""
        depths = (60, 400, 1000, 10000)
        paths = {depth: self.build(f"u-r{depth}", "unwind.c") for depth in depths}
        stacks = self.record_runs([([path, "recurse", SECONDS / 3, depth], {})
                                   for depth, path in paths.items()])
        for depth, path in paths.items():
            with self.subTest(depth=depth):
                samples = self.samples(stacks, f"u-r{depth}", path)
                self.check(samples, lambda user: "burn" in user, 90, "in burn")
                if depth <= 400:
                    self.check_whole(samples)
                    right = lambda user: user.count("recurse") == depth and "main" in user
                else:
                    right = lambda user: user[0] == unwinding.CUT + "too deep]" \
                        and user[1:] == ("recurse",) * (len(user) - 2) + ("burn",) \
                        and len(user) > 500
                self.check(samples, lambda user: "burn" not in user or right(user),
                           unwinding.WHOLE_PERCENT, "of the right depth")

    def test_compiled_cxx(self):
        programs, commands = [], []
        for name, mode, chain, flags, least in CXX_PROGRAMS:
            path = self.build(name, "unwind_cxx.cc", "-std=c++17", *flags, compiler="g++")
            programs.append((name, path, chain, least))
            commands.append(([path, mode, SECONDS / 3], {}))
        self.check_all(programs, self.record_runs(commands))

    def test_leaves_without_rows(self):
        """Assembly that tells nothing of its frames: no caller of it is left out."""
        assembly = os.path.join(unwinding.PROGRAMS, "unwind_bare.S")
        for name, flags in (("u-bare", ()), ("u-barefp", ("-fno-omit-frame-pointer",))):
            with self.subTest(program=name):
                path = self.build(name, "unwind_bare.c", assembly, *flags)
                samples = self.samples(self.record_runs([([path, SECONDS / 3], {})]), name, path)
                self.check_whole(samples)
                for leaf in BARE:
                    self.check(samples, lambda user, leaf=leaf: leaf not in user or
                               user[-3:] == ("main", "by_" + leaf, leaf),
                               unwinding.WHOLE_PERCENT, "right in " + leaf)
                    self.check(samples, lambda user, leaf=leaf: leaf in user, 5, "in " + leaf)


if __name__ == "__main__":
    harness.main()

"""Real programs, stripped as Debian ships them, have whole stacks: the native ones nearly
always, a virtual machine with its own compiler mostly. They run before the recording starts."""

import os
import shutil
import sys

import harness
import unwinding

SECONDS = float(os.environ.get("HEARTH_UNWIND_SECONDS", "12"))
VM_PERCENT = 95.0
PYTHON = "def f(n):\n return n if n < 2 else f(n - 1) + f(n - 2)\nwhile True: f(20)"
PERL = ("sub f { my $n = shift; return $n < 2 ? $n : f($n - 1) + f($n - 2) } "
        "while (1) { f(12); my @a = sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1 .. 300; "
        "my $s = join(',', @a); $s =~ s/(\\d+),(\\d+)/$2-$1/g }")
SQL = ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000000) "
       "SELECT max(abs(x * x) % 7), count(DISTINCT substr(x, 1, 2)) FROM c;")
NODE = ("function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } "
        "for (;;) { f(18); const a = JSON.parse(JSON.stringify([...Array(500).keys()])); "
        "a.sort((x, y) => y - x); a.join().replace(/(\\d+),/g, (m, x) => x + ';') }")


def write_c(path):
    """A file that keeps a compiler busy for long."""
    with open(path, "w", encoding="utf-8") as file:
        for i in range(20000):
            file.write(f"int f{i}(int a, int *b) {{ int s = 0; for (int i = 0; i < a; i++) "
                       f"{{ s += b[i] * {i}; if (s > {i * 7}) s ^= b[a - i]; "
                       f"switch (s % 5) {{ case 0: s++; break; case 3: s *= a; }} }} "
                       f"return s{f' + f{i - 1}(a, b)' if i else ''}; }}\n")


class UnwindReal(unwinding.Case):
    def link(self, tool, path=None):
        """The program under a name that nobody else has, so that its samples are known."""
        path = path or shutil.which(tool)
        if not path:
            return None
        link = self.path("u-" + tool)
        os.symlink(os.path.realpath(path), link)
        return link

    def commands(self):
        """{name: arguments} of the programs, each busy until it is killed."""
        text, source = self.path("text"), self.path("large.c")
        with open(text, "wb") as file:
            for i in range(1500000):
                file.write(b"%d %d some text that repeats\n" % (i, i * i % 1000003))
        write_c(source)
        return {
            "xz": ("-9", "-k", "-c", text),
            "sqlite3": (":memory:", SQL),
            "python3": ("-c", PYTHON),
            "perl": ("-e", PERL),
            "node": ("-e", NODE),
            "cc1": ("-quiet", "-O2", source, "-o", "/dev/null"),
        }

    def test_real_programs(self):
        paths = {"python3": "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else None,
                 "cc1": unwinding.output_of("gcc", "-print-prog-name=cc1").strip()}
        running = {}
        for name, arguments in self.commands().items():
            link = self.link(name, paths.get(name))
            with self.subTest(program=name):
                harness.need(link, f"needs {name}")
                running[name] = (link, self.start(link, *arguments))
        path = self.path("real.folded")
        with self.recording(path, "-F", unwinding.RATE_HZ):
            before = {name: harness.cpu_seconds(process.pid)
                      for name, (_, process) in running.items()}
            harness.wait_until(
                lambda: all(harness.cpu_seconds(process.pid) > before[name] + SECONDS / 8
                            for name, (_, process) in running.items()), "all ran",
                max(unwinding.DEADLINE_S, SECONDS * 10))
        stacks = harness.read_folded(path)
        for name, (link, _) in running.items():
            with self.subTest(program=name):
                self.check_one(name, self.samples(stacks, "u-" + name, link))

    def check_one(self, name, samples):
        self.check_whole(samples, VM_PERCENT if name == "node" else unwinding.WHOLE_PERCENT)
        deep = sorted((len(user), value) for user, value in samples.users.items())
        print(f"{name}: stacks of {deep[0][0]} to {deep[-1][0]} frames", file=sys.stderr)


if __name__ == "__main__":
    harness.main()

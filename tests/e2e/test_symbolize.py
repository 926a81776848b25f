"""hearth symbolize beside llvm-symbolizer: the same functions, inlined calls, files and lines at
random addresses of programs in C, C++, Rust and Go. HEARTH_ADDRESSES=N asks for that many."""

import collections
import contextlib
import glob
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
import naming

ADDRESSES = int(os.environ.get("HEARTH_ADDRESSES", "20000"))
PROGRAMS = os.path.join(harness.HERE, "programs")
REQUIRED = 0.999

# Why an answer may differ and be no worse. What is in no class counts as wrong.
CLASSES = {
    "equal": "the same functions, files and lines",
    "alias": "another name of the symbol table for the same address",
    "clone": "the same function; a clone's suffix that one of them has",
    "symbol": "only here: a name from a symbol table, where DWARF has none",
    "unit": "llvm-symbolizer takes a file from the symbol table, without a line",
    "early": "no line before the first one of the function: here its file, there another or none",
    "between": "no function there: llvm-symbolizer gives the padding the line before it",
    "wrong": "",
}


def sections(path):
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True,
                          check=True).stdout
    found = re.findall(r"\] \.text\s+PROGBITS\s+(\w+)\s+\w+\s+(\w+)", text)
    return [(int(start, 16), int(size, 16)) for start, size in found]


def aliases(*paths):
    """By address, all names in the symbol tables of the files."""
    names = collections.defaultdict(set)
    for path in paths:
        if not os.path.exists(path):
            continue
        for table in ("--defined-only", "-D"):
            text = subprocess.run(["nm", "--defined-only", table, path], capture_output=True,
                                  text=True, check=False).stdout
            for line in text.splitlines():
                parts = line.split(None, 2)
                if len(parts) == 3 and parts[1] in "tTwWiuV":
                    names[int(parts[0], 16)].add(parts[2].split("@")[0])
    return names


def debug_file(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True,
                           check=False).stdout
    found = re.search(r"Build ID: (\w+)", notes)
    build_id = found.group(1) if found else "none"
    return f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"


def place(path, line):
    if path in ("", "??"):
        return ("??", 0)
    return (os.path.normpath(path), line)


def parse_llvm(text):
    answers = []
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) < 2:
            continue
        frames = []
        for function, where in zip(lines[::2], lines[1::2]):
            path, line, _ = where.rsplit(":", 2)
            frames.append((function, place(path, int(line))))
        answers.append([] if frames == [("??", ("??", 0))] else frames)
    return answers


def without_suffix(name):
    return re.split(r"\.(?:constprop|isra|part|lto_priv|cold|llvm)\b", name)[0]


class Comparison:
    def __init__(self, path):
        self.names = aliases(path, debug_file(path))

    def are_aliases(self, one, other):
        return any(one in names and other in names for names in self.names.values()
                   if one in names)

    def classify(self, ours, theirs):
        if ours == theirs:
            return "equal"
        unknown = all(function == "??" for function, _ in theirs)
        if not theirs:
            return "symbol" if len(ours) == 1 and ours[0][1] == ("??", 0) else "wrong"
        if unknown and not ours:
            return "between"
        if ([name for name, _ in ours] == [name for name, _ in theirs] and len(ours) == 1 and
                ours[0][1] == ("??", 0) and theirs[0][1][1] == 0):
            return "unit"
        if ([name for name, _ in ours] == [name for name, _ in theirs] and
                all(here == there or (here[0] != "??" and here[1] == there[1] == 0)
                    for (_, here), (_, there) in zip(ours, theirs))):
            return "early"
        if [where for _, where in ours] != [where for _, where in theirs]:
            if unknown and len(ours) == 1 and ours[0][1] == ("??", 0):
                return "symbol"
            return "wrong"
        if [name for name, _ in ours[:-1]] != [name for name, _ in theirs[:-1]]:
            return "wrong"
        one, other = ours[-1][0], theirs[-1][0]
        if other == "??":
            return "symbol"
        if without_suffix(one) == without_suffix(other):
            return "clone"
        return "alias" if self.are_aliases(one, other) else "wrong"


class Symbolize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        harness.need_tool("llvm-symbolizer")
        harness.need_tool("readelf")
        cls.dir = tempfile.mkdtemp(prefix="hearth-symbolize-")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    def compare(self, path, llvm_options=()):
        random.seed(7)
        text = sections(path)
        self.assertTrue(text, f"{path} has no .text")
        start, size = text[0]
        asked = [start + random.randrange(size) for _ in range(ADDRESSES)]
        lines = "".join(f"{vaddr:#x}\n" for vaddr in asked)
        ours = subprocess.run([harness.BIN, "symbolize", "--json", "--mangled", path],
                              input=lines, capture_output=True, text=True, check=True).stdout
        theirs = subprocess.run(["llvm-symbolizer", f"--obj={path}", "--inlines",
                                 "--no-demangle", *llvm_options], input=lines,
                                capture_output=True, text=True, check=True).stdout
        ours = [[(frame["function"], place(frame["file"], frame["line"]))
                 for frame in json.loads(line)["frames"]] for line in ours.splitlines()]
        theirs = parse_llvm(theirs)
        self.assertEqual(len(ours), len(asked))
        self.assertEqual(len(theirs), len(asked))
        self.judge(path, zip(asked, ours, theirs))

    def judge(self, path, answers):
        comparison = Comparison(path)
        counts = collections.Counter()
        wrong = []
        for vaddr, ours, theirs in answers:
            verdict = comparison.classify(ours, theirs)
            counts[verdict] += 1
            if verdict == "wrong" and len(wrong) < 5:
                wrong.append(f"{vaddr:#x}\n  here {ours}\n  llvm {theirs}")
        total = sum(counts.values())
        print(f"\n{path}: {total} addresses")
        for verdict, why in CLASSES.items():
            if counts[verdict]:
                print(f"  {verdict:8} {counts[verdict]:7} {100 * counts[verdict] / total:7.3f} %"
                      f"  {why}")
        print("\n".join(wrong), flush=True)
        self.assertLessEqual(counts["wrong"], (1 - REQUIRED) * total, "\n".join(wrong))
        self.assertGreater(counts["equal"], total / 2)

    def test_python(self):
        path = "/usr/bin/python3.11"
        harness.need(os.path.exists(path) and os.path.exists(debug_file(path)), "needs python3.11-dbg")
        self.compare(path)

    def test_libc(self):
        path = "/lib/x86_64-linux-gnu/libc.so.6"
        harness.need(os.path.exists(debug_file(path)), "needs libc6-dbg")
        self.compare(path)

    def test_sqlite(self):
        path = "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0"
        harness.need(os.path.exists(path), "needs libsqlite3-0")
        self.compare(path)

    def test_cxx(self):
        path = os.path.join(self.dir, "templates")
        source = os.path.join(PROGRAMS, "symbolize_templates.cc")
        subprocess.run(["g++", "-std=c++17", "-O2", "-g", "-o", path, source], check=True)
        self.compare(path)

    def test_rust(self):
        harness.need_tool("rustc")
        path = os.path.join(self.dir, "rust")
        subprocess.run(["rustc", "-O", "-g", "-o", path,
                        os.path.join(PROGRAMS, "unwind_rust.rs")], check=True)
        self.compare(path)

    def test_go(self):
        harness.need_tool("go")
        path = os.path.join(self.dir, "go")
        subprocess.run(["go", "build", "-o", path, os.path.join(PROGRAMS, "unwind_go.go")],
                       check=True, env={**os.environ, "GO111MODULE": "off",
                                        "GOCACHE": os.path.join(self.dir, "go-cache")})
        self.compare(path)


class Parts(naming.Case):
    """Debug information in several files gives what it gives in one."""

    def setUp(self):
        super().setUp()
        self.whole = self.build("whole", "-gdwarf-4")

    def frames(self, *args, **options):
        """Of every fourth byte of the program's own functions."""
        functions = naming.Functions(self.whole)
        asked = "".join(f"{vaddr:#x}\n" for name in ("outer", "ask_time", "sort", "main")
                        for vaddr in range(functions.starts[name], functions.ends[name], 4))
        ran = subprocess.run([harness.BIN, "symbolize", *args], input=asked, text=True,
                             capture_output=True, check=True, timeout=120, **options)
        self.assertEqual(ran.stderr, "")
        return ran.stdout

    def assert_as_whole(self, *args, **options):
        wanted = self.frames(self.whole)
        self.assertRegex(wanted, r"inner\n.*names\.c:\d+\nouter\n")
        self.assertEqual(self.frames(*args, **options), wanted)

    def test_split(self):
        with contextlib.chdir(self.folder):  # a .dwo is where it was compiled
            split = self.build("split", "-gdwarf-4", "-gsplit-dwarf")
        self.assertTrue(glob.glob(self.path("*.dwo")), os.listdir(self.folder))
        self.assert_as_whole(split)

        harness.need_tool("dwp")
        subprocess.run(["dwp", "-e", split, "-o", split + ".dwp"], cwd=self.folder, check=True)
        for path in glob.glob(self.path("*.dwo")):
            os.remove(path)
        self.assert_as_whole(split)

    def test_dwz(self):
        harness.need_tool("dwz")
        paths = [self.build(name, "-gdwarf-4") for name in ("one", "other")]
        shared = self.path("shared.debug")
        subprocess.run(["dwz", "-m", shared, *paths], check=True)
        self.assertTrue(os.path.exists(shared))
        self.assert_as_whole(paths[0])

    def test_debug_dirs(self):
        path = self.build("packaged", "-gdwarf-4")
        of_id = naming.build_id("packaged")
        naming.install(self.split(path), self.path("debug"), of_id)
        self.assert_as_whole("--debug-dirs", self.path("debug"), path)
        self.assert_as_whole("--debug-dirs", self.path("debug"), "--build-id", of_id)

    def test_debuginfod(self):
        harness.need_tool("debuginfod")
        path = self.build("remote", "-gdwarf-4")
        of_id = naming.build_id("remote")
        os.mkdir(self.path("served"))
        os.rename(self.split(path), self.path("served/remote.debug"))
        url = self.serve_debug_files(self.path("served"), of_id)
        environment = {**os.environ, "XDG_CACHE_HOME": self.path("cache")}
        self.assert_as_whole("--debuginfod-urls", url, path, env=environment)
        environment["DEBUGINFOD_URLS"] = url
        self.assert_as_whole("--build-id", of_id, env=environment)
        self.assert_as_whole("--data", self.path("data"), path, env=environment)
        # What is known is not asked for again.
        environment["DEBUGINFOD_URLS"] = "http://127.0.0.1:1"
        self.assert_as_whole("--data", self.path("data"), path, env=environment)

    def test_no_server(self):
        path = self.build("alone")
        self.split(path)
        ran = harness.run("symbolize", "--debuginfod-urls", "http://127.0.0.1:1", path, "0",
                          env={**os.environ, "XDG_CACHE_HOME": self.path("cache")})
        self.assertEqual((ran.returncode, ran.stdout), (0, "??\n??:0\n"))
        self.assertRegex(ran.stderr, r"\Ahearth symbolize: names may be missing: .*\n\Z")


class CommandLine(unittest.TestCase):
    def test_unknown_address(self):
        ran = harness.run("symbolize", harness.BIN, "0x1")
        self.assertEqual((ran.returncode, ran.stdout), (0, "??\n??:0\n"))
        ran = harness.run("symbolize", "--json", harness.BIN, "1")
        self.assertEqual(json.loads(ran.stdout), {"address": "0x1", "frames": []})

    def test_bad_usage(self):
        for args in (["symbolize"], ["symbolize", harness.BIN, "xyz"],
                     ["symbolize", "--nonsense"]):
            ran = harness.run(*args)
            self.assertEqual(ran.returncode, 2, args)
            self.assertEqual(ran.stderr.count("\n"), 1)

    def test_failures(self):
        for args in (["symbolize", "/nonexistent", "1"], ["symbolize", "/dev/null", "1"],
                     ["symbolize", "--data", "/nonexistent", "--build-id", "abcd", "1"],
                     ["symbolize", "--build-id", "../etc", "1"]):
            ran = harness.run(*args)
            self.assertEqual((ran.returncode, ran.stdout), (1, ""), args)
            self.assertEqual(ran.stderr.count("\n"), 1)

    def test_cache(self):
        with tempfile.TemporaryDirectory() as data:
            args = ["symbolize", "--data", data, harness.BIN, "0x1000"]
            first = harness.run(*args)
            files = os.listdir(os.path.join(data, "cache"))
            self.assertEqual(len(files), 1)
            self.assertEqual(harness.run(*args).stdout, first.stdout)
            path = os.path.join(data, "cache", files[0])
            whole = os.path.getsize(path)
            os.truncate(path, whole // 2)  # a torn file is compiled again
            self.assertEqual(harness.run(*args).stdout, first.stdout)
            self.assertEqual(os.path.getsize(path), whole)


if __name__ == "__main__":
    harness.main()

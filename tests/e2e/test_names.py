"""Every frame has a name: inlined calls and source lines, debug files from everywhere they come
from, also long after the samples were taken, and what stays without a name says why."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse

import harness
import naming
from naming import INLINED, KERNEL, NATIVE, VDSO

ENOUGH = 30  # samples
FUNCTIONS = ("outer", "main", "sort", "ask_time", "enter_kernel")  # of names.c

# Makes the directory argv[1] the root of a mount namespace of its own, as containers do it, and
# runs argv[2] in there. pivot_root(2), "pivot_root(".", ".")".
ENTER = """
import ctypes, os, sys
NEWNS, BIND, REC, PRIVATE, DETACH = 0x20000, 0x1000, 0x4000, 0x40000, 2
libc = ctypes.CDLL(None, use_errno=True)
def do(name, *args):
    if getattr(libc, name)(*args):
        raise OSError(ctypes.get_errno(), name)
root = sys.argv[1].encode()
do("unshare", NEWNS)
do("mount", None, b"/", None, REC | PRIVATE, None)
do("mount", root, root, None, BIND, None)
os.chdir(root)
do("pivot_root", b".", b".")
do("umount2", b".", DETACH)
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
"""


def patch_build_id(path):
    """Gives a copied file a build ID that no debug file has."""
    notes = naming.output_of("readelf", "-n", path)
    old = re.search(r"Build ID: (\w+)", notes).group(1)
    with open(path, "rb") as file:
        whole = file.read()
    assert whole.count(bytes.fromhex(old)) == 1, path
    with open(path, "wb") as file:
        file.write(whole.replace(bytes.fromhex(old), bytes.fromhex(old)[::-1]))


class Lines(naming.Case):
    def assert_lines(self, flame, source):
        """Frames with their lines: of what was inlined, the loop; of outer, the call."""
        base = os.path.basename(source)
        calls = rf"outer {re.escape(base)}:{naming.line_of(source, 'outer calls')}"
        inner = flame.count(r"inner .*", INLINED)
        self.assertGreater(inner, 0, flame.names)
        self.assertEqual(flame.count(r"inner .*", INLINED, calls), inner, flame.names)
        lines = {int(number) for name in flame.names
                 for number in re.findall(rf"^inner {re.escape(base)}:(\d+)$", name)}
        wanted = {naming.line_of(source, comment) for comment in ("inner loop", "inner body")}
        self.assertTrue(lines and lines <= wanted, (lines, wanted))

    def test_inlined_calls_and_lines(self):
        program = self.start(self.build("inlined"))
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ)
        flame = self.wait_flame(
            server, program, lambda flame: self.has_all_names(flame) and
            flame.count("inner") >= ENOUGH, "inlined calls", since_us=start_us)
        self.assertEqual(flame.count("inner"), flame.count("inner", INLINED, "outer"))

        flame = self.flame(server, program, start_us, by="line")
        self.assert_lines(flame, naming.SOURCE)
        flame = self.flame(server, program, start_us, by="library")
        self.assertGreater(flame.count("inlined", NATIVE), 0, flame.names)
        self.assertGreater(flame.count(r"libc[.-].*", NATIVE, "inlined"), 0, "qsort")
        self.assertEqual(flame.count("inner|outer|main"), 0)

    def test_pprof(self):
        harness.need_tool("go")
        program = self.start(self.build("listed"))
        path = self.path("listed.pb.gz")
        self.record(path, [program], env={"XDG_CACHE_HOME": self.folder})

        listed = self.pprof("-list=^inner$", path)
        with open(naming.SOURCE, encoding="utf-8") as source:
            text = source.read().splitlines()
        hot = 0
        for comment in ("inner loop", "inner body"):
            number = naming.line_of(naming.SOURCE, comment)
            line = re.search(rf"^\s*(\S+)\s+(\S+)\s+{number}:(.*)$", listed, re.M)
            self.assertTrue(line, listed)
            self.assertEqual(line.group(3).split(), text[number - 1].split())
            hot += line.group(1) != "."
        self.assertGreater(hot, 0, listed)
        number = naming.line_of(naming.SOURCE, "outer calls")
        self.assertRegex(self.pprof("-list=^outer$", path),
                         rf"(?m)^\s*\S+\s+\d\S+\s+{number}:.*outer calls")

        # Callers stand above the function, and what it calls below.
        peeked = self.pprof("-peek=^outer$", path)
        names = re.findall(r"\| +(\S+)(.*)$", peeked.split("calls%", 1)[1], re.M)
        self.assertEqual([name for name, _ in names], ["main", "outer", "inner"], peeked)
        self.assertIn("(inline)", names[2][1])

    def test_go(self):
        harness.need_tool("go")
        program = self.start(self.build_go("names-go", "-ldflags", "-s -w"))
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ)
        self.wait_flame(
            server, program, lambda flame: flame.count(r"main\.inner", INLINED, r"main\.outer"),
            "names of a stripped Go program", since_us=start_us)
        later_us = harness.now_us()

        def has_lines():
            naming.hurry(server)
            flame = self.flame(server, program, later_us, by="line")
            return flame if flame.count(r"main\.inner .*") >= ENOUGH else None
        flame = harness.wait_until(has_lines, "lines of a stripped Go program", naming.SECONDS)
        calls = rf"main\.outer names_go\.go:{naming.line_of(naming.GO_SOURCE, 'outer calls')}"
        body = rf"main\.inner names_go\.go:{naming.line_of(naming.GO_SOURCE, 'inner body')}"
        self.assertEqual(flame.count(r"main\.inner .*"), flame.count(body, INLINED, calls))
        self.assertGreater(flame.count(r"runtime\.main proc\.go:\d+"), 0, flame.names)


class Late(naming.Case):
    """Names that come after the samples."""

    def sample(self, server, program, name, functions, start_us):
        """Until there are samples without names of all that it does; when that was."""
        mark = functions.mark(name, "outer")
        marks = {functions.mark(name, function) for function in FUNCTIONS}
        self.wait_flame(server, program, lambda flame: flame.count(re.escape(mark)) >= ENOUGH and
                        marks <= flame.marks(name), f"{name} is sampled", since_us=start_us)
        end_us = harness.now_us()
        server.wait_stored(end_us, naming.SECONDS)
        return end_us

    def assert_marks(self, flame, name, functions):
        """One for each function, however many addresses of it were sampled."""
        marks = flame.marks(name)
        starts = {int(mark.rpartition("+")[2].rstrip("]"), 16) for mark in marks}
        first, end = functions.starts["outer"], functions.ends["outer"]
        self.assertEqual({start for start in starts if first <= start < end}, {first}, marks)
        for function in FUNCTIONS:
            self.assertIn(functions.mark(name, function), marks)
        self.assertEqual(flame.count("inner|outer|main"), 0)

    def test_installed_later(self):
        """While the server runs, for a program that still does and one that has ended."""
        debug_dir = self.path("debug")
        os.mkdir(debug_dir)
        names = ("lasting", "ended")
        paths = [self.build(name) for name in names]
        functions = [naming.Functions(path) for path in paths]
        debugs = [self.split(path) for path in paths]
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ, "--debug-dirs", debug_dir)
        programs = [self.start(path) for path in paths]
        end_us = max(self.sample(server, *known, start_us)
                     for known in zip(programs, names, functions))
        programs[1].end()
        for program, name, known in zip(programs, names, functions):
            flame = self.flame(server, program, start_us, end_us)
            self.assert_marks(flame, name, known)
        samples = [self.flame(server, program, start_us, end_us).samples for program in programs]

        for name, debug in zip(names, debugs):
            naming.install(debug, debug_dir, naming.build_id(name))
        for program, before in zip(programs, samples):
            flame = self.wait_flame(server, program, self.has_all_names, "late names",
                                    since_us=start_us, until_us=end_us)
            self.assertEqual(flame.samples, before)
            lines = self.flame(server, program, start_us, end_us, by="line")
            self.assertGreater(lines.count(r"inner names\.c:\d+", INLINED), 0, lines.names)
        # What is taken from now on has them at once.
        self.wait_flame(server, programs[0], self.has_all_names, "names from now on",
                        since_us=harness.now_us())
        programs[0].end()
        self.assertEqual(server.stop(seconds=60), 0)
        self.assert_named_without_server(programs, start_us, end_us)
        server = self.serve("-F", naming.RATE_HZ)
        for program in programs:
            self.assertTrue(self.has_all_names(self.flame(server, program, start_us, end_us)))

    def assert_named_without_server(self, programs, start_us, end_us):
        for program in programs:
            done = harness.run("query", "flame", "--json", "--data", self.data, "--from",
                               f"{start_us / 1e6:.6f}", "--until", f"{end_us / 1e6:.6f}",
                               program.query)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(self.has_all_names(naming.Flame(json.loads(done.stdout))))

    def upload(self, server, build_id, path):
        url = urllib.parse.urlsplit(server.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=naming.SECONDS)
        try:
            with open(path, "rb") as body:
                connection.request("PUT", f"/api/v1/symbols/{build_id}", body,
                                   {"Content-Length": str(os.path.getsize(path))})
                reply = connection.getresponse()
                return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def test_upload(self):
        path = self.build("uploaded")
        functions = naming.Functions(path)
        debug = self.split(path)
        stranger = self.split(self.build("stranger"))
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ)
        program = self.start(path)
        end_us = self.sample(server, program, "uploaded", functions, start_us)
        program.end()

        code, answer = self.upload(server, naming.build_id("uploaded"), stranger)
        self.assertEqual(code, 400, answer)
        self.assertIn(naming.build_id("stranger"), answer["error"]["message"])
        self.assert_marks(self.flame(server, program, start_us, end_us), "uploaded", functions)

        code, answer = self.upload(server, naming.build_id("uploaded"), debug)
        self.assertIn((code, answer["done"]), ((200, True), (202, False)), answer)
        self.wait_flame(server, program, self.has_all_names, "uploaded names",
                        since_us=start_us, until_us=end_us)
        self.assertEqual(server.stop(seconds=60), 0)
        self.assert_named_without_server([program], start_us, end_us)
        # What was uploaded is known for ever.
        server = self.serve("-F", naming.RATE_HZ)
        start_us = harness.now_us()
        self.wait_flame(server, self.start(path), self.has_all_names, "names that were uploaded",
                        since_us=start_us)


class DebugFiles(naming.Case):
    def test_link_and_mini(self):
        """.gnu_debuglink beside the executable, and .gnu_debugdata in it."""
        linked, mini = self.build("linked"), self.build("mini")
        debug = self.split(linked)
        os.rename(debug, self.path("linked.debug"))
        subprocess.run(["objcopy", "--add-gnu-debuglink=linked.debug", "linked"], check=True,
                       cwd=self.folder)
        self.make_mini(mini)
        programs = [self.start(path) for path in (linked, mini)]
        path = self.path("both.folded")
        self.record(path, programs, env={"XDG_CACHE_HOME": self.folder})

        self.assert_recorded_names(path, "linked")
        stacks = self.folded(path, "mini")
        hot = [frames for frames in stacks if "outer" in frames]
        self.assertTrue(hot, stacks)
        for frames in hot:
            self.assertEqual(frames[-2:], ["main", "outer"], "functions only")

    def make_mini(self, path):
        """https://sourceware.org/gdb/current/onlinedocs/gdb.html/MiniDebugInfo.html"""
        harness.need_tool("xz")
        small, keep = self.path("small"), self.path("keep")
        with open(keep, "w", encoding="utf-8") as file:
            for function in naming.Functions(path).starts:
                file.write(function + "\n")
        subprocess.run(["objcopy", "-S", f"--keep-symbols={keep}", path, small], check=True)
        subprocess.run(["strip", path], check=True)
        subprocess.run(["xz", small], check=True)
        subprocess.run(["objcopy", f"--add-section=.gnu_debugdata={small}.xz", path], check=True)

    def test_debuginfod(self):
        harness.need_tool("debuginfod")
        path = self.build("remote")
        served = self.path("served")
        os.mkdir(served)
        os.rename(self.split(path), os.path.join(served, "remote.debug"))
        url = self.serve_debug_files(served, naming.build_id("remote"))
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ, "--debuginfod-urls", url)
        self.wait_flame(server, self.start(path), self.has_all_names, "names by debuginfod",
                        since_us=start_us)

    def test_debuginfod_hangs(self):
        """Sampling and answering go on; the status says what is waited for."""
        path = self.build("waiting")
        functions = naming.Functions(path)
        self.split(path)
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            start_us = harness.now_us()
            server = self.serve("-F", naming.RATE_HZ, "--debuginfod-urls", url)
            program = self.start(path)

            def is_asked():
                naming.hurry(server)
                return [row for row in server.status()["symbols"]["unnamed"]
                        if row["file"] == path and "debuginfod" in row["reason"]]
            row = harness.wait_until(is_asked, "a server is asked", naming.SECONDS)[0]
            self.assertEqual(row["build_id"], naming.build_id("waiting"))
            server.wait_stored(harness.now_us(), naming.SECONDS)
            self.wait_flame(
                server, program, lambda flame: flame.count(
                    re.escape(functions.mark("waiting", "outer"))) >= ENOUGH,
                "samples meanwhile", since_us=start_us)
            self.assertEqual(server.get("/")[0], 200)
            self.assertTrue(is_asked(), "and still is")
            self.assertEqual(server.stop(seconds=60), 0)


class Containers(naming.Case):
    def make_root(self, paths):
        """A root filesystem with the programs and with libraries of its own."""
        root = self.path("root")
        libraries = re.findall(r"(/\S+) \(0x", naming.output_of("ldd", paths[0]))
        for library in libraries:
            copy = root + library
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy(os.path.realpath(library), copy)
            if "/libc." in library:
                patch_build_id(copy)
        for path in paths:
            shutil.copy(path, root)
        return root

    def link_debug_file(self, root, name, target):
        path = naming.debug_path(root + "/usr/lib/debug", naming.build_id(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)

    def test_own_root(self):
        """Names come from within the root of a container, and from nowhere else."""
        names = ("direct", "within", "outside", "above")
        paths = [self.build("c-" + name) for name in names]
        debugs = dict(zip(names, map(self.split, paths)))
        root = self.make_root(paths)
        naming.install(debugs["direct"], root + "/usr/lib/debug", naming.build_id("c-direct"))
        os.mkdir(root + "/elsewhere")
        shutil.copy(debugs["within"], root + "/elsewhere/within.debug")
        self.link_debug_file(root, "c-within", "/elsewhere/within.debug")
        self.link_debug_file(root, "c-outside", debugs["outside"])
        self.link_debug_file(root, "c-above", "../" * 40 + debugs["above"].lstrip("/"))
        for name in ("outside", "above"):
            link = naming.debug_path(root + "/usr/lib/debug", naming.build_id("c-" + name))
            self.assertTrue(os.path.exists(link), "from here it leads to the debug file")

        programs = [self.start(sys.executable, "-c", ENTER, root, "/c-" + name)
                    for name in names]
        path = self.path("container.folded")
        self.record(path, programs, env={"XDG_CACHE_HOME": self.folder})
        self.assert_recorded_names(path, "c-direct")
        self.assert_recorded_names(path, "c-within")
        for name in ("outside", "above"):
            frames = {frame for frames in self.folded(path, "c-" + name) for frame in frames}
            self.assertFalse({"inner_[i]", "outer", "main"} & frames, frames)
            self.assertTrue(any(f"[stripped c-{name}+" in frame for frame in frames), frames)
        # libc is the root's own: it exports the name, and no debug file has its build ID.
        libc = {frame for frames in self.folded(path, "c-direct") for frame in frames
                if re.match(r"qsort|\[stripped libc", frame)}
        self.assertIn("qsort_r", libc)


class Reasons(naming.Case):
    def test_status(self):
        """What costs the most unnamed samples is listed, with what would help."""
        path = self.build("bare")
        self.split(path)
        server = self.serve("-F", naming.RATE_HZ)
        self.start(path)

        def listed():
            naming.hurry(server)
            return [row for row in server.status()["symbols"]["unnamed"]
                    if row["file"] == path and row["samples"] >= ENOUGH and
                    row["reason"] == "stripped"]
        row = harness.wait_until(listed, "bare is listed", naming.SECONDS)[0]
        self.assertEqual(row["build_id"], naming.build_id("bare"))
        self.assertIn("/usr/lib/debug", row["remedy"])
        rows = server.status()["symbols"]["unnamed"]
        self.assertEqual([row["samples"] for row in rows],
                         sorted((row["samples"] for row in rows), reverse=True))

    def test_deleted(self):
        """Files that are gone, from before the sampling began and from after it did."""
        before, after = self.build("gone-before"), self.build("gone-after")
        start_us = harness.now_us()
        programs = [self.start(before)]
        os.unlink(before)
        server = self.serve("-F", naming.RATE_HZ)
        programs.append(self.start(after))
        os.unlink(after)
        for program in programs:
            self.wait_flame(server, program, self.has_all_names, "names of a deleted file",
                            since_us=start_us)

    def test_kernel_and_vdso(self):
        start_us = harness.now_us()
        server = self.serve("-F", naming.RATE_HZ)
        program = self.start(self.build("calls"))
        flame = self.wait_flame(
            server, program, lambda flame: flame.count(".*", VDSO) >= ENOUGH and
            flame.count(".*sys_getrandom.*", KERNEL) >= ENOUGH, "kernel and vDSO",
            since_us=start_us)
        for name, kind in zip(flame.names, flame.kinds):
            if kind in (KERNEL, VDSO):
                self.assertRegex(name, r"^[A-Za-z_][\w.]*( \[\w+\])?$")
        self.assertGreater(flame.count(r"__(vdso|kernel)_clock_gettime", VDSO), 0, flame.names)


class Cache(naming.Case):
    def setUp(self):
        super().setUp()
        self.env = {"XDG_CACHE_HOME": self.path("xdg")}
        self.cache = self.path("xdg", "hearth")

    def cached(self, name):
        found = [file for file in os.listdir(self.cache)
                 if file.startswith(naming.build_id(name)) and file.endswith(".gsym")]
        self.assertEqual(len(found), 1, os.listdir(self.cache))
        return os.path.join(self.cache, found[0])

    def test_second_time(self):
        """By then the program is stripped, so that the names can be from the cache only."""
        path = self.build("again")
        self.record(self.path("first.folded"), [self.start(path)], env=self.env)
        self.assert_recorded_names(self.path("first.folded"), "again")
        first = os.stat(self.cached("again"))

        os.rename(path, path + ".whole")
        shutil.copy(path + ".whole", path)
        subprocess.run(["strip", path], check=True)
        self.record(self.path("second.folded"), [self.start(path)], env=self.env)
        self.assert_recorded_names(self.path("second.folded"), "again")
        self.assertEqual(os.stat(self.cached("again")).st_ino, first.st_ino, "not written again")

    def test_two_at_once(self):
        programs = [self.start(self.build("shared"))]
        paths = [self.path(f"{number}.folded") for number in (1, 2)]
        recorders = [self.recorder(path, programs, env=self.env) for path in paths]
        for recorder in recorders:
            self.end_recording(recorder, programs)
        for path in paths:
            self.assert_recorded_names(path, "shared")
        self.assertEqual([file for file in os.listdir(self.cache)
                          if not file.endswith((".gsym", ".none"))], [], "nothing is left over")
        self.cached("shared")

    def test_damaged(self):
        """A cut file, one that a power cut damaged, and one that is something else."""
        program = self.start(self.build("damaged"))
        path = self.path("run.folded")
        self.record(path, [program], env=self.env)
        with open(self.cached("damaged"), "rb") as file:
            whole = file.read()
        half = len(whole) // 2
        for what, damaged in (("cut", whole[:half]), ("empty", b""),
                              ("zeros", whole[:half] + bytes(len(whole) - half)),
                              ("something else", b"not a GSYM file\n" * 99)):
            with self.subTest(what=what):
                with open(self.cached("damaged"), "wb") as file:
                    file.write(damaged)
                os.utime(self.cached("damaged"), (1, 1))  # from before this boot
                self.record(path, [program], env=self.env, seconds=0.2)
                self.assert_recorded_names(path, "damaged")
                with open(self.cached("damaged"), "rb") as file:
                    self.assertEqual(file.read(), whole, "made again")


if __name__ == "__main__":
    harness.main()

"""What the tests of names share: programs with separate debug files, their flame graphs, and
recordings."""

import collections
import contextlib
import glob
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request

import harness
import unwinding

PROGRAMS = os.path.join(harness.HERE, "programs")
SOURCE = os.path.join(PROGRAMS, "names.c")
GO_SOURCE = os.path.join(PROGRAMS, "names_go.go")
RATE_HZ = 499
SECONDS = 240  # for what takes 20 s on a machine that is not busy
NATIVE, KERNEL, INLINED, VDSO = 1, 2, 3, 5  # kinds of nodes: docs/API.md


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def line_of(path, comment):
    """The number of the line with that comment at its end."""
    with open(path, encoding="utf-8") as lines:
        found = [number for number, line in enumerate(lines, 1)
                 if re.search(rf"(/\* {comment} \*/|// {comment})$", line.rstrip())]
    assert len(found) == 1, (path, comment, found)
    return found[0]


def build_id(name):
    """Of a program with that name: one that no other file has."""
    return hashlib.sha1(name.encode()).hexdigest()


def debug_path(directory, of_id):
    return os.path.join(directory, ".build-id", of_id[:2], of_id[2:] + ".debug")


def install(debug, directory, of_id):
    """Puts a debug file where a package would: whole or not at all."""
    path = debug_path(directory, of_id)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(debug, path + ".new")
    os.rename(path + ".new", path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return reply.status == 200
    except OSError:
        return False


class Functions:
    """The functions of a file that was not stripped, by nm."""

    def __init__(self, path):
        self.starts = {}
        self.ends = {}
        for line in output_of("nm", "--defined-only", "-S", path).splitlines():
            fields = line.split()
            if fields[-2] in "tT":
                self.starts[fields[-1]] = int(fields[0], 16)
                if len(fields) == 4:
                    self.ends[fields[-1]] = int(fields[0], 16) + int(fields[1], 16)

    def mark(self, file, function):
        return f"[stripped {file}+{self.starts[function]:#x}]"


class Flame:
    """The answer of /api/v1/flame, or of `hearth query flame --json`."""

    def __init__(self, answer):
        nodes, names = answer["nodes"], answer["names"]
        self.samples = answer["samples"]
        self.total_us = answer["total_us"]
        self.names = [names[name] for name in nodes["name"]]
        self.mappings = [answer["mappings"][mapping] for mapping in nodes["mapping"]]
        self.parents, self.kinds = nodes["parent"], nodes["kind"]
        self.self_samples, self.node_samples = nodes["self_samples"], nodes["total_samples"]

    def count(self, name, kind=None, parent=None):
        """Samples in frames of that name (a pattern), of that kind, called by such a frame."""
        return sum(samples for index, samples in enumerate(self.node_samples)
                   if re.fullmatch(name, self.names[index]) and
                   kind in (None, self.kinds[index]) and
                   (parent is None or re.fullmatch(parent, self.names[self.parents[index]])))

    def leaves(self):
        """{name: samples in it and in nothing that it called}"""
        leaves = collections.Counter()
        for name, samples in zip(self.names, self.self_samples):
            leaves[name] += samples
        return leaves

    def marks(self, file):
        return {name for name in self.names if name.startswith(f"[stripped {file}+")}


def hurry(server):
    """Names are made at low priority: on a busy machine, tests would wait for very long."""
    for path in glob.glob(f"/proc/{server.pid}/task/*/comm"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as comm:
            if comm.read().strip() == "hearth-symbols":
                thread = int(path.split("/")[-2])
                os.setpriority(os.PRIO_PROCESS, thread, 0)


class Program:
    """A program that runs until its standard input ends."""

    def __init__(self, *command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, **options)
        self.pid = int(self.process.stdout.readline())
        self.query = f'{{pid="{self.pid}"}}'

    def end(self):
        self.process.communicate(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        for tool in ("gcc", "nm", "objcopy", "strip"):
            harness.need_tool(tool)

    def build(self, name, *flags):
        """The program, with all its debug information."""
        path = self.path(name)
        subprocess.run(["gcc", "-O2", "-g", f"-Wl,--build-id=0x{build_id(name)}", *flags,
                        "-o", path, SOURCE], check=True)
        return path

    def serve_debug_files(self, directory, of_id):
        """The URL of a debuginfod that knows the file of that build ID in the directory."""
        for _ in range(5):  # somebody may take the port first
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            process = self.start_debuginfod(port, directory)
            harness.wait_until(lambda: process.poll() is not None or
                               answers(f"{url}/buildid/{of_id}/debuginfo"),
                               "debuginfod knows the debug file", SECONDS)
            if process.poll() is None:
                return url
        with open(self.path("debuginfod.log"), encoding="utf-8") as log:
            raise AssertionError(f"debuginfod ends: {log.read()}")

    def start_debuginfod(self, port, directory):
        with open(self.path("debuginfod.log"), "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["debuginfod", "-d", self.path("db"), "-p", str(port), "-F", directory, "-t", "1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={name: value for name, value in os.environ.items()
                     if name != "DEBUGINFOD_URLS"})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def build_go(self, name, *flags):
        path = self.path(name)
        env = {**os.environ, "GO111MODULE": "off", "GOCACHE": self.path("go-cache")}
        subprocess.run(["go", "build", *flags, "-o", path, GO_SOURCE], check=True, env=env)
        return path

    def split(self, path):
        """Strips a program; its debug file, which is not where anybody would look."""
        debug = self.path("split-" + os.path.basename(path))
        subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
        subprocess.run(["strip", path], check=True)
        return debug

    def start(self, *command, **options):
        program = Program(*command, **options)
        self.addCleanup(program.kill)
        return program

    def flame(self, server, program, since_us, until_us=None, **params):
        return Flame(server.api("flame", query=program.query, from_us=since_us,
                                until_us=until_us or harness.now_us(), **params))

    def wait_flame(self, server, program, condition, what, **params):
        """The first flame graph of a program for which the condition holds."""
        def found():
            hurry(server)
            flame = self.flame(server, program, **params)
            return flame if condition(flame) else None
        return harness.wait_until(found, what, SECONDS)

    def has_all_names(self, flame):
        """Source lines and inlined calls, and nothing as it was before."""
        return (flame.count("inner", INLINED, "outer") > 0 and
                flame.count("outer", NATIVE, "main") > 0 and not flame.marks(".*"))

    def record(self, path, programs, *args, env=None, seconds=0.5):
        """Records programs until each has had so much CPU time."""
        recorder = self.recorder(path, programs, *args, env=env)
        self.end_recording(recorder, programs, seconds)

    def recorder(self, path, programs, *args, env=None):
        pids = ",".join(str(program.pid) for program in programs)
        recorder = subprocess.Popen(
            [harness.BIN, "record", "-p", pids, "-F", str(RATE_HZ), "-o", path, *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, env={**os.environ, **(env or {})})
        self.addCleanup(recorder.communicate)
        self.addCleanup(recorder.kill)
        return recorder

    def end_recording(self, recorder, programs, seconds=0.5):
        harness.wait_until(lambda: recorder.poll() is not None or
                           unwinding.is_collecting(recorder.pid), "programs are sampled", SECONDS)
        begun = {program.pid: harness.cpu_seconds(program.pid) for program in programs}
        harness.wait_until(lambda: all(harness.cpu_seconds(pid) >= before + seconds
                                       for pid, before in begun.items()), "CPU time", SECONDS)
        if recorder.poll() is None:
            recorder.send_signal(signal.SIGINT)
        text = recorder.communicate(timeout=SECONDS)[1]
        self.assertEqual(recorder.returncode, 0, text)

    def folded(self, path, program_name):
        """The user stacks of a recording with that thread name."""
        stacks = [[frame for frame in frames[1:] if not frame.endswith(unwinding.KERNEL)]
                  for frames, _ in harness.read_folded(path) if frames[0] == program_name]
        self.assertTrue(stacks, f"{program_name} was sampled")
        return stacks

    def assert_recorded_names(self, path, name):
        inner = [frames for frames in self.folded(path, name) if "inner_[i]" in frames]
        self.assertTrue(inner, f"{name} has inlined calls")
        for frames in inner:
            self.assertEqual(frames[-3:], ["main", "outer", "inner_[i]"])

    def pprof(self, *args):
        harness.need_tool("go")
        env = {**os.environ, "PPROF_TMPDIR": self.folder, "HOME": self.folder,
               "GOCACHE": self.path("go-cache")}
        # pprof drops from paths what ends in the name of the folder that it runs in.
        done = subprocess.run(["go", "tool", "pprof", *args], env=env, cwd=self.folder,
                              capture_output=True, text=True, timeout=SECONDS, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

#!/usr/bin/env python3
"""Names of addresses beside llvm-symbolizer, eu-addr2line and binutils addr2line, and compiling
beside llvm-gsymutil, on the same files in the same run. `./dev bench symbolize [--file DEBUG_FILE]`.

Every program is asked for the first address of a file (its start, and what it reads first),
then for many, in random order; the rate is of those beyond the first. CPU and memory are those
that the kernel counted for the program (wait4). bench/lookups.c asks the same file without a
program's reading, demangling and printing around it.
"""

import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HEARTH = os.environ.get("HEARTH_BIN") or os.path.join(HERE, "../build/release/cli/hearth")
ROOT = os.path.dirname(HERE)
REPEATS = 3  # of short runs; the fastest counts, for what disturbs only adds


def debug_file(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True,
                           check=True).stdout
    build_id = re.search(r"Build ID: (\w+)", notes).group(1)
    return f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"


def code_of(path):
    text = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True,
                          check=True).stdout
    start, size = re.search(r"\] \.text\s+(?:PROGBITS|NOBITS)\s+(\w+)\s+\w+\s+(\w+)",
                            text).groups()
    return int(start, 16), int(size, 16)


def random_addresses(path, count):
    start, size = code_of(path)
    random.seed(1)
    return [start + random.randrange(size) for _ in range(count)]


# A child's peak memory counts what it was before exec: a copy of this process. So a small one
# starts it; less than the 9 MiB of that cannot be seen.
SPAWN = """
import os, sys, time
began = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, status,
      file=sys.stderr)
"""


def run(command, text=""):
    """Seconds, CPU seconds and MiB of a command that reads text."""
    with tempfile.TemporaryFile("w+") as feed:
        feed.write(text)
        feed.seek(0)
        ran = subprocess.run([sys.executable, "-S", "-E", "-c", SPAWN, *command], stdin=feed,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             check=True)
    wall, cpu, kib, status = ran.stderr.splitlines()[-1].split()
    if status != "0":
        raise SystemExit(f"{' '.join(command)} failed: {ran.stderr}")
    return float(wall), float(cpu), int(kib) / 1024


def best(command, text=""):
    return min(run(command, text) for _ in range(REPEATS))


def lookups(path, debug, data, count):
    subject = path or debug
    peers = [("hearth", [HEARTH, "symbolize", "--data", data, subject], count)]
    if shutil.which("llvm-symbolizer"):
        peers.append(("llvm-symbolizer", ["llvm-symbolizer", "--inlines", f"--obj={subject}"],
                      count // 10))
    if shutil.which("eu-addr2line"):
        peers.append(("eu-addr2line", ["eu-addr2line", "-f", "-i", "-C", "-e", subject],
                      count // 10))
    if shutil.which("addr2line"):
        peers.append(("addr2line", ["addr2line", "-f", "-i", "-C", "-e", subject],
                      count // 100))
    addresses = [f"{vaddr:#x}\n" for vaddr in random_addresses(subject, count)]
    print("| | first address | CPU | memory | addresses/s |\n|---|---|---|---|---|")
    for name, command, asked in peers:
        first = best(command, addresses[0])
        many = run(command, "".join(addresses[:asked]))
        rate = (asked - 1) / max(many[1] - first[1], 1e-6)
        print(f"| {name} | {first[0] * 1e3:.1f} ms | {first[1] * 1e3:.1f} ms | "
              f"{first[2]:.1f} MiB | {rate:,.0f} |", flush=True)


def cached_file(data):
    cache = os.path.join(data, "cache")
    return next(os.path.join(cache, name) for name in os.listdir(cache)
                if name.endswith(".gsym"))


def build_lookups(folder):
    """With the libraries that were built with the binary."""
    built = os.path.dirname(os.path.dirname(os.path.abspath(HEARTH)))
    program = os.path.join(folder, "lookups")
    libraries = [os.path.join(built, name, f"libhearth_{name}.a")
                 for name in ("symbolizer", "profile", "base")]
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", f"-I{ROOT}",
                    "-o", program, os.path.join(HERE, "lookups.c"), *libraries,
                    "-liberty", "-llzma", "-lzstd", "-lz", "-lpthread"], check=True)
    return program


def warm_lookups(program, subject, data):
    print("\n| warm, in memory | addresses/s | frames each |\n|---|---|---|")
    start, size = code_of(subject)
    for count in (100000, 1000):
        text = subprocess.run([program, cached_file(data), str(start), str(size), str(count),
                               str(4000000 // count)], capture_output=True, text=True,
                              check=True).stdout
        rate, frames = re.match(r"(\d+) lookups/s, ([\d.]+) frames", text).groups()
        print(f"| {count:,} different addresses | {int(rate):,} | {frames} |", flush=True)


def compile_names(path, debug, data):
    subject = path or debug
    shutil.rmtree(data, ignore_errors=True)
    wall, cpu, memory = run([HEARTH, "symbolize", "--data", data, subject, "0"])
    size = os.path.getsize(cached_file(data))
    print("\n| compiling | time | CPU | memory | file |\n|---|---|---|---|---|")
    print(f"| hearth | {wall:.2f} s | {cpu:.2f} s | {memory:.0f} MiB | {size / 1e6:.1f} MB |")
    tool = shutil.which("llvm-gsymutil-14") or shutil.which("llvm-gsymutil")
    if not tool:
        return
    with tempfile.TemporaryDirectory() as out:
        target = os.path.join(out, "peer.gsym")
        wall, cpu, memory = run([tool, f"--convert={debug}", f"--out-file={target}", "--quiet",
                                 "--num-threads=1"])
        size = os.path.getsize(target)
        print(f"| llvm-gsymutil | {wall:.2f} s | {cpu:.2f} s | {memory:.0f} MiB | "
              f"{size / 1e6:.1f} MB |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=1000000)
    parser.add_argument("--file", action="append", default=[], metavar="DEBUG_FILE",
                        help="a debug file, or an executable with DWARF, to measure as well")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    subjects = [("/usr/bin/python3.11", None), ("/lib/x86_64-linux-gnu/libc.so.6", None)]
    subjects += [(None, path) for path in options.file]
    measured = 0
    for path, debug in subjects:
        if path and (not os.path.exists(path) or not os.path.exists(debug_file(path))):
            print(f"(left out: {path} or its -dbg package is not installed)", file=sys.stderr)
            continue
        debug = debug or debug_file(path)
        print(f"\n## {path or debug}: {os.path.getsize(debug) / 1e6:.0f} MB of debug file")
        with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
            compile_names(path, debug, data)
            warm_lookups(build_lookups(folder), path or debug, data)
            print()
            lookups(path, debug, data, options.addresses)
        measured += 1
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())

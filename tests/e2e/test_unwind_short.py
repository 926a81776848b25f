"""Processes that live 20 ms, half of them in mount and pid namespaces of their own, their files
deleted at once and no two alike: their stacks are whole and named from the first sample, and their time adds up."""

import collections
import math
import os
import re
import subprocess
import sys

import harness
import unwinding

PROCESSES = int(os.environ.get("HEARTH_UNWIND_PROCESSES", "300"))
CPU_MS = 20
RATE_HZ = int(os.environ.get("HEARTH_UNWIND_HZ", "499"))
WHOLE_PERCENT = 95.0
BURN = b"burn_000000"


def build_id(path):
    """Where the bytes of a file's build ID are, and how many."""
    notes = unwinding.output_of("readelf", "-nW", path)
    value = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes).group(1))
    with open(path, "rb") as file:
        return value, file.read()


class UnwindShort(unwinding.Case):
    def make_programs(self):
        """s000000 and so on: each with its own function name; half of them with a build ID of
        their own, half without any, and so among those in namespaces (even numbers)."""
        value, with_id = build_id(self.build("with", "unwind_short.c", "-Wl,--build-id=sha1"))
        with open(self.build("without", "unwind_short.c", "-Wl,--build-id=none"), "rb") as file:
            without_id = file.read()
        for image in (with_id, without_id):
            self.assertEqual(image.count(BURN), 1, "the name is there once")
        self.assertEqual(with_id.count(value), 1)
        for number in range(PROCESSES):
            own = value[:-4] + number.to_bytes(4, "big")
            image = with_id.replace(value, own) if number % 4 < 2 else without_id
            path = self.path(f"s{number:06d}")
            with open(path, "wb") as file:
                file.write(image.replace(BURN, b"burn_%06d" % number))
            os.chmod(path, 0o755)

    def record(self):
        """(stacks, CPU seconds that the programs really had, the part of the time in which Hearth
        had no CPU to look: of those that lived and died meanwhile the files are gone)"""
        path = self.path("short.folded")
        herd = self.build("u-herd", "unwind_herd.c")
        with self.recording(path, "-F", RATE_HZ) as recorder:
            before = unwinding.CollectorTimes(recorder.pid)
            done = subprocess.run([herd, self.folder, str(PROCESSES), "3", str(CPU_MS)],
                                  check=False, capture_output=True, text=True,
                                  timeout=unwinding.DEADLINE_S)
            blind = unwinding.CollectorTimes(recorder.pid).waited_part(before)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([name for name in os.listdir(self.folder) if re.match("s[0-9]", name)],
                         [], "all of them ran and deleted themselves")
        return harness.read_folded(path), int(done.stdout) / 1e9, blind

    def merged(self, stacks):
        """Their samples, taken together; the name of its burning function is made plain where
        it is that of the process."""
        mine = []
        for frames, value in stacks:
            number = re.match(r"s(\d{6})$", frames[0])
            if number:
                own = "burn_" + number.group(1)
                mine.append((["short"] + ["burn" if frame == own else frame
                                          for frame in frames[1:]], value))
        self.starts.add(self.path("with"), "short")
        return unwinding.Samples(mine, "short", self.starts)

    def check_sum(self, stacks, used_s):
        """Samples are counted at random moments: n of them are right to about sqrt(n)."""
        comms = collections.Counter()
        for frames, value in stacks:
            comms[frames[0]] += value / 1e9
        measured_s = sum(value for comm, value in comms.items()
                         if re.match(r"s\d{6}$|u-herd$|unshare$", comm))
        within_s = 5 * math.sqrt(used_s * RATE_HZ) / RATE_HZ
        print(f"short: {measured_s:.3f} s sampled of {used_s:.3f} s +- {within_s:.3f} s",
              file=sys.stderr)
        self.assert_close(measured_s, used_s, within_s, "CPU seconds")

    def check_kernel_only(self, stacks, samples):
        """No user stack is there on the way in by execve(2), and out."""
        others = collections.Counter()
        for frames, value in stacks:
            if (re.match(r"s\d{6}$", frames[0]) and
                    all(frame.endswith(unwinding.KERNEL) for frame in frames[1:]) and
                    not any(re.search("exec|exit", frame) for frame in frames[1:])):
                others[" < ".join(frames[1:])] += value
        print(f"short: {100 * samples.kernel_only / samples.total:.2f} % without a user stack, "
              f"{sum(others.values()) / 1e9:.3f} s neither in exec nor exit", file=sys.stderr)
        self.assertLessEqual(sum(others.values()), 0.01 * samples.total, others.most_common(5))

    def check_names(self, stacks, blind):
        """A process that ran below its main when a tick came has its own function's name there; not
        each has to: 20 ms in pieces may lie between ticks."""
        below = {frames[0] for frames, _ in stacks
                 if re.match(r"s\d{6}$", frames[0]) and "hold" in frames}
        named = {frames[0] for frames, _ in stacks if "burn_" + frames[0][1:] in frames}
        others = [frames for frames, _ in stacks for frame in frames
                  if re.match(r"burn_\d", frame) and frame[5:] != frames[0][1:]]
        print(f"short: {len(named)} named of {len(below)} sampled below main of {PROCESSES}",
              file=sys.stderr)
        self.assertEqual(others, [], "no function of another process")
        self.assertGreaterEqual(len(named), (0.95 - blind) * len(below),
                                "processes with their own name")
        # As if ticks came at random, which is the worst case.
        missed = PROCESSES * (0.05 + blind + math.exp(-CPU_MS / 1e3 * RATE_HZ))
        self.assertGreaterEqual(len(below), PROCESSES - missed, "processes that were met")

    def test_short_processes(self):
        harness.need_tool("unshare")
        self.make_programs()
        stacks, used_s, blind = self.record()
        least = max(WHOLE_PERCENT - 100 * blind, 15)
        print(f"short: nobody looked for {100 * blind:.2f} % of the time", file=sys.stderr)
        self.check_sum(stacks, used_s)
        samples = self.merged(stacks)
        self.check_kernel_only(stacks, samples)
        self.check_whole(samples, least)
        chain = ("_start", "main", "hold", "burn")
        # Some 5 % of such a life is spent in the dynamic linker, before main; more where the kernel
        # takes longer for its pages.
        self.check(samples, lambda user: unwinding.is_chain(user, chain), least - 15,
                   "below its main")
        self.check(samples, lambda user: "burn" not in user or unwinding.is_chain(user, chain),
                   least, "with the chain")
        self.check(samples, lambda user: samples.is_whole(user) and not any(
            re.match(r"\[(s\d|unknown)", frame) for frame in user), least,
                   "whole and named")
        self.check_names(stacks, blind)


if __name__ == "__main__":
    harness.main()

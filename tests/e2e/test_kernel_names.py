"""Code that comes into the kernel while Hearth runs has its name: BPF programs that were loaded
after kallsyms was read, mostly at addresses where there was another one when it was."""

import subprocess

import harness
import naming

ENOUGH = 30  # samples


class KernelNames(naming.Case):
    def build_spin(self):
        path = self.path("bpf_spin")
        subprocess.run(["gcc", "-O1", "-o", path,
                        f"{naming.PROGRAMS}/bpf_spin.c"], check=True)
        return path

    def test_program_loaded_later(self):
        for name in ("bpf_jit_enable", "bpf_jit_kallsyms"):
            with open(f"/proc/sys/net/core/{name}", encoding="utf-8") as setting:
                harness.need(int(setting.read()), f"needs net.core.{name}")
        path = self.build_spin()
        server = self.serve("-F", naming.RATE_HZ)
        for name in ("first_spin", "other_spin"):
            start_us = harness.now_us()
            program = self.start(path, name)
            mark = rf"bpf_prog_[0-9a-f]{{16}}_{name}( \[bpf\])?"
            self.wait_flame(server, program,
                            lambda flame, mark=mark: flame.count(mark, naming.KERNEL) >= ENOUGH,
                            f"samples of {name}", since_us=start_us)
            program.end()
        self.assertEqual(server.stop(), 0, server.output())


if __name__ == "__main__":
    harness.main()

/* bpf_spin NAME: loads a BPF program of that name, prints the pid, and runs the program over and
 * over until standard input ends. A machine that does not compile BPF programs: exit 77. */
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TURNS = 10000, RUNS = 1000, FRAME_BYTES = 64 };

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load(const char *name)
{
	static const struct bpf_insn spin[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TURNS},
		{.code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = -2, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)spin,
		.insn_cnt = sizeof(spin) / sizeof(spin[0]),
		.license = (uintptr_t) "GPL",
	};
	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	return (int)bpf(BPF_PROG_LOAD, &attr);
}

static int is_jitted(int fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)fd,
					.info_len = sizeof(info),
					.info = (uintptr_t)&info}};
	return !bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) && info.jited_prog_len > 0;
}

int main(int argc, char **argv)
{
	unsigned char frame[FRAME_BYTES] = {0};
	int fd = argc == 2 ? load(argv[1]) : -1;
	if (fd < 0) {
		perror("load a BPF program");
		return errno == EPERM ? 77 : 1;
	}
	if (!is_jitted(fd))
		return 77;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	while (!poll(&input, 1, 0)) {
		union bpf_attr attr = {.test = {.prog_fd = (uint32_t)fd,
						.data_in = (uintptr_t)frame,
						.data_size_in = sizeof(frame),
						.repeat = RUNS}};
		if (bpf(BPF_PROG_TEST_RUN, &attr)) {
			perror("run the BPF program");
			return 1;
		}
	}
	return 0;
}

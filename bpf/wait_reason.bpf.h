/*
 * wait_reason: what a task that is not running waits for, as far as its state and its system call
 * tell. What cannot be read stays 0. Memory is read as stacks are (READ_TASK).
 */
#pragma once
#include <asm/unistd.h>
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/stack.bpf.h"

/* Newer than the headers of the oldest system this is built on. */
#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAIT  455

#define FAMILY_INET  2 /* AF_INET, of <sys/socket.h> */
#define FAMILY_INET6 10

#define MODE_TYPE   0170000 /* S_IFMT and S_IFSOCK, of <sys/stat.h> */
#define MODE_SOCKET 0140000

#define IS_ON_QUEUE 1 /* TASK_ON_RQ_QUEUED of kernel/sched/sched.h */

/* Runnable, though not running: woken, or never gone to sleep. */
static __always_inline __u32 is_queued(struct task_struct *task)
{
	return !compat_task_state(task) ||
	       (BPF_CORE_READ_BITFIELD_PROBED(task, on_rq) == IS_ON_QUEUE &&
		!compat_is_sleep_delayed(task));
}

/* System calls whose first argument is the file that they wait for. */
static __always_inline __u32 takes_file(__s32 syscall)
{
	switch (syscall) {
	case __NR_read:
	case __NR_write:
	case __NR_ioctl:
	case __NR_pread64:
	case __NR_pwrite64:
	case __NR_readv:
	case __NR_writev:
	case __NR_sendfile:
	case __NR_connect:
	case __NR_accept:
	case __NR_sendto:
	case __NR_recvfrom:
	case __NR_sendmsg:
	case __NR_recvmsg:
	case __NR_fcntl:
	case __NR_flock:
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_ftruncate:
	case __NR_getdents:
	case __NR_getdents64:
	case __NR_epoll_wait:
	case __NR_mq_timedsend:
	case __NR_mq_timedreceive:
	case __NR_splice:
	case __NR_tee:
	case __NR_sync_file_range:
	case __NR_vmsplice:
	case __NR_epoll_pwait:
	case __NR_fallocate:
	case __NR_accept4:
	case __NR_preadv:
	case __NR_pwritev:
	case __NR_recvmmsg:
	case __NR_syncfs:
	case __NR_sendmmsg:
	case __NR_copy_file_range:
	case __NR_preadv2:
	case __NR_pwritev2:
	case __NR_io_uring_enter:
	case __NR_epoll_pwait2:
		return 1;
	}
	return 0;
}

static __always_inline void note_socket(struct rec_socket *socket, struct file *file)
{
	struct socket *open = BPF_CORE_READ(file, private_data);
	struct sock *sock = BPF_CORE_READ(open, sk);
	socket->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	if (socket->family != FAMILY_INET && socket->family != FAMILY_INET6)
		return;
	socket->protocol = BPF_CORE_READ(sock, sk_protocol);
	socket->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
	socket->remote_port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
	if (socket->family == FAMILY_INET) {
		__u32 local = BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		__u32 remote = BPF_CORE_READ(sock, __sk_common.skc_daddr);
		__builtin_memcpy(socket->local, &local, sizeof(local));
		__builtin_memcpy(socket->remote, &remote, sizeof(remote));
		return;
	}
	BPF_CORE_READ_INTO(&socket->local, sock, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	BPF_CORE_READ_INTO(&socket->remote, sock, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
}

static __always_inline void note_file(struct rec_wait *wait, struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = 0;
	if (fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), files + fd) || !file)
		return;
	wait->file_mode = BPF_CORE_READ(file, f_inode, i_mode);
	if ((wait->file_mode & MODE_TYPE) == MODE_SOCKET)
		note_socket(&wait->socket, file);
}

/* regs: what the task saved when it entered the kernel; NULL: it has no user space. */
static __always_inline void note_reason(struct rec_wait *wait, struct task_struct *task,
					const struct pt_regs *regs)
{
	wait->state = compat_task_state(task);
	wait->flags = 0;
	if (is_queued(task))
		wait->flags |= WAIT_IS_QUEUED;
	if (((wait->flags & WAIT_IS_QUEUED) || !wait->state) && compat_is_throttled(task))
		wait->flags |= WAIT_IS_THROTTLED;
	if (BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait))
		wait->flags |= WAIT_IS_IO;
	/* Of a task that is still runnable by its own account, nobody but the scheduler took the
	 * CPU. */
	if (wait->state && (wait->flags & WAIT_IS_QUEUED))
		wait->flags |= WAIT_IS_PREEMPTED;
	wait->syscall = regs ? (__s32)regs->orig_rax : -1;
	if (wait->syscall < 0)
		wait->syscall = -1; /* an interrupt or a fault: arch/x86/include/asm/idtentry.h */
	wait->args[0] = wait->syscall < 0 ? 0 : regs->rdi;
	wait->args[1] = wait->syscall < 0 ? 0 : regs->rsi;
	wait->object = 0;
	if (wait->syscall == __NR_futex || wait->syscall == NR_FUTEX_WAIT)
		wait->object = wait->args[0];
	wait->file_mode = 0;
	__builtin_memset(&wait->socket, 0, sizeof(wait->socket));
	/* Of several: struct futex_waitv of <linux/futex.h>, uaddr second. */
	if (wait->syscall == NR_FUTEX_WAITV)
		READ_TASK(task, &wait->object, sizeof(wait->object), wait->args[0] + 8);
	if (takes_file(wait->syscall))
		note_file(wait, task, wait->args[0]);
}

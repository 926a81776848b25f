/* waits: what the threads of the made-up machine wait for, the same at every run. */

export interface Wait {
	readonly comm: string;
	readonly reason: string;
	readonly waitsOn: string;
	readonly isIdle: boolean;
	readonly threads: number /* that wait so, on average */;
	readonly calls: readonly string[] /* of the kernel, outermost first */;
}

const SLEEP = ["schedule", "__schedule"];
const SYSCALL = ["entry_SYSCALL_64_after_hwframe", "do_syscall_64"];
const FUTEX = [...SYSCALL, "__x64_sys_futex", "do_futex", "futex_wait", "futex_wait_queue", ...SLEEP];
const EPOLL = [
	...SYSCALL,
	"__x64_sys_epoll_wait",
	"do_epoll_wait",
	"ep_poll",
	"schedule_hrtimeout_range",
	...SLEEP,
];
const RECV = [
	...SYSCALL,
	"__x64_sys_recvfrom",
	"sock_recvmsg",
	"tcp_recvmsg",
	"sk_wait_data",
	"wait_woken",
	"schedule_timeout",
	...SLEEP,
];
const READ = [
	...SYSCALL,
	"ksys_pread64",
	"vfs_read",
	"ext4_file_read_iter",
	"folio_wait_bit_common",
	"io_schedule",
	...SLEEP,
];
const SLEEPING = [...SYSCALL, "__x64_sys_clock_nanosleep", "hrtimer_nanosleep", "do_nanosleep", ...SLEEP];
const FAULT = ["asm_exc_page_fault", "exc_page_fault", "handle_mm_fault", "folio_lock_or_retry", ...SLEEP];
const RUNNABLE = ["asm_sysvec_apic_timer_interrupt", "irqentry_exit_to_user_mode", ...SLEEP];

const wait = (
	comm: string,
	reason: string,
	threads: number,
	calls: readonly string[],
	waitsOn = "",
	isIdle = false,
): Wait => ({ comm, reason, waitsOn, isIdle, threads, calls });

export const WAITS: readonly Wait[] = [
	wait("postgres", "lock", 0.62, FUTEX, "futex 0x7f3a2c0041d8"),
	wait("postgres", "lock", 0.21, FUTEX, "futex 0x7f3a2c0042a0"),
	wait("postgres", "disk", 0.55, READ),
	wait("postgres", "network", 2.2, RECV, "tcp 10.0.0.17:5432 -> 10.0.0.31:40112"),
	wait("postgres", "poll", 4, EPOLL, "", true),
	wait("postgres", "run_queue", 0.12, RUNNABLE),
	wait("cc1plus", "disk", 0.15, READ),
	wait("cc1plus", "run_queue", 0.31, RUNNABLE),
	wait("cc1plus", "preempted", 0.17, RUNNABLE),
	wait("cc1plus", "page_fault", 0.06, FAULT),
	wait("cc1plus", "pipe", 0.09, [...SYSCALL, "ksys_write", "pipe_write", ...SLEEP]),
	wait("node", "lock", 4, FUTEX, "futex 0x55d01a8e3fb0", true),
	wait("node", "poll", 0.6, EPOLL),
	wait("node", "network", 0.41, RECV, "tcp 10.0.0.17:51876 -> 10.0.0.17:5432"),
	wait("node", "throttled", 0.24, RUNNABLE),
	wait("nginx", "poll", 4, EPOLL, "", true),
	wait("nginx", "network", 0.18, RECV, "tcp 10.0.0.17:443 -> 203.0.113.9:51544"),
	wait("sshd", "poll", 2, EPOLL, "", true),
	wait("sshd", "child", 0.2, [...SYSCALL, "kernel_wait4", "do_wait", ...SLEEP]),
	wait("systemd-journal", "poll", 1, EPOLL, "", true),
	wait("hearth", "sleep", 0.9, SLEEPING),
	wait("hearth", "io_uring", 0.12, [...SYSCALL, "__x64_sys_io_uring_enter", "io_cqring_wait", ...SLEEP]),
	wait("cron", "sleep", 1, SLEEPING, "", true),
	wait("containerd", "lock", 11, FUTEX, "futex 0xc0000e4948", true),
	wait("containerd", "stopped", 0.3, ["do_signal_stop", ...SLEEP]),
	wait("kworker/1:2", "other", 0.4, ["ret_from_fork", "kthread", "worker_thread", ...SLEEP]),
];

#include "profiler/wait_classify.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/array.h"

/* include/linux/sched.h */
enum task_state {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	STATE_WAKING = 0x200,
	STATE_NOLOAD = 0x400,
	STATE_FROZEN = 0x8000, /* since v6.1; nothing before */
};

static const uint64_t IDLE_NS = 1000000000;

struct function_row {
	const char *name; /* up to a suffix like ".isra.0"; "*" at the end: any that begins so */
	enum wait_reason reason;
	enum { ANY_FRAME = 0, PARKS = 1, LEAF = 2 } flags;
};

/* Below these is the function that waits. A stack that is taken of a thread that does not run has
 * none of them; one that is taken while it gives up the CPU begins with them. */
static const char *const scheduler_functions[] = {
	/* kernel/bpf/, kernel/trace/ */
	"bpf_*",
	"__bpf_*",
	"trace_*",
	"__traceiter_*",
	"perf_trace_*",
	/* kernel/sched/core.c, completion.c, kernel/locking/ */
	"__schedule",
	"schedule*",
	"preempt_schedule*",
	"io_schedule*",
	"__cond_resched*",
	"wait_for_completion*",
	"__wait_for_common",
	"wait_for_common",
	"do_wait_for_common",
};

/* A thread that is runnable, by its innermost function. The functions of the scheduler itself
 * (section .sched.text) are left out of stacks by the kernel. */
static const struct function_row runnable_rows[] = {
	/* kernel/sched/fair.c, since v6.18: a task work that runs on the way to user space */
	{"throttle_cfs_rq_work", WAIT_THROTTLED, ANY_FRAME},
	/* kernel/sched/syscalls.c (core.c before v6.11): it made way by itself, though the scheduler
	 * counts that as preempted */
	{"__do_sys_sched_yield", WAIT_RUN_QUEUE, LEAF},
	{"__x64_sys_sched_yield", WAIT_RUN_QUEUE, LEAF},
	{"do_sched_yield", WAIT_RUN_QUEUE, LEAF},
	/* kernel/entry/common.c, include/linux/irq-entry-common.h */
	{"exit_to_user_mode*", WAIT_PREEMPTED, LEAF},
	{"irqentry_exit*", WAIT_PREEMPTED, LEAF},
	{"raw_irqentry_exit_cond_resched", WAIT_PREEMPTED, LEAF},
	{"syscall_exit_to_user_mode*", WAIT_PREEMPTED, LEAF},
	/* arch/x86/entry: where the above are inlined; before v5.9: common.c there */
	{"do_syscall_64", WAIT_PREEMPTED, LEAF},
	{"do_fast_syscall_32", WAIT_PREEMPTED, LEAF},
	{"do_int80_*", WAIT_PREEMPTED, LEAF},
	{"asm_sysvec_*", WAIT_PREEMPTED, LEAF},
	{"asm_common_interrupt", WAIT_PREEMPTED, LEAF},
	{"exit_to_usermode_loop", WAIT_PREEMPTED, LEAF},
	{"prepare_exit_to_usermode", WAIT_PREEMPTED, LEAF},
	{"retint_*", WAIT_PREEMPTED, LEAF},
	/* kernel/sched/core.c; in .sched.text of most kernels */
	{"preempt_schedule*", WAIT_PREEMPTED, LEAF},
	{"__cond_resched*", WAIT_PREEMPTED, LEAF},
	{"_cond_resched", WAIT_PREEMPTED, LEAF},
	{"dynamic_cond_resched", WAIT_PREEMPTED, LEAF},
};

/* A thread that sleeps, by any of its functions. Names of v5.10 to v6.18. */
static const struct function_row sleeping_rows[] = {
	/* kernel/signal.c, kernel/freezer.c, kernel/cgroup/freezer.c */
	{"ptrace_stop", WAIT_STOPPED, ANY_FRAME},
	{"do_signal_stop", WAIT_STOPPED, ANY_FRAME},
	{"do_jobctl_trap", WAIT_STOPPED, ANY_FRAME},
	{"do_freezer_trap", WAIT_STOPPED, ANY_FRAME},
	{"cgroup_enter_frozen", WAIT_STOPPED, ANY_FRAME},
	{"__refrigerator", WAIT_STOPPED, ANY_FRAME},

	/* arch/x86/mm/fault.c, mm/memory.c, mm/filemap.c, mm/gup.c, fs/userfaultfd.c. Before all that
	 * a fault may wait for. */
	{"asm_exc_page_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"exc_page_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"do_user_addr_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"do_page_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"async_page_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"handle_mm_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"__handle_mm_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"do_swap_page", WAIT_PAGE_FAULT, ANY_FRAME},
	{"filemap_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"faultin_page*", WAIT_PAGE_FAULT, ANY_FRAME},
	{"fixup_user_fault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"handle_userfault", WAIT_PAGE_FAULT, ANY_FRAME},
	{"kvm_async_pf_task_wait_schedule", WAIT_PAGE_FAULT, ANY_FRAME},

	/* kernel/futex/ (kernel/futex.c before v5.16). futex_do_wait: since v6.15; futex_wait_queue:
	 * v5.16 to v6.14; futex_wait_queue_me: before. */
	{"futex_do_wait", WAIT_LOCK, ANY_FRAME},
	{"futex_wait*", WAIT_LOCK, ANY_FRAME},
	{"__futex_wait*", WAIT_LOCK, ANY_FRAME},
	{"futex_lock_pi", WAIT_LOCK, ANY_FRAME},
	{"futex_unqueue_multiple", WAIT_LOCK, ANY_FRAME},
	{"do_futex", WAIT_LOCK, ANY_FRAME},
	{"__do_sys_futex*", WAIT_LOCK, ANY_FRAME},
	{"__x64_sys_futex*", WAIT_LOCK, ANY_FRAME},
	/* fs/locks.c, ipc/sem.c: what takes the place of a futex between processes */
	{"locks_lock_inode_wait", WAIT_LOCK, ANY_FRAME},
	{"flock_lock_inode_wait", WAIT_LOCK, ANY_FRAME},
	{"posix_lock_inode_wait", WAIT_LOCK, ANY_FRAME},
	{"do_lock_file_wait", WAIT_LOCK, ANY_FRAME},
	{"fcntl_setlk", WAIT_LOCK, ANY_FRAME},
	{"__do_semtimedop", WAIT_LOCK, ANY_FRAME},
	{"do_semtimedop", WAIT_LOCK, ANY_FRAME},

	/* io_uring/io_uring.c, io_uring/sqpoll.c (fs/io_uring.c before v6.0) */
	{"io_cqring_wait", WAIT_IO_URING, PARKS},
	{"io_cqring_schedule_timeout", WAIT_IO_URING, PARKS},
	{"__io_cqring_wait_schedule", WAIT_IO_URING, PARKS},
	{"io_sq_thread", WAIT_IO_URING, PARKS},
	{"io_iopoll_check", WAIT_IO_URING, ANY_FRAME},

	/* fs/select.c, fs/eventpoll.c (ep_poll is inlined into do_epoll_wait since v6.16), fs/notify/:
	 * who reads events of files waits for any of several */
	{"poll_schedule_timeout", WAIT_POLL, PARKS},
	{"do_poll", WAIT_POLL, PARKS},
	{"do_sys_poll", WAIT_POLL, PARKS},
	{"do_select", WAIT_POLL, PARKS},
	{"core_sys_select", WAIT_POLL, PARKS},
	{"ep_poll", WAIT_POLL, PARKS},
	{"do_epoll_wait", WAIT_POLL, PARKS},
	{"do_epoll_pwait*", WAIT_POLL, PARKS},
	{"inotify_read", WAIT_POLL, PARKS},
	{"fanotify_read", WAIT_POLL, PARKS},

	/* kernel/time/: hrtimer.c, posix-timers.c, alarmtimer.c, posix-cpu-timers.c */
	{"hrtimer_nanosleep*", WAIT_SLEEP, PARKS},
	{"do_nanosleep", WAIT_SLEEP, PARKS},
	{"common_nsleep*", WAIT_SLEEP, PARKS},
	{"alarm_timer_nsleep", WAIT_SLEEP, PARKS},
	{"alarmtimer_do_nsleep", WAIT_SLEEP, PARKS},
	{"do_cpu_nanosleep", WAIT_SLEEP, PARKS},
	{"timerfd_read*", WAIT_SLEEP, PARKS},
	/* kernel/signal.c, fs/signalfd.c. For a signal: nothing is under way that it could wait for,
	 * which is how people pass the time until they are told. */
	{"__do_sys_pause", WAIT_SLEEP, PARKS},
	{"__x64_sys_pause", WAIT_SLEEP, PARKS},
	{"sys_pause", WAIT_SLEEP, PARKS},
	{"sigsuspend", WAIT_SLEEP, PARKS},
	{"do_sigtimedwait", WAIT_SLEEP, PARKS},
	{"signalfd_read*", WAIT_SLEEP, PARKS},
	{"signalfd_dequeue", WAIT_SLEEP, PARKS},

	/* kernel/exit.c, kernel/fork.c (wait_for_vfork_done is mostly inlined) */
	{"do_wait", WAIT_CHILD, PARKS},
	{"kernel_wait4", WAIT_CHILD, PARKS},
	{"kernel_waitid", WAIT_CHILD, PARKS},
	{"wait_for_vfork_done", WAIT_CHILD, ANY_FRAME},
	{"kernel_clone", WAIT_CHILD, LEAF},
	{"_do_fork", WAIT_CHILD, LEAF},

	/* fs/pipe.c (anon_pipe_*: since v6.15) */
	{"pipe_read", WAIT_PIPE, ANY_FRAME},
	{"pipe_write", WAIT_PIPE, ANY_FRAME},
	{"anon_pipe_*", WAIT_PIPE, ANY_FRAME},
	{"fifo_pipe_*", WAIT_PIPE, ANY_FRAME},
	{"pipe_wait*", WAIT_PIPE, ANY_FRAME},
	{"fifo_open", WAIT_PIPE, ANY_FRAME},
	{"wait_for_partner", WAIT_PIPE, ANY_FRAME},
	/* fs/splice.c */
	{"ipipe_prep", WAIT_PIPE, ANY_FRAME},
	{"opipe_prep", WAIT_PIPE, ANY_FRAME},
	{"wait_for_space", WAIT_PIPE, ANY_FRAME},
	{"splice_from_pipe_next", WAIT_PIPE, ANY_FRAME},
	/* net/unix/af_unix.c. Before the network, whose functions are around them. */
	{"unix_accept", WAIT_PIPE, PARKS},
	{"unix_*", WAIT_PIPE, ANY_FRAME},
	{"__unix_*", WAIT_PIPE, ANY_FRAME},
	/* drivers/tty/ */
	{"n_tty_*", WAIT_PIPE, ANY_FRAME},
	{"tty_*", WAIT_PIPE, ANY_FRAME},
	{"file_tty_write", WAIT_PIPE, ANY_FRAME},
	/* fs/eventfd.c, ipc/msg.c, ipc/mqueue.c, kernel/printk/printk.c, fs/fuse/dev.c */
	{"eventfd_*", WAIT_PIPE, ANY_FRAME},
	{"do_msgrcv", WAIT_PIPE, ANY_FRAME},
	{"do_msgsnd", WAIT_PIPE, ANY_FRAME},
	{"do_mq_timed*", WAIT_PIPE, ANY_FRAME},
	{"wq_sleep", WAIT_PIPE, ANY_FRAME},
	{"devkmsg_read", WAIT_PIPE, ANY_FRAME},
	{"do_syslog", WAIT_PIPE, ANY_FRAME},
	{"fuse_dev_do_read", WAIT_PIPE, ANY_FRAME},

	/* net/sunrpc/, fs/nfs/, net/9p/, fs/smb/, fs/ceph/: before file systems */
	{"svc_recv", WAIT_NETWORK, PARKS},
	{"rpc_*", WAIT_NETWORK, ANY_FRAME},
	{"__rpc_*", WAIT_NETWORK, ANY_FRAME},
	{"nfs_*", WAIT_NETWORK, ANY_FRAME},
	{"nfs3_*", WAIT_NETWORK, ANY_FRAME},
	{"nfs4_*", WAIT_NETWORK, ANY_FRAME},
	{"p9_client_*", WAIT_NETWORK, ANY_FRAME},
	{"cifs_*", WAIT_NETWORK, ANY_FRAME},
	{"SMB2_*", WAIT_NETWORK, ANY_FRAME},
	{"ceph_*", WAIT_NETWORK, ANY_FRAME},
	/* net/ipv4/, net/ipv6/, net/mptcp/ */
	{"inet_csk_accept", WAIT_NETWORK, PARKS},
	{"inet_accept", WAIT_NETWORK, PARKS},
	{"inet_*", WAIT_NETWORK, ANY_FRAME},
	{"__inet_stream_connect", WAIT_NETWORK, ANY_FRAME},
	{"inet6_*", WAIT_NETWORK, ANY_FRAME},
	{"tcp_*", WAIT_NETWORK, ANY_FRAME},
	{"udp_*", WAIT_NETWORK, ANY_FRAME},
	{"udpv6_*", WAIT_NETWORK, ANY_FRAME},
	{"__skb_recv_udp", WAIT_NETWORK, ANY_FRAME},
	{"raw_recvmsg", WAIT_NETWORK, ANY_FRAME},
	{"raw_sendmsg", WAIT_NETWORK, ANY_FRAME},
	{"rawv6_*", WAIT_NETWORK, ANY_FRAME},
	{"ping_*", WAIT_NETWORK, ANY_FRAME},
	{"mptcp_*", WAIT_NETWORK, ANY_FRAME},
	/* net/core/: stream.c, datagram.c, sock.c; net/socket.c: of every other family */
	{"sk_wait_data", WAIT_NETWORK, ANY_FRAME},
	{"sk_stream_wait_*", WAIT_NETWORK, ANY_FRAME},
	{"__skb_wait_for_more_packets", WAIT_NETWORK, ANY_FRAME},
	{"sock_alloc_send_pskb", WAIT_NETWORK, ANY_FRAME},
	{"sock_wait_for_wmem", WAIT_NETWORK, ANY_FRAME},
	{"__lock_sock", WAIT_NETWORK, ANY_FRAME},
	{"lock_sock_nested", WAIT_NETWORK, ANY_FRAME},
	{"do_accept", WAIT_NETWORK, PARKS},
	{"__sys_accept4", WAIT_NETWORK, PARKS},
	{"__sys_connect*", WAIT_NETWORK, ANY_FRAME},
	{"sock_recvmsg", WAIT_NETWORK, ANY_FRAME},
	{"sock_sendmsg", WAIT_NETWORK, ANY_FRAME},
	{"__sock_sendmsg", WAIT_NETWORK, ANY_FRAME},
	{"sock_read_iter", WAIT_NETWORK, ANY_FRAME},
	{"sock_write_iter", WAIT_NETWORK, ANY_FRAME},

	/* fs/aio.c */
	{"read_events", WAIT_DISK, PARKS},
	{"do_io_getevents", WAIT_DISK, PARKS},
	/* mm/filemap.c, mm/page-writeback.c, fs/fs-writeback.c, fs/sync.c */
	{"folio_wait_*", WAIT_DISK, ANY_FRAME},
	{"__folio_lock*", WAIT_DISK, ANY_FRAME},
	{"wait_on_page_*", WAIT_DISK, ANY_FRAME},
	{"__lock_page*", WAIT_DISK, ANY_FRAME},
	{"filemap_*", WAIT_DISK, ANY_FRAME},
	{"__filemap_*", WAIT_DISK, ANY_FRAME},
	{"file_write_and_wait_range", WAIT_DISK, ANY_FRAME},
	{"generic_file_*", WAIT_DISK, ANY_FRAME},
	{"balance_dirty_pages*", WAIT_DISK, ANY_FRAME},
	{"wb_wait_for_completion", WAIT_DISK, ANY_FRAME},
	{"sync_inodes_sb", WAIT_DISK, ANY_FRAME},
	{"do_fsync", WAIT_DISK, ANY_FRAME},
	{"vfs_fsync_range", WAIT_DISK, ANY_FRAME},
	{"ksys_sync", WAIT_DISK, ANY_FRAME},
	{"sync_filesystem", WAIT_DISK, ANY_FRAME},
	/* block/, fs/buffer.c, fs/direct-io.c, fs/iomap/ */
	{"submit_bio_wait", WAIT_DISK, ANY_FRAME},
	{"blk_*", WAIT_DISK, ANY_FRAME},
	{"__blk_*", WAIT_DISK, ANY_FRAME},
	{"blkdev_*", WAIT_DISK, ANY_FRAME},
	{"__blkdev_*", WAIT_DISK, ANY_FRAME},
	{"rq_qos_wait", WAIT_DISK, ANY_FRAME},
	{"wbt_wait", WAIT_DISK, ANY_FRAME},
	{"__wait_on_buffer", WAIT_DISK, ANY_FRAME},
	{"__lock_buffer", WAIT_DISK, ANY_FRAME},
	{"__bread_gfp", WAIT_DISK, ANY_FRAME},
	{"do_blockdev_direct_IO", WAIT_DISK, ANY_FRAME},
	{"__blockdev_direct_IO", WAIT_DISK, ANY_FRAME},
	{"iomap_*", WAIT_DISK, ANY_FRAME},
	{"__iomap_*", WAIT_DISK, ANY_FRAME},
	/* fs/jbd2/, fs/ext4/, fs/xfs/, fs/btrfs/, fs/f2fs/, fs/overlayfs/, fs/fuse/ and others */
	{"jbd2_*", WAIT_DISK, ANY_FRAME},
	{"wait_transaction_locked", WAIT_DISK, ANY_FRAME},
	{"start_this_handle", WAIT_DISK, ANY_FRAME},
	{"ext4_*", WAIT_DISK, ANY_FRAME},
	{"xfs_*", WAIT_DISK, ANY_FRAME},
	{"xlog_*", WAIT_DISK, ANY_FRAME},
	{"btrfs_*", WAIT_DISK, ANY_FRAME},
	{"f2fs_*", WAIT_DISK, ANY_FRAME},
	{"bch2_*", WAIT_DISK, ANY_FRAME},
	{"zfs_*", WAIT_DISK, ANY_FRAME},
	{"ovl_*", WAIT_DISK, ANY_FRAME},
	{"request_wait_answer", WAIT_DISK, ANY_FRAME},
	{"fuse_*", WAIT_DISK, ANY_FRAME},
	/* fs/namei.c, fs/dcache.c, fs/readdir.c: for a directory that another reads or changes */
	{"lookup_slow", WAIT_DISK, ANY_FRAME},
	{"__lookup_slow", WAIT_DISK, ANY_FRAME},
	{"d_alloc_parallel", WAIT_DISK, ANY_FRAME},
	{"iterate_dir", WAIT_DISK, ANY_FRAME},

	/* io_uring/io-wq.c (fs/io-wq.c before v6.0): a worker without work; with some it is above */
	{"io_wq_worker", WAIT_IO_URING, PARKS},
	{"io_wqe_worker", WAIT_IO_URING, PARKS},
	/* virt/kvm/kvm_main.c: a virtual CPU whose guest is idle */
	{"kvm_vcpu_block", WAIT_OTHER, PARKS},
	{"kvm_vcpu_halt", WAIT_OTHER, PARKS},
};

/* Where no function says more. arch/x86/entry/syscalls/syscall_64.tbl; the numbers of a 32-bit
 * process are others. What works on a file is decided by its kind, below. */
static const struct syscall_row {
	int32_t number;
	enum wait_reason reason;
	bool parks;
} syscall_rows[] = {
	{SYS_futex, WAIT_LOCK, false},
	{449 /* futex_waitv */, WAIT_LOCK, false},
	{455 /* futex_wait */, WAIT_LOCK, false},
	{SYS_semop, WAIT_LOCK, false},
	{SYS_semtimedop, WAIT_LOCK, false},
	{SYS_flock, WAIT_LOCK, false},
	{SYS_fcntl, WAIT_LOCK, false},
	{SYS_poll, WAIT_POLL, true},
	{SYS_ppoll, WAIT_POLL, true},
	{SYS_select, WAIT_POLL, true},
	{SYS_pselect6, WAIT_POLL, true},
	{SYS_epoll_wait, WAIT_POLL, true},
	{SYS_epoll_pwait, WAIT_POLL, true},
	{441 /* epoll_pwait2 */, WAIT_POLL, true},
	{SYS_nanosleep, WAIT_SLEEP, true},
	{SYS_clock_nanosleep, WAIT_SLEEP, true},
	{SYS_pause, WAIT_SLEEP, true},
	{SYS_rt_sigsuspend, WAIT_SLEEP, true},
	{SYS_rt_sigtimedwait, WAIT_SLEEP, true},
	{SYS_wait4, WAIT_CHILD, true},
	{SYS_waitid, WAIT_CHILD, true},
	{SYS_vfork, WAIT_CHILD, false},
	{SYS_io_uring_enter, WAIT_IO_URING, true},
	{SYS_io_getevents, WAIT_DISK, true},
	{333 /* io_pgetevents */, WAIT_DISK, true},
	{SYS_msgrcv, WAIT_PIPE, false},
	{SYS_msgsnd, WAIT_PIPE, false},
	{SYS_mq_timedreceive, WAIT_PIPE, false},
	{SYS_mq_timedsend, WAIT_PIPE, false},
	{SYS_fsync, WAIT_DISK, false},
	{SYS_fdatasync, WAIT_DISK, false},
	{SYS_sync, WAIT_DISK, false},
	{SYS_syncfs, WAIT_DISK, false},
	{SYS_msync, WAIT_DISK, false},
};

/* User functions around a futex: locks first, as a lock may be made of what others park in. */
static const struct user_row {
	const char *name; /* "*" at the beginning, the end or both: any text there */
	enum { LOCKS, PARKS_IN_LIBC, PARKS_BY_ITSELF } kind;
} user_rows[] = {
	/* glibc nptl/: pthread_mutex_lock.c, pthread_rwlock_common.c, lowlevellock.c */
	{"pthread_mutex_*", LOCKS},
	{"__pthread_mutex_*", LOCKS},
	{"___pthread_mutex_*", LOCKS},
	{"pthread_rwlock_*", LOCKS},
	{"__pthread_rwlock_*", LOCKS},
	{"___pthread_rwlock_*", LOCKS},
	{"__lll_lock_wait*", LOCKS},
	{"__lll_clocklock*", LOCKS},
	/* Rust library/std/src/sys/sync/{mutex,rwlock}/futex.rs, parking_lot */
	{"*Mutex::lock_contended*", LOCKS},
	{"*RwLock::*_contended*", LOCKS},
	{"*RawMutex::lock_slow*", LOCKS},
	{"*RawRwLock::lock_*_slow*", LOCKS},
	/* Go src/runtime/lock_futex.go, lock_spinbit.go */
	{"runtime.lock*", LOCKS},
	/* OpenJDK src/hotspot/share/runtime/objectMonitor.cpp, mutex.cpp */
	{"ObjectMonitor::enter*", LOCKS},
	{"ObjectMonitor::reenter*", LOCKS},
	{"Monitor::lock*", LOCKS},
	{"Mutex::lock*", LOCKS},
	/* Abseil absl/synchronization/mutex.cc */
	{"absl::*Mutex::*Lock*", LOCKS},

	/* musl src/thread/__timedwait.c: of condition variables, semaphores and joins only */
	{"__timedwait_cp", PARKS_BY_ITSELF},
	/* Go src/runtime/proc.go, lock_futex.go */
	{"runtime.stopm", PARKS_BY_ITSELF},
	{"runtime.mPark", PARKS_BY_ITSELF},
	{"runtime.notesleep*", PARKS_BY_ITSELF},
	{"runtime.notetsleep*", PARKS_BY_ITSELF},

	/* glibc nptl/: pthread_cond_wait.c, sem_waitcommon.c, pthread_join_common.c */
	{"pthread_cond_*", PARKS_IN_LIBC},
	{"__pthread_cond_*", PARKS_IN_LIBC},
	{"___pthread_cond_*", PARKS_IN_LIBC},
	{"sem_*wait*", PARKS_IN_LIBC},
	{"__new_sem_*wait*", PARKS_IN_LIBC},
	{"pthread_join", PARKS_IN_LIBC},
	{"pthread_*join_np", PARKS_IN_LIBC},
	{"__pthread_*join*", PARKS_IN_LIBC},
	{"std::condition_variable*", PARKS_IN_LIBC},
	/* Rust library/std/src/sys/sync/{condvar,thread_parking}/futex.rs, parking_lot_core */
	{"*Condvar::wait*", PARKS_IN_LIBC},
	{"*Parker::park*", PARKS_IN_LIBC},
	{"std::thread::*park*", PARKS_IN_LIBC},
	{"*ThreadParker*::park*", PARKS_IN_LIBC},
};

/* Compilers add ".isra.0" and others to the names of what they changed. */
static bool is_function(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);
	if (pattern[len - 1] == '*')
		return !strncmp(name, pattern, len - 1);
	return !strncmp(name, pattern, len) && (!name[len] || name[len] == '.');
}

/* Glob with stars only. */
static bool is_like(const char *pattern, const char *name)
{
	for (; *pattern != '*'; pattern++, name++) {
		if (*pattern != *name)
			return false;
		if (!*pattern)
			return true;
	}
	while (*pattern == '*')
		pattern++;
	if (!*pattern)
		return true;
	for (; *name; name++)
		if (*name == *pattern && is_like(pattern, name))
			return true;
	return false;
}

static bool is_scheduler(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(scheduler_functions); i++)
		if (is_function(scheduler_functions[i], name))
			return true;
	return false;
}

/* Where the function that waits is in the stack. */
static size_t leaf_of(const struct wait_frames *frames)
{
	size_t leaf = 0;
	while (leaf < frames->kernel_count && is_scheduler(frames->kernel[leaf]))
		leaf++;
	return leaf;
}

/* The first row that matches a frame; NULL: none. */
static const struct function_row *first_row(const struct function_row *rows, size_t row_count,
					    const struct wait_frames *frames)
{
	size_t first = row_count, leaf = leaf_of(frames);
	for (size_t i = 0; i < frames->kernel_count; i++) {
		const char *name = frames->kernel[i];
		for (size_t row = 0; row < first; row++) {
			if (rows[row].name[0] != name[0] || !is_function(rows[row].name, name) ||
			    (rows[row].flags == LEAF && i > leaf))
				continue;
			first = row;
		}
	}
	return first < row_count ? &rows[first] : NULL;
}

static const struct user_row *first_user_row(const struct wait_frames *frames)
{
	for (size_t row = 0; row < ARRAY_LEN(user_rows); row++)
		for (size_t i = 0; i < frames->user_count && i < WAIT_USER_FRAMES; i++)
			if (is_like(user_rows[row].name, frames->user[i]))
				return &user_rows[row];
	return NULL;
}

void wait_site_read(struct wait_site *site, const struct wait_frames *frames)
{
	*site = (struct wait_site){.is_kernel_thread = frames->is_kernel_thread};
	const struct function_row *row = first_row(runnable_rows, ARRAY_LEN(runnable_rows), frames);
	if (row)
		site->runnable = row->reason;
	row = first_row(sleeping_rows, ARRAY_LEN(sleeping_rows), frames);
	if (row) {
		site->sleeping = row->reason;
		site->parks = row->flags == PARKS;
	}
	const struct user_row *user = first_user_row(frames);
	if (!user)
		return;
	site->locks = user->kind == LOCKS;
	site->parks_by_any_futex = user->kind == PARKS_BY_ITSELF;
	if (site->sleeping == WAIT_LOCK || !site->sleeping)
		site->parks = !site->locks;
}

static enum wait_reason runnable_reason(const struct rec_wait *rec, const struct wait_site *site)
{
	if (rec->flags & WAIT_IS_THROTTLED)
		return WAIT_THROTTLED;
	if (site->runnable)
		return site->runnable;
	bool made_way = rec->syscall == SYS_sched_yield;
	return rec->flags & WAIT_IS_PREEMPTED && !made_way ? WAIT_PREEMPTED : WAIT_RUN_QUEUE;
}

static enum wait_reason file_reason(const struct rec_wait *rec)
{
	if (rec->socket.family)
		return rec->socket.family == AF_UNIX ? WAIT_PIPE : WAIT_NETWORK;
	switch (rec->file_mode & S_IFMT) {
	case S_IFIFO:
	case S_IFCHR:
		return WAIT_PIPE;
	case S_IFSOCK:
		return WAIT_NETWORK;
	case S_IFREG:
	case S_IFDIR:
	case S_IFBLK:
		return WAIT_DISK;
	default:
		return WAIT_OTHER;
	}
}

/* By what is known without the names of kernel functions. */
static enum wait_reason blind_reason(const struct rec_wait *rec, const struct wait_site *site,
				     bool *parks)
{
	if (rec->syscall < 0 && !site->is_kernel_thread)
		return WAIT_PAGE_FAULT;
	for (size_t i = 0; rec->syscall >= 0 && i < ARRAY_LEN(syscall_rows); i++) {
		if (syscall_rows[i].number != rec->syscall)
			continue;
		*parks |= syscall_rows[i].parks;
		return syscall_rows[i].reason;
	}
	if (rec->flags & WAIT_IS_IO)
		return WAIT_DISK;
	*parks = rec->syscall == SYS_accept || rec->syscall == SYS_accept4;
	return file_reason(rec);
}

/* Does a wait for a futex look like that of a worker? */
static bool is_futex_parking(const struct rec_wait *rec, const struct wait_site *site)
{
	bool is_futex = rec->syscall == SYS_futex;
	uint64_t operation = rec->args[1] & (uint64_t)FUTEX_CMD_MASK;
	bool is_bitset = is_futex && operation == FUTEX_WAIT_BITSET;
	if (site->locks || !is_futex)
		return false;
	if (site->parks)
		return is_bitset || site->parks_by_any_futex;
	return is_bitset && rec->args[1] & FUTEX_CLOCK_REALTIME;
}

static bool is_idle_kernel_thread(const struct rec_wait *rec, const struct wait_site *site)
{
	return site->is_kernel_thread && !site->sleeping &&
	       rec->state & (STATE_INTERRUPTIBLE | STATE_NOLOAD);
}

struct wait_verdict wait_classify(const struct rec_wait *rec, const struct wait_site *site)
{
	struct wait_verdict verdict = {0};
	if (rec->state & (STATE_STOPPED | STATE_TRACED | STATE_FROZEN)) {
		verdict.reason = WAIT_STOPPED;
		return verdict;
	}
	if (!rec->state || rec->state & STATE_WAKING || rec->flags & WAIT_IS_QUEUED) {
		verdict.reason = runnable_reason(rec, site);
		return verdict;
	}
	bool parks = site->sleeping && site->parks;
	verdict.reason = site->sleeping ? site->sleeping : blind_reason(rec, site, &parks);
	if (verdict.reason == WAIT_LOCK)
		parks = is_futex_parking(rec, site);
	parks |= is_idle_kernel_thread(rec, site);
	verdict.is_idle = parks && rec->sample.end_mono_ns - rec->since_mono_ns >= IDLE_NS;
	return verdict;
}

enum { NO_PORT = -1 };

static void put_address(char *text, size_t text_bytes, uint16_t family, const uint8_t *address,
			int32_t port)
{
	char plain[INET6_ADDRSTRLEN] = "?", number[16] = "*";
	(void)inet_ntop(family, address, plain, sizeof(plain));
	if (port != NO_PORT)
		snprintf(number, sizeof(number), "%" PRId32, port);
	snprintf(text, text_bytes, family == AF_INET6 ? "[%s]:%s" : "%s:%s", plain, number);
}

static void put_protocol(char *text, size_t text_bytes, uint16_t protocol)
{
	static const struct {
		uint16_t number;
		const char *name;
	} names[] = {
		{IPPROTO_TCP, "tcp"},         {IPPROTO_UDP, "udp"},   {IPPROTO_MPTCP, "mptcp"},
		{IPPROTO_SCTP, "sctp"},       {IPPROTO_ICMP, "icmp"}, {IPPROTO_ICMPV6, "icmp6"},
		{IPPROTO_UDPLITE, "udplite"}, {IPPROTO_DCCP, "dccp"},
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].number != protocol)
			continue;
		snprintf(text, text_bytes, "%s", names[i].name);
		return;
	}
	snprintf(text, text_bytes, "ip/%u", protocol);
}

static void socket_label(char text[static WAIT_LABEL_BYTES], const struct rec_socket *socket,
			 bool is_short)
{
	static const uint8_t nowhere[sizeof(socket->remote)];
	int32_t local_port = socket->local_port, remote_port = socket->remote_port;
	bool is_local_chosen = local_port > remote_port;
	if (is_short && remote_port) /* without one it is a listener's: a service */
		*(is_local_chosen ? &local_port : &remote_port) = NO_PORT;
	char protocol[16], local[64], remote[64];
	put_protocol(protocol, sizeof(protocol), socket->protocol);
	put_address(local, sizeof(local), socket->family, socket->local, local_port);
	put_address(remote, sizeof(remote), socket->family, socket->remote, remote_port);
	bool has_streams = socket->protocol == IPPROTO_TCP || socket->protocol == IPPROTO_MPTCP;
	if (socket->remote_port || memcmp(socket->remote, nowhere, sizeof(nowhere)) != 0)
		snprintf(text, WAIT_LABEL_BYTES, "%s %s -> %s", protocol, local, remote);
	else
		snprintf(text, WAIT_LABEL_BYTES, "%s %s%s", protocol, has_streams ? "listen " : "",
			 local);
}

void wait_label(char text[static WAIT_LABEL_BYTES], const struct rec_wait *rec,
		enum wait_reason reason, bool is_short)
{
	bool is_inet = rec->socket.family == AF_INET || rec->socket.family == AF_INET6;
	text[0] = 0;
	if (reason == WAIT_LOCK && rec->object)
		snprintf(text, WAIT_LABEL_BYTES, "futex 0x%" PRIx64, (uint64_t)rec->object);
	else if (reason == WAIT_NETWORK && is_inet)
		socket_label(text, &rec->socket, is_short);
}

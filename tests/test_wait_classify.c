#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/wait_classify.h"

static const uint64_t S = 1000000000;

/* include/linux/sched.h */
enum { RUNNABLE = 0, SLEEPS = 1, DISK_SLEEPS = 2, STOPPED = 4, TRACED = 8, IDLES = 0x402 };

struct names {
	char text[1024];
	const char *list[64];
	size_t count;
};

/* "leaf caller ..." */
static void split(struct names *names, const char *text)
{
	names->count = 0;
	if (!text)
		return;
	assert_true(strlen(text) < sizeof(names->text));
	memcpy(names->text, text, strlen(text) + 1);
	char *rest = NULL;
	for (char *name = strtok_r(names->text, " ", &rest); name;
	     name = strtok_r(NULL, " ", &rest)) {
		assert_true(names->count < ARRAY_LEN(names->list));
		names->list[names->count++] = name;
	}
}

static struct wait_site site_of(const char *kernel, const char *user, bool is_kernel_thread)
{
	struct names kernel_names, user_names;
	struct wait_site site;
	split(&kernel_names, kernel);
	split(&user_names, user);
	wait_site_read(&site, &(struct wait_frames){.kernel = kernel_names.list,
						    .kernel_count = kernel_names.count,
						    .user = user_names.list,
						    .user_count = user_names.count,
						    .is_kernel_thread = is_kernel_thread});
	return site;
}

#define SYSCALL_618 " do_syscall_64 entry_SYSCALL_64_after_hwframe"

/* From /proc/PID/stack of programs that wait in each way. */
static const struct {
	enum wait_reason reason;
	uint32_t state;
	int32_t syscall;
	uint32_t flags;
	const char *kernel;
} stacks[] = {
	/* Linux 6.18 */
	{WAIT_LOCK, SLEEPS, SYS_futex, 0,
	 "futex_do_wait __futex_wait futex_wait do_futex __x64_sys_futex" SYSCALL_618},
	{WAIT_LOCK, SLEEPS, SYS_futex, 0,
	 "rt_mutex_schedule futex_lock_pi do_futex __x64_sys_futex" SYSCALL_618},
	{WAIT_LOCK, SLEEPS, 449, 0, "futex_wait_multiple __do_sys_futex_waitv" SYSCALL_618},
	{WAIT_LOCK, SLEEPS, SYS_flock, 0, "locks_lock_inode_wait __do_sys_flock" SYSCALL_618},
	{WAIT_LOCK, SLEEPS, SYS_fcntl, 0, "fcntl_setlk do_fcntl __x64_sys_fcntl" SYSCALL_618},
	{WAIT_LOCK, SLEEPS, SYS_semtimedop, 0, "__do_semtimedop do_semtimedop" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_clock_nanosleep, 0,
	 "hrtimer_nanosleep common_nsleep __x64_sys_clock_nanosleep" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_clock_nanosleep, 0,
	 "hrtimer_nanosleep common_nsleep_timens __x64_sys_clock_nanosleep" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_pause, 0, "__do_sys_pause" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_rt_sigtimedwait, 0,
	 "do_sigtimedwait.isra.0 __x64_sys_rt_sigtimedwait" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_rt_sigsuspend, 0,
	 "sigsuspend.isra.0 __x64_sys_rt_sigsuspend" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_read, 0, "signalfd_read_iter vfs_read ksys_read" SYSCALL_618},
	{WAIT_SLEEP, SLEEPS, SYS_read, 0,
	 "do_wait_intr_irq timerfd_read_iter vfs_read ksys_read" SYSCALL_618},
	{WAIT_POLL, SLEEPS, SYS_poll, 0,
	 "poll_schedule_timeout.constprop.0 do_sys_poll __x64_sys_poll" SYSCALL_618},
	{WAIT_POLL, SLEEPS, SYS_pselect6, 0,
	 "poll_schedule_timeout.constprop.0 do_select core_sys_select do_pselect.constprop.0 "
	 "__x64_sys_pselect6" SYSCALL_618},
	{WAIT_POLL, SLEEPS, SYS_epoll_wait, 0, "do_epoll_wait __x64_sys_epoll_wait" SYSCALL_618},
	{WAIT_POLL, SLEEPS, SYS_read, 0, "wait_woken inotify_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0, "anon_pipe_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_write, 0, "anon_pipe_write vfs_write ksys_write" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_openat, 0,
	 "wait_for_partner fifo_open do_dentry_open vfs_open path_openat do_filp_open "
	 "do_sys_openat2 __x64_sys_openat" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "do_wait_intr_irq eventfd_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "unix_stream_read_generic unix_stream_recvmsg sock_recvmsg sock_read_iter vfs_read "
	 "ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "__skb_wait_for_more_packets __unix_dgram_recvmsg sock_recvmsg sock_read_iter vfs_read "
	 "ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_write, 0,
	 "sock_alloc_send_pskb unix_stream_sendmsg sock_write_iter vfs_write "
	 "ksys_write" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_accept, 0,
	 "__skb_wait_for_more_packets __skb_recv_datagram skb_recv_datagram unix_accept "
	 "do_accept __sys_accept4 __x64_sys_accept" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "wait_woken n_tty_read tty_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_msgrcv, 0, "do_msgrcv" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_mq_timedreceive, 0,
	 "wq_sleep do_mq_timedreceive __x64_sys_mq_timedreceive" SYSCALL_618},
	{WAIT_NETWORK, SLEEPS, SYS_accept, 0,
	 "inet_csk_accept inet_accept do_accept __sys_accept4 __x64_sys_accept" SYSCALL_618},
	{WAIT_NETWORK, SLEEPS, SYS_recvfrom, 0,
	 "wait_woken sk_wait_data tcp_recvmsg_locked tcp_recvmsg sock_recvmsg __sys_recvfrom "
	 "__x64_sys_recvfrom" SYSCALL_618},
	{WAIT_NETWORK, SLEEPS, SYS_write, 0,
	 "wait_woken sk_stream_wait_memory tcp_sendmsg_locked tcp_sendmsg sock_write_iter "
	 "vfs_write ksys_write" SYSCALL_618},
	{WAIT_NETWORK, SLEEPS, SYS_recvfrom, 0,
	 "__skb_wait_for_more_packets __skb_recv_udp udp_recvmsg sock_recvmsg __sys_recvfrom "
	 "__x64_sys_recvfrom" SYSCALL_618},
	{WAIT_NETWORK, SLEEPS, SYS_recvfrom, 0,
	 "__skb_wait_for_more_packets __skb_recv_datagram skb_recv_datagram netlink_recvmsg "
	 "sock_recvmsg __sys_recvfrom __x64_sys_recvfrom" SYSCALL_618},
	{WAIT_CHILD, SLEEPS, SYS_wait4, 0, "do_wait kernel_wait4" SYSCALL_618},
	{WAIT_CHILD, SLEEPS, SYS_waitid, 0, "do_wait kernel_waitid __do_sys_waitid" SYSCALL_618},
	{WAIT_CHILD, DISK_SLEEPS, SYS_vfork, 0, "kernel_clone __do_sys_vfork" SYSCALL_618},
	{WAIT_IO_URING, SLEEPS, SYS_io_uring_enter, WAIT_IS_IO,
	 "io_cqring_wait __do_sys_io_uring_enter" SYSCALL_618},
	{WAIT_IO_URING, SLEEPS, SYS_io_uring_setup, 0,
	 "io_sq_thread ret_from_fork ret_from_fork_asm"},
	{WAIT_DISK, DISK_SLEEPS, SYS_fsync, WAIT_IS_IO,
	 "submit_bio_wait blkdev_issue_flush ext4_sync_file do_fsync __x64_sys_fsync" SYSCALL_618},
	{WAIT_DISK, DISK_SLEEPS, SYS_pread64, WAIT_IS_IO,
	 "__iomap_dio_rw iomap_dio_rw ext4_file_read_iter vfs_read __x64_sys_pread64" SYSCALL_618},
	{WAIT_PAGE_FAULT, DISK_SLEEPS, -1, WAIT_IS_IO,
	 "folio_wait_bit_common filemap_read_folio filemap_fault __do_fault do_fault "
	 "__handle_mm_fault handle_mm_fault exc_page_fault asm_exc_page_fault"},
	{WAIT_STOPPED, STOPPED, SYS_tgkill, 0,
	 "do_signal_stop get_signal arch_do_signal_or_restart exit_to_user_mode_loop" SYSCALL_618},
	{WAIT_PREEMPTED, RUNNABLE, -1, WAIT_IS_QUEUED,
	 "irqentry_exit_to_user_mode asm_sysvec_reschedule_ipi"},
	{WAIT_PREEMPTED, RUNNABLE, -1, WAIT_IS_QUEUED,
	 "irqentry_exit_to_user_mode asm_sysvec_apic_timer_interrupt"},
	{WAIT_PREEMPTED, RUNNABLE, SYS_getppid, WAIT_IS_QUEUED,
	 "exit_to_user_mode_loop" SYSCALL_618},
	{WAIT_RUN_QUEUE, RUNNABLE, SYS_sched_yield, WAIT_IS_QUEUED | WAIT_IS_PREEMPTED,
	 "__do_sys_sched_yield" SYSCALL_618},
	{WAIT_RUN_QUEUE, RUNNABLE, SYS_futex, WAIT_IS_QUEUED,
	 "futex_do_wait __futex_wait futex_wait do_futex __x64_sys_futex" SYSCALL_618},
	{WAIT_RUN_QUEUE, RUNNABLE, SYS_fsync, WAIT_IS_QUEUED | WAIT_IS_IO,
	 "submit_bio_wait blkdev_issue_flush ext4_sync_file do_fsync __x64_sys_fsync" SYSCALL_618},
	{WAIT_RUN_QUEUE, RUNNABLE, -1, WAIT_IS_QUEUED, "ret_from_fork_asm"},
	/* Not on the way out: in the middle of the kernel, and the scheduler says why. */
	{WAIT_PREEMPTED, RUNNABLE, SYS_read, WAIT_IS_QUEUED | WAIT_IS_PREEMPTED,
	 "filemap_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_THROTTLED, RUNNABLE, -1, 0,
	 "throttle_cfs_rq_work task_work_run exit_to_user_mode_loop irqentry_exit_to_user_mode "
	 "asm_sysvec_apic_timer_interrupt"},
	{WAIT_RUN_QUEUE, RUNNABLE, SYS_read, 0, "anon_pipe_read vfs_read ksys_read" SYSCALL_618},

	/* Taken at the switch: with the scheduler's own functions. */
	{WAIT_PREEMPTED, RUNNABLE, SYS_getppid, 0,
	 "bpf_prog_6deef7357e7b4530_on_switch __traceiter_sched_switch __schedule schedule "
	 "exit_to_user_mode_loop" SYSCALL_618},
	{WAIT_CHILD, DISK_SLEEPS, SYS_vfork, 0,
	 "__schedule schedule schedule_timeout __wait_for_common wait_for_completion_state "
	 "kernel_clone __do_sys_vfork" SYSCALL_618},
	{WAIT_PREEMPTED, RUNNABLE, SYS_read, 0,
	 "__schedule preempt_schedule_common __cond_resched filemap_read vfs_read" SYSCALL_618},

	/* Linux 5.4 to 5.15 */
	{WAIT_LOCK, SLEEPS, SYS_futex, 0,
	 "futex_wait_queue_me futex_wait do_futex __x64_sys_futex" SYSCALL_618},
	{WAIT_POLL, SLEEPS, SYS_epoll_pwait, 0,
	 "ep_poll do_epoll_wait __x64_sys_epoll_pwait" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "eventfd_read new_sync_read vfs_read ksys_read __x64_sys_read" SYSCALL_618},
	{WAIT_PIPE, SLEEPS, SYS_read, 0,
	 "pipe_wait_readable pipe_read new_sync_read vfs_read ksys_read" SYSCALL_618},
	{WAIT_DISK, DISK_SLEEPS, SYS_write, 0,
	 "jbd2_log_wait_commit jbd2_log_do_checkpoint __jbd2_log_wait_for_space "
	 "add_transaction_credits start_this_handle jbd2__journal_start" SYSCALL_618},
	{WAIT_DISK, DISK_SLEEPS, SYS_getdents64, 0,
	 "io_schedule bit_wait_io __wait_on_bit out_of_line_wait_on_bit __wait_on_buffer "
	 "ext4_bread __ext4_read_dirblock htree_dirblock_to_tree" SYSCALL_618},
	/* The network's file system, not a disk's. */
	{WAIT_NETWORK, DISK_SLEEPS, SYS_close, 0,
	 "io_schedule wait_on_page_bit_common __filemap_fdatawait_range "
	 "filemap_write_and_wait_range nfs_file_fsync filp_close __x64_sys_close" SYSCALL_618},
	{WAIT_NETWORK, DISK_SLEEPS, SYS_newfstatat, 0,
	 "rpc_wait_bit_killable __rpc_execute rpc_execute nfs4_call_sync_sequence "
	 "nfs4_proc_getattr __nfs_revalidate_inode vfs_statx" SYSCALL_618},
	{WAIT_STOPPED, SLEEPS, -1, 0,
	 "do_freezer_trap get_signal arch_do_signal_or_restart exit_to_user_mode_prepare"},
	{WAIT_PREEMPTED, RUNNABLE, SYS_getppid, WAIT_IS_QUEUED,
	 "exit_to_usermode_loop do_syscall_64 entry_SYSCALL_64_after_hwframe"},
	/* A worker of io_uring: waits for work, and with it. */
	{WAIT_IO_URING, SLEEPS, SYS_io_uring_enter, 0, "io_wqe_worker ret_from_fork"},
	{WAIT_DISK, DISK_SLEEPS, SYS_io_uring_enter, WAIT_IS_IO,
	 "folio_wait_bit_common filemap_get_pages filemap_read io_read io_issue_sqe "
	 "io_wq_submit_work io_worker_handle_work io_wq_worker ret_from_fork"},

	/* What looks like something and is not. */
	{WAIT_OTHER, DISK_SLEEPS, SYS_mmap, 0, "vm_mmap_pgoff ksys_mmap_pgoff" SYSCALL_618},
	{WAIT_OTHER, DISK_SLEEPS, SYS_clone, 0, "copy_process kernel_clone __do_sys_clone"},
	{WAIT_OTHER, SLEEPS, SYS_ioctl, 0, "futex do_futexes tcp ext4 poll"},
	{WAIT_OTHER, SLEEPS, SYS_ioctl, 0, "kvm_vcpu_block kvm_vcpu_ioctl __x64_sys_ioctl"},
	/* The kernel's own lock of that kind. */
	{WAIT_OTHER, DISK_SLEEPS, SYS_ioctl, 0,
	 "rt_mutex_schedule __rt_mutex_slowlock i2c_transfer"},
	/* Some function above has to do with signals or the way out; the thread sleeps. */
	{WAIT_DISK, DISK_SLEEPS, SYS_close, 0,
	 "submit_bio_wait ext4_sync_file __fput task_work_run exit_to_user_mode_loop" SYSCALL_618},
};

static struct rec_wait wait_of(uint32_t state, int32_t syscall, uint32_t flags)
{
	return (struct rec_wait){
		.sample.end_mono_ns = 100 * S,
		.since_mono_ns = 100 * S - S / 2,
		.state = state,
		.syscall = syscall,
		.flags = flags,
	};
}

static void by_stack(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
		struct wait_site site = site_of(stacks[i].kernel, NULL, false);
		struct rec_wait rec = wait_of(stacks[i].state, stacks[i].syscall, stacks[i].flags);
		struct wait_verdict verdict = wait_classify(&rec, &site);
		if (verdict.reason != stacks[i].reason)
			fail_msg("%s: %s, not %s", stacks[i].kernel,
				 wait_reason_name(verdict.reason),
				 wait_reason_name(stacks[i].reason));
		assert_false(verdict.is_idle); /* half a second only */
	}
}

/* Names are hidden: numbers, or all the same. */
static void without_names(void **state)
{
	(void)state;
	static const struct {
		enum wait_reason reason;
		uint32_t state;
		int32_t syscall;
		uint32_t flags, file_mode;
		uint16_t family;
	} rows[] = {
		{WAIT_OTHER, SLEEPS, SYS_ioctl, 0, 0, 0},
		{WAIT_OTHER, DISK_SLEEPS, SYS_mmap, 0, 0, 0},
		{WAIT_OTHER, SLEEPS, SYS_read, 0, 0, 0},
		{WAIT_OTHER, SLEEPS, 99999, 0, 0, 0},
		{WAIT_PAGE_FAULT, DISK_SLEEPS, -1, WAIT_IS_IO, 0, 0},
		{WAIT_PAGE_FAULT, DISK_SLEEPS, -1, 0, 0, 0},
		{WAIT_LOCK, SLEEPS, SYS_futex, 0, 0, 0},
		{WAIT_POLL, SLEEPS, SYS_ppoll, 0, 0, 0},
		{WAIT_SLEEP, SLEEPS, SYS_nanosleep, 0, 0, 0},
		{WAIT_CHILD, SLEEPS, SYS_wait4, 0, 0, 0},
		/* It is counted as waiting for I/O, too. */
		{WAIT_IO_URING, SLEEPS, SYS_io_uring_enter, WAIT_IS_IO, 0, 0},
		{WAIT_DISK, DISK_SLEEPS, SYS_fdatasync, 0, 0, 0},
		{WAIT_DISK, DISK_SLEEPS, SYS_openat, WAIT_IS_IO, 0, 0},
		{WAIT_DISK, DISK_SLEEPS, SYS_read, 0, S_IFREG | 0644, 0},
		{WAIT_DISK, DISK_SLEEPS, SYS_read, 0, S_IFBLK | 0600, 0},
		{WAIT_PIPE, SLEEPS, SYS_read, 0, S_IFIFO | 0600, 0},
		{WAIT_PIPE, SLEEPS, SYS_read, 0, S_IFCHR | 0620, 0},
		{WAIT_PIPE, SLEEPS, SYS_recvmsg, 0, S_IFSOCK | 0777, AF_UNIX},
		{WAIT_NETWORK, SLEEPS, SYS_recvmsg, 0, S_IFSOCK | 0777, AF_INET},
		{WAIT_NETWORK, SLEEPS, SYS_read, 0, S_IFSOCK | 0777, AF_INET6},
		{WAIT_NETWORK, SLEEPS, SYS_read, 0, S_IFSOCK | 0777, 0},
		{WAIT_RUN_QUEUE, RUNNABLE, SYS_read, WAIT_IS_QUEUED, S_IFIFO, 0},
		{WAIT_PREEMPTED, RUNNABLE, -1, WAIT_IS_QUEUED | WAIT_IS_PREEMPTED, 0, 0},
		{WAIT_RUN_QUEUE, RUNNABLE, SYS_sched_yield, WAIT_IS_QUEUED | WAIT_IS_PREEMPTED, 0,
		 0},
		{WAIT_STOPPED, TRACED, SYS_read, 0, S_IFIFO, 0},
	};
	static const char *const hidden[] = {NULL, "[unknown_kernel_code] [unknown_kernel_code]",
					     "0xffffffff81000000"};
	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(hidden); i++) {
		size_t row = i / ARRAY_LEN(hidden);
		struct wait_site site = site_of(hidden[i % ARRAY_LEN(hidden)], NULL, false);
		struct rec_wait rec = wait_of(rows[row].state, rows[row].syscall, rows[row].flags);
		rec.file_mode = rows[row].file_mode;
		rec.socket.family = rows[row].family;
		struct wait_verdict verdict = wait_classify(&rec, &site);
		if (verdict.reason != rows[row].reason)
			fail_msg("row %zu: %s, not %s", row, wait_reason_name(verdict.reason),
				 wait_reason_name(rows[row].reason));
	}
}

static const char futex_stack[] = "futex_do_wait __futex_wait futex_wait do_futex";

enum {
	LOCKING = FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
	/* pthread_cond_wait(3) and sem_wait(3) of glibc, by strace */
	PARKING = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
	BITSET = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
	JOINING = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME,
};

static const struct {
	bool is_idle;
	int32_t syscall;
	uint64_t operation;
	const char *kernel, *user;
} parked[] = {
	/* locks, however long */
	{false, SYS_futex, LOCKING, futex_stack, NULL},
	{false, SYS_futex, LOCKING, futex_stack,
	 "__lll_lock_wait ___pthread_mutex_lock work start_thread"},
	{false, SYS_futex, LOCKING, futex_stack,
	 "futex_wait __GI___lll_lock_wait __pthread_mutex_lock work"},
	/* gets its mutex back */
	{false, SYS_futex, LOCKING, futex_stack,
	 "__lll_lock_wait __pthread_mutex_cond_lock pthread_cond_wait work"},
	{false, SYS_futex, LOCKING, futex_stack, "pthread_cond_wait work"},
	{false, SYS_futex, PARKING, futex_stack,
	 "__futex_abstimed_wait_common pthread_rwlock_wrlock work"},
	{false, SYS_futex, BITSET, futex_stack,
	 "syscall std::sys::sync::mutex::futex::Mutex::lock_contended work"},
	{false, SYS_futex, BITSET, futex_stack,
	 "std::sys::sync::rwlock::futex::RwLock::read_contended work"},
	{false, SYS_futex, BITSET, futex_stack, "syscall [stripped_app+0x100]"},
	{false, SYS_futex, LOCKING, futex_stack, "runtime.futex runtime.lock2 runtime.lock"},
	{false, SYS_futex, PARKING, futex_stack,
	 "pthread_cond_wait os::PlatformEvent::park ObjectMonitor::enter_internal "
	 "ObjectMonitor::enter"},
	{false, SYS_futex, LOCKING, futex_stack, "my_pthread_cond_wait pthread_cond"},
	{false, 449, 2, "futex_wait_multiple __do_sys_futex_waitv", NULL},
	{false, SYS_flock, 2, "locks_lock_inode_wait __do_sys_flock", NULL},
	{false, SYS_flock, PARKING, "locks_lock_inode_wait", "pthread_cond_wait"},
	/* who asked and gets no answer */
	{false, SYS_read, 0, "anon_pipe_read vfs_read", NULL},
	{false, SYS_recvfrom, 0, "sk_wait_data tcp_recvmsg", NULL},
	{false, SYS_recvfrom, 0, "sk_wait_data tcp_recvmsg", "pthread_cond_wait"},
	{false, SYS_connect, 0, "inet_wait_for_connect __inet_stream_connect", NULL},
	{false, SYS_pread64, 0, "__iomap_dio_rw iomap_dio_rw", NULL},
	{false, -1, 0, "filemap_fault handle_mm_fault exc_page_fault", NULL},
	{false, SYS_vfork, 0, "kernel_clone __do_sys_vfork", NULL},
	{false, SYS_ioctl, 0, "ioctl_that_nobody_knows", NULL},

	{true, SYS_futex, PARKING, futex_stack, NULL},
	{true, SYS_futex, JOINING, futex_stack, NULL},
	{true, SYS_futex, PARKING, futex_stack, "pthread_cond_wait work"},
	{true, SYS_futex, BITSET, futex_stack, "pthread_cond_clockwait work"},
	{true, SYS_futex, BITSET, futex_stack,
	 "__futex_abstimed_wait_common64 __pthread_cond_wait_common "
	 "___pthread_cond_timedwait64 std::condition_variable::wait_until"},
	{true, SYS_futex, PARKING, futex_stack, "__new_sem_wait_slow64 sem_wait take"},
	{true, SYS_futex, JOINING, futex_stack, "__pthread_clockjoin_ex main"},
	{true, SYS_futex, BITSET, futex_stack,
	 "syscall std::sys::sync::thread_parking::futex::Parker::park std::thread::park"},
	{true, SYS_futex, BITSET, futex_stack, "std::sys::sync::condvar::futex::Condvar::wait app"},
	{true, SYS_futex, LOCKING, futex_stack,
	 "runtime.futex runtime.futexsleep runtime.notesleep runtime.mPark runtime.stopm"},
	{true, SYS_futex, LOCKING, futex_stack, "__timedwait_cp pthread_cond_timedwait"},
	{true, SYS_futex, PARKING, NULL, "pthread_cond_wait"},
	{true, SYS_epoll_wait, 0, "do_epoll_wait __x64_sys_epoll_wait", NULL},
	{true, SYS_epoll_wait, 0, "do_epoll_wait", "Mutex::lock of_something_else"},
	{true, SYS_poll, 0, "poll_schedule_timeout.constprop.0 do_sys_poll", NULL},
	{true, SYS_poll, 0, NULL, NULL},
	{true, SYS_accept4, 0, "inet_csk_accept inet_accept do_accept", NULL},
	{true, SYS_accept, 0, "__skb_recv_datagram unix_accept do_accept", NULL},
	{true, SYS_accept, 0, NULL, NULL},
	{true, SYS_wait4, 0, "do_wait kernel_wait4", NULL},
	{true, SYS_clock_nanosleep, 0, "hrtimer_nanosleep common_nsleep", NULL},
	{true, SYS_rt_sigtimedwait, 0, "do_sigtimedwait.isra.0", NULL},
	{true, SYS_io_uring_enter, 0, "io_cqring_wait", NULL},
	{true, SYS_io_getevents, 0, "read_events do_io_getevents", NULL},
};

static void who_is_parked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parked); i++) {
		struct wait_site site = site_of(parked[i].kernel, parked[i].user, false);
		struct rec_wait rec = wait_of(SLEEPS, parked[i].syscall, 0);
		rec.args[1] = parked[i].operation;
		rec.since_mono_ns = rec.sample.end_mono_ns - S;
		if (wait_classify(&rec, &site).is_idle != parked[i].is_idle)
			fail_msg("row %zu: %s / %s", i, parked[i].kernel ? parked[i].kernel : "",
				 parked[i].user ? parked[i].user : "");
		rec.since_mono_ns++; /* not for long enough */
		assert_false(wait_classify(&rec, &site).is_idle);
		rec.since_mono_ns = 0;
		rec.state = RUNNABLE; /* woken */
		assert_false(wait_classify(&rec, &site).is_idle);
		rec.state = STOPPED;
		assert_false(wait_classify(&rec, &site).is_idle);
	}
}

static void kernel_threads(void **state)
{
	(void)state;
	static const struct {
		enum wait_reason reason;
		bool is_idle;
		uint32_t state;
		const char *kernel;
	} rows[] = {
		{WAIT_OTHER, false, DISK_SLEEPS, "msleep some_work process_one_work worker_thread"},
		{WAIT_DISK, false, SLEEPS, "jbd2_journal_commit_transaction kjournald2 kthread"},
		{WAIT_OTHER, true, IDLES, "worker_thread kthread ret_from_fork"},
		{WAIT_OTHER, true, SLEEPS, "smpboot_thread_fn kthread ret_from_fork"},
		{WAIT_NETWORK, true, IDLES, "svc_recv nfsd kthread ret_from_fork"},
		{WAIT_OTHER, true, SLEEPS, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wait_site site = site_of(rows[i].kernel, NULL, true);
		struct rec_wait rec = wait_of(rows[i].state, -1, 0);
		rec.since_mono_ns = 0;
		struct wait_verdict verdict = wait_classify(&rec, &site);
		assert_int_equal(verdict.reason, rows[i].reason);
		assert_int_equal(verdict.is_idle, rows[i].is_idle);
	}
}

static void only_the_innermost_user_frames_count(void **state)
{
	(void)state;
	struct wait_site site =
		site_of(futex_stack, "a b c d e f g h i j k pthread_mutex_lock", false);
	assert_true(site.locks);
	site = site_of(futex_stack, "a b c d e f g h i j k l pthread_mutex_lock", false);
	assert_false(site.locks);
}

static void what_it_waits_on(void **state)
{
	(void)state;
	static const struct {
		enum wait_reason reason;
		uint64_t object;
		uint16_t family, protocol, local_port, remote_port;
		const char *local, *remote;
		const char *expected;
	} rows[] = {
		{WAIT_LOCK, 0, 0, 0, 0, 0, NULL, NULL, ""},
		{WAIT_DISK, 0x7f00, 0, 0, 0, 0, NULL, NULL, ""},
		{WAIT_NETWORK, 0, 0, 0, 0, 0, NULL, NULL, ""},
		{WAIT_NETWORK, 0, AF_NETLINK, 0, 0, 0, NULL, NULL, ""},
		{WAIT_PIPE, 0, AF_UNIX, 0, 0, 0, NULL, NULL, ""},
		/* woken: it waits for a CPU now */
		{WAIT_RUN_QUEUE, 0x7f00, AF_INET, IPPROTO_TCP, 1, 2, "10.0.0.1", "10.0.0.2", ""},
		{WAIT_LOCK, 0x7f1234567890, 0, 0, 0, 0, NULL, NULL, "futex 0x7f1234567890"},
		{WAIT_NETWORK, 0, AF_INET, IPPROTO_TCP, 40112, 5432, "127.0.0.1", "127.0.0.1",
		 "tcp 127.0.0.1:40112 -> 127.0.0.1:5432"},
		{WAIT_NETWORK, 0, AF_INET, IPPROTO_TCP, 80, 0, "0.0.0.0", "0.0.0.0",
		 "tcp listen 0.0.0.0:80"},
		{WAIT_NETWORK, 0, AF_INET6, IPPROTO_TCP, 80, 0, "::", "::", "tcp listen [::]:80"},
		{WAIT_NETWORK, 0, AF_INET6, IPPROTO_TCP, 65535, 443, "2001:db8:0:0:1:0:0:1",
		 "fe80::1", "tcp [2001:db8::1:0:0:1]:65535 -> [fe80::1]:443"},
		{WAIT_NETWORK, 0, AF_INET6, IPPROTO_TCP, 1, 2, "::ffff:10.0.0.1", "::ffff:10.0.0.2",
		 "tcp [::ffff:10.0.0.1]:1 -> [::ffff:10.0.0.2]:2"},
		{WAIT_NETWORK, 0, AF_INET, IPPROTO_UDP, 53, 0, "0.0.0.0", "0.0.0.0",
		 "udp 0.0.0.0:53"},
		{WAIT_NETWORK, 0, AF_INET, IPPROTO_UDP, 40000, 53, "10.0.0.1", "10.0.0.2",
		 "udp 10.0.0.1:40000 -> 10.0.0.2:53"},
		{WAIT_NETWORK, 0, AF_INET, IPPROTO_ICMP, 0, 0, "0.0.0.0", "10.0.0.2",
		 "icmp 0.0.0.0:0 -> 10.0.0.2:0"},
		{WAIT_NETWORK, 0, AF_INET, 255, 0, 0, "0.0.0.0", "0.0.0.0", "ip/255 0.0.0.0:0"},
		/* the longest there is */
		{WAIT_NETWORK, 0, AF_INET6, 65535, 65535, 65535,
		 "1111:1111:1111:1111:1111:1111:1111:1111",
		 "2222:2222:2222:2222:2222:2222:2222:2222",
		 "ip/65535 [1111:1111:1111:1111:1111:1111:1111:1111]:65535 -> "
		 "[2222:2222:2222:2222:2222:2222:2222:2222]:65535"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rec_wait rec = {
			.object = rows[i].object,
			.socket = {.family = rows[i].family,
				   .protocol = rows[i].protocol,
				   .local_port = rows[i].local_port,
				   .remote_port = rows[i].remote_port},
		};
		if (rows[i].local) {
			assert_int_equal(inet_pton(rows[i].family, rows[i].local, rec.socket.local),
					 1);
			assert_int_equal(
				inet_pton(rows[i].family, rows[i].remote, rec.socket.remote), 1);
		}
		char text[WAIT_LABEL_BYTES];
		wait_label(text, &rec, rows[i].reason, false);
		assert_string_equal(text, rows[i].expected);
	}
}

static void without_the_chosen_port(void **state)
{
	(void)state;
	static const struct {
		uint16_t protocol, local_port, remote_port;
		const char *expected;
	} rows[] = {
		{IPPROTO_TCP, 40112, 5432, "tcp 127.0.0.1:* -> 127.0.0.1:5432"},
		{IPPROTO_TCP, 5432, 40112, "tcp 127.0.0.1:5432 -> 127.0.0.1:*"},
		{IPPROTO_TCP, 7000, 7000, "tcp 127.0.0.1:7000 -> 127.0.0.1:*"},
		{IPPROTO_UDP, 40000, 53, "udp 127.0.0.1:* -> 127.0.0.1:53"},
		/* not connected to a port: that is all there is */
		{IPPROTO_ICMP, 7, 0, "icmp 127.0.0.1:7 -> 127.0.0.1:0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rec_wait rec = {.socket = {.family = AF_INET,
						  .protocol = rows[i].protocol,
						  .local_port = rows[i].local_port,
						  .remote_port = rows[i].remote_port,
						  .local = {127, 0, 0, 1},
						  .remote = {127, 0, 0, 1}}};
		char text[WAIT_LABEL_BYTES];
		wait_label(text, &rec, WAIT_NETWORK, true);
		assert_string_equal(text, rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_stack),
		cmocka_unit_test(without_names),
		cmocka_unit_test(who_is_parked),
		cmocka_unit_test(kernel_threads),
		cmocka_unit_test(only_the_innermost_user_frames_count),
		cmocka_unit_test(what_it_waits_on),
		cmocka_unit_test(without_the_chosen_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

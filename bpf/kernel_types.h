/*
 * kernel_types: the few kernel structures the programs read, declared by hand with only the
 * members they use. CO-RE relocates them against the BTF of the running kernel, so the build
 * needs no BTF of its own. Members: include/linux/sched.h, sched/signal.h, mm_types.h,
 * arch/x86/include/asm/processor.h.
 */
#pragma once
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct sched_entity {
	unsigned char sched_delayed;
	__u64 sum_exec_runtime;
	__u64 prev_sum_exec_runtime;
};

struct rw_semaphore {
	struct {
		long counter;
	} count;
};

struct mm_struct {
	unsigned long start_stack;
	struct rw_semaphore mmap_lock;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct in6_addr {
	struct {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; /* network order */
	__u16 skc_num;   /* the local port, host order */
	__u16 skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct thread_struct {
	unsigned long fsbase;
};

struct thread_info {
	__u32 cpu;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	unsigned int flags;
	/* u8 in v7.2. Unsigned, as only loads of such are fitted to the size in the kernel. */
	unsigned int on_cpu;
	unsigned int on_rq;
	int exit_state;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
	void *stack;
	unsigned int in_execve : 1;
	unsigned int in_iowait : 1;
	unsigned long nvcsw;
	unsigned long nivcsw;
	__u64 start_time;
	struct css_set *cgroups;
	struct files_struct *files;
	struct sched_entity se;
	__u64 start_boottime;
	__u64 self_exec_id;
	char comm[16];
	struct thread_struct thread;
};

#pragma clang attribute pop

/* include/linux/sched.h */
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

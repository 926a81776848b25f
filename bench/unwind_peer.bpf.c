/*
 * unwind_peer: samples one process as bpf/sampler.bpf.c does, but has the kernel walk the user
 * stack by frame pointers. For the comparison of bench/unwind.py only.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_helpers.h>

#include "bench/unwind_peer.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 cfg_pid = 0;

#define MAX_FRAMES 127 /* kernel.perf_event_max_stack */

struct scratch {
	__u64 kernel[MAX_FRAMES];
	__u64 user[MAX_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* stack hash */
	__type(value, __u32);
} interned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct peer_count);
} counts SEC(".maps");

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

static __always_inline __u64 hash_frames(__u64 hash, const __u64 *frames, __u32 count)
{
	for (__u32 i = 0; i < MAX_FRAMES; i++) {
		if (i >= count)
			break;
		hash = mix(hash, frames[i]);
	}
	return hash;
}

static __always_inline __u32 frames_of(long bytes)
{
	return bytes > 0 ? (__u32)bytes / sizeof(__u64) : 0;
}

/* Number of user frames. */
static __always_inline __u32 take_stack(struct scratch *scratch, void *ctx, __u64 pid_tid)
{
	__u32 zero = 0;
	__u32 kernel = frames_of(bpf_get_stack(ctx, scratch->kernel, sizeof(scratch->kernel), 0));
	__u32 user = frames_of(
		bpf_get_stack(ctx, scratch->user, sizeof(scratch->user), BPF_F_USER_STACK));
	__u64 hash = mix(pid_tid >> 32, ((__u64)kernel << 32) | user);
	hash = hash_frames(hash, scratch->kernel, kernel);
	hash = hash_frames(hash, scratch->user, user);
	if (!bpf_map_lookup_elem(&interned, &hash))
		bpf_map_update_elem(&interned, &hash, &zero, BPF_ANY);
	return user;
}

SEC("perf_event")
int on_cpu_tick(struct bpf_perf_event_data *ctx)
{
	__u64 start_mono_ns = bpf_ktime_get_ns();
	__u64 pid_tid = bpf_get_current_pid_tgid();
	__u32 zero = 0;
	if (pid_tid >> 32 != cfg_pid)
		return 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct peer_count *count = bpf_map_lookup_elem(&counts, &zero);
	if (!scratch || !count)
		return 0;
	count->user_frames += take_stack(scratch, ctx, pid_tid);
	count->samples++;
	count->run_ns += bpf_ktime_get_ns() - start_mono_ns;
	return 0;
}

/*
 * unwind_peer: what the program of unwind_peer.bpf.c counts, per CPU.
 */
#pragma once
#include <linux/types.h>

struct peer_count {
	__u64 samples;
	__u64 run_ns;
	__u64 user_frames;
};
_Static_assert(sizeof(struct peer_count) == 24, "both sides are built from this");

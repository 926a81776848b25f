/*
 * sampler: the kernel side of on-CPU sampling, loaded and attached.
 *
 * One cpu-clock event per online CPU drives bpf/sampler.bpf.c; CPUs that come and go are
 * followed. Freeing it detaches and unloads everything. One thread, but sampler_counts().
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "bpf/abi.h"

struct bpf_object;
struct sampler; /* opaque */

struct sampler_options {
	uint32_t rate_hz;
	uint32_t ring_bytes; /* rounded up to a power of two of pages */
	const pid_t *pids;   /* only these and their descendants; NULL: everything */
	size_t pid_count;
	uint32_t umem_bytes; /* for unwind memory, a power of two of pages; 0: 32 MiB */
};

/* Load and attach, not yet ticking. -EPERM: the text says what privilege is missing;
 * -EOPNOTSUPP: what the kernel lacks; -ESRCH: a pid that is not there. */
int sampler_open(struct sampler **out, const struct sampler_options *options, struct err *err);
void sampler_free(struct sampler *sampler); /* NULL is fine */
AUTO_DEFINE(sampler)

int sampler_start(struct sampler *sampler, struct err *err);
void sampler_stop(struct sampler *sampler); /* no more ticks; records can still be drained */

/* Call take for every record that is there now, in the order of the ring, and for some that come
 * meanwhile: one ring full of them at most. */
typedef void (*sampler_record_fn)(void *ctx, const void *record, size_t size_bytes);
void sampler_drain(struct sampler *sampler, sampler_record_fn take, void *ctx);
/* Tells by an edge (EPOLLET) that the ring is more than half full; as a level it is readable
 * whenever there is a record. */
int sampler_fd(const struct sampler *sampler);
uint32_t sampler_ring_bytes(const struct sampler *sampler); /* as rounded */

/* The unwind memory (abi.h) that the stack walker reads, zeroed at the start. Borrowed. */
uint32_t *sampler_umem(const struct sampler *sampler, uint32_t *word_count);
/* From now on the walker uses this process block for the pid; block 0: none. */
int sampler_set_process(struct sampler *sampler, uint32_t pid, const struct umem_process_ref *ref);
/* The walker stamps this into the pages it uses. */
void sampler_set_umem_generation(struct sampler *sampler, uint32_t generation);

/* Other BPF objects that take stacks (bpf/stack.bpf.h): before it is loaded, let one use the maps of
 * the sampler, which then may go first. Their settings cfg_follow, cfg_ring_bytes and cfg_umem_mask
 * (words less one) are the sampler's, too. */
int sampler_share_maps(const struct sampler *sampler, struct bpf_object *object, struct err *err);
bool sampler_follows(const struct sampler *sampler); /* only some pids */

/* From now on every stack is sent whole once more. Returns the new generation. */
uint32_t sampler_next_generation(struct sampler *sampler);
/* Attach to CPUs that came online, let go of those that went. */
int sampler_follow_cpus(struct sampler *sampler, struct err *err);
uint32_t sampler_cpus(const struct sampler *sampler); /* CPUs being sampled */

/* Sums over CPUs since the start. Any thread. */
void sampler_counts(const struct sampler *sampler, uint64_t counts[static STAT_COUNT]);

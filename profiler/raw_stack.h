/*
 * raw_stack: one stack as places in files, without names; and, where the kernel side could not
 * walk it to the end, what is needed to go on.
 *
 * Immutable once located, counted atomically.
 */
#pragma once
#include <stdint.h>

#include "bpf/abi.h"
#include "profiler/processes.h"

/* They wait for their names, and that may take seconds. */
enum { RAW_TAILS_MAX_BYTES = 64 << 20 };

struct raw_frame {
	struct mapped_file *file; /* a reference; NULL: kernel code, or mapped by nobody */
	uint64_t ip_or_off;       /* offset in the file when there is one; else ip */
};

/* The rest of a user stack: begins at the frame that is the last of the raw stack. */
struct raw_tail {
	struct process_map *map; /* a reference: of the moment of the sample */
	uint64_t *held_bytes;    /* atomic: what all tails take, this one too */
	struct rec_tail rec;     /* with rec.slice_bytes of stack behind it */
};

/* Kernel frames first, then user frames, leaf first. Return addresses point into the call. */
struct raw_stack {
	unsigned int refs; /* atomic */
	uint32_t kernel_frames;
	uint32_t user_frames;
	uint32_t flags;        /* enum stack_flag */
	uint32_t walk_end;     /* enum walk_end; before the tail, when there is one */
	struct raw_tail *tail; /* owned; NULL: none */
	struct raw_frame frames[];
};

/* The frames of a record, as laid down in abi.h. */
struct raw_ips {
	const __u64 *ips;
	uint32_t kernel_frames;
	uint32_t user_frames;
	uint32_t flags;
	uint32_t walk_end;
};

/* Find the places in the process as it is now. NULL: no memory. */
struct raw_stack *raw_stack_locate(const struct raw_ips *ips, const struct process *process);
/* Copy the tail of a record (checked by the caller to be whole) into a stack nobody else has
 * yet. *held_bytes is the sum over tails, atomic, and outlives them. -ENOSPC: it would grow
 * beyond RAW_TAILS_MAX_BYTES; -ENOMEM. */
int raw_stack_add_tail(struct raw_stack *stack, const struct rec_tail *tail,
		       struct process *process, uint64_t *held_bytes);
struct raw_stack *raw_stack_ref(struct raw_stack *stack);
void raw_stack_unref(struct raw_stack *stack); /* NULL is fine */

/* The place of a user ip in a map; no reference is taken. */
struct raw_frame raw_frame_of(const struct mapping *mapping, uint64_t ip);

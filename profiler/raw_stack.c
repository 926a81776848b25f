#include "profiler/raw_stack.h"

#include <errno.h>
#include <string.h>

struct raw_stack *raw_stack_ref(struct raw_stack *stack)
{
	__atomic_add_fetch(&stack->refs, 1, __ATOMIC_RELAXED);
	return stack;
}

static size_t tail_bytes(const struct rec_tail *rec)
{
	return sizeof(struct raw_tail) + rec->slice_bytes;
}

static void tail_free(struct raw_tail *tail)
{
	if (!tail)
		return;
	__atomic_sub_fetch(tail->held_bytes, tail_bytes(&tail->rec), __ATOMIC_RELAXED);
	process_map_unref(tail->map);
	free(tail);
}

void raw_stack_unref(struct raw_stack *stack)
{
	if (!stack || __atomic_sub_fetch(&stack->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t i = 0; i < stack->kernel_frames + stack->user_frames; i++)
		mapped_file_unref(stack->frames[i].file);
	tail_free(stack->tail);
	free(stack);
}

struct raw_frame raw_frame_of(const struct mapping *mapping, uint64_t ip)
{
	if (!mapping)
		return (struct raw_frame){.ip_or_off = ip};
	bool is_file = mapping->file->kind != MAPPED_ANONYMOUS;
	return (struct raw_frame){
		.file = mapping->file,
		.ip_or_off = is_file ? ip - mapping->start_ip + mapping->file_off : ip,
	};
}

/* A return address is the instruction after the call, which after a noreturn call is in
 * another function. Look up the call. The kernel's leaf is exact; user frames that are come
 * with one added (abi.h). DWARF 5 section 6.4.4. */
static struct raw_frame place(const struct raw_ips *ips, uint32_t i, const struct process *process)
{
	uint64_t ip = ips->ips[i];
	if (i > 0 || !ips->kernel_frames)
		ip -= ip > 0;
	if (i < ips->kernel_frames)
		return (struct raw_frame){.ip_or_off = ip};
	struct raw_frame frame = raw_frame_of(process_find(process, ip), ip);
	if (frame.file)
		mapped_file_ref(frame.file);
	return frame;
}

struct raw_stack *raw_stack_locate(const struct raw_ips *ips, const struct process *process)
{
	uint32_t frames = ips->kernel_frames + ips->user_frames;
	struct raw_stack *stack = calloc(1, sizeof(*stack) + frames * sizeof(stack->frames[0]));
	if (!stack)
		return NULL;
	stack->refs = 1;
	stack->kernel_frames = ips->kernel_frames;
	stack->user_frames = ips->user_frames;
	stack->flags = ips->flags;
	stack->walk_end = ips->walk_end;
	for (uint32_t i = 0; i < frames; i++)
		stack->frames[i] = place(ips, i, process);
	return stack;
}

int raw_stack_add_tail(struct raw_stack *stack, const struct rec_tail *tail,
		       struct process *process, uint64_t *held_bytes)
{
	if (__atomic_load_n(held_bytes, __ATOMIC_RELAXED) > RAW_TAILS_MAX_BYTES)
		return -ENOSPC;
	struct raw_tail *copy = malloc(tail_bytes(tail));
	struct process_map *map = process_snapshot(process);
	if (!copy || !map) {
		free(copy);
		process_map_unref(map);
		return -ENOMEM;
	}
	copy->map = map;
	copy->held_bytes = held_bytes;
	__atomic_add_fetch(held_bytes, tail_bytes(tail), __ATOMIC_RELAXED);
	memcpy(&copy->rec, tail, sizeof(*tail) + tail->slice_bytes);
	stack->tail = copy;
	return 0;
}

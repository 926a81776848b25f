#include "profiler/batch.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

int batch_new(struct batch **out, uint64_t start_mono_ns)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	batch->start_mono_ns = start_mono_ns;
	*out = batch;
	return 0;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	for (size_t i = 0; i < batch->thread_count; i++)
		free(batch->threads[i].cgroup);
	for (size_t i = 0; i < batch->stack_count; i++)
		raw_stack_unref(batch->stacks[i]);
	free(batch->threads);
	free(batch->stacks);
	free(batch->samples);
	free(batch->waits);
	free(batch->switches);
	free(batch);
}

int batch_add_thread(struct batch *batch, const struct raw_thread *thread, uint32_t *position)
{
	int rc = ARRAY_RESERVE(batch->threads, batch->thread_cap, batch->thread_count,
			       BATCH_MAX_SAMPLES);
	if (rc)
		return rc;
	struct raw_thread copy = *thread;
	copy.cgroup = strdup(thread->cgroup);
	if (!copy.cgroup)
		return -ENOMEM;
	*position = (uint32_t)batch->thread_count;
	batch->threads[batch->thread_count++] = copy;
	return 0;
}

int batch_add_stack(struct batch *batch, struct raw_stack *stack, uint32_t *position)
{
	int rc = ARRAY_RESERVE(batch->stacks, batch->stack_cap, batch->stack_count,
			       BATCH_MAX_SAMPLES);
	if (rc)
		return rc;
	*position = (uint32_t)batch->stack_count;
	batch->stacks[batch->stack_count++] = raw_stack_ref(stack);
	return 0;
}

int batch_add_sample(struct batch *batch, const struct raw_sample *sample)
{
	int rc = ARRAY_RESERVE(batch->samples, batch->sample_cap, batch->sample_count,
			       BATCH_MAX_SAMPLES);
	if (rc)
		return rc;
	batch->samples[batch->sample_count++] = *sample;
	return 0;
}

int batch_add_wait(struct batch *batch, const struct raw_wait *wait)
{
	int rc = ARRAY_RESERVE(batch->waits, batch->wait_cap, batch->wait_count, BATCH_MAX_SAMPLES);
	if (rc)
		return rc;
	batch->waits[batch->wait_count++] = *wait;
	return 0;
}

int batch_add_switch(struct batch *batch, const struct raw_switch *traced)
{
	int rc = ARRAY_RESERVE(batch->switches, batch->switch_cap, batch->switch_count,
			       BATCH_MAX_SAMPLES);
	if (rc)
		return rc;
	batch->switches[batch->switch_count++] = *traced;
	return 0;
}

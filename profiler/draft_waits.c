#include "profiler/draft.h"
#include "profiler/switches.h"

/* Each is a text in the store: what comes beyond is told less precisely. */
enum { MAX_SOCKETS = 512 };

static int add_wait(struct draft *draft, const struct rec_wait *rec, uint32_t stack, uint32_t *id)
{
	struct wait_verdict verdict = wait_classify(rec, draft_site(draft, stack));
	struct profile_wait wait = {.reason = verdict.reason, .is_idle = verdict.is_idle};
	char label[WAIT_LABEL_BYTES];
	wait_label(label, rec, verdict.reason, draft->sockets >= MAX_SOCKETS);
	size_t before = draft->profile->wait_count;
	int rc = profile_add_string(draft->profile, label, &wait.waits_on);
	if (!rc)
		rc = profile_add_wait(draft->profile, &wait, id);
	if (wait.reason == WAIT_NETWORK && draft->profile->wait_count > before)
		draft->sockets++;
	return rc;
}

/* The stack has been there since the wait began. */
static int name_wait(struct draft *draft, const struct raw_wait *raw)
{
	const struct rec_wait *rec = &raw->rec;
	struct profile_sample sample = {
		.time_unix_ns = (int64_t)rec->sample.end_mono_ns + draft->batch->unix_minus_mono_ns,
		.weight = (int64_t)rec->weight_ns,
		.count = 1,
		.stack = raw->stack,
		.thread = raw->thread,
	};
	uint32_t ignored;
	int rc = draft_stack(draft, raw->stack, rec->since_mono_ns, &ignored);
	if (!rc)
		rc = add_wait(draft, rec, raw->stack, &sample.wait);
	return rc ? rc : draft_add_sample(draft, &sample, rec->since_mono_ns);
}

int draft_add_waits(struct draft *draft)
{
	int rc = 0;
	for (size_t i = 0; i < draft->batch->wait_count && !rc; i++)
		rc = name_wait(draft, &draft->batch->waits[i]);
	return rc;
}

static int name_switch(struct draft *draft, const struct raw_switch *raw,
		       struct named_switch *named)
{
	const struct rec_switch *rec = &raw->rec;
	const struct rec_wait *wait = &rec->wait;
	uint64_t out_mono_ns = wait->since_mono_ns;
	uint64_t waking_mono_ns =
		rec->waking_mono_ns > out_mono_ns ? rec->waking_mono_ns : out_mono_ns;
	*named = (struct named_switch){
		.other_tid = rec->other_tid,
		.session = rec->session,
		.out_mono_ns = out_mono_ns,
		.waking_mono_ns = waking_mono_ns,
		.in_mono_ns = wait->sample.end_mono_ns,
		.weight_ns = (int64_t)wait->weight_ns,
	};
	int rc = draft_thread(draft, raw->thread, &named->thread);
	if (!rc)
		rc = draft_stack(draft, raw->stack, out_mono_ns, &named->stack);
	if (!rc)
		rc = draft_thread(draft, raw->waker_thread, &named->waker_thread);
	if (!rc)
		rc = draft_stack(draft, raw->waker_stack, waking_mono_ns, &named->waker_stack);
	return rc ? rc : add_wait(draft, wait, raw->stack, &named->wait);
}

int draft_add_switches(struct draft *draft, struct named_switch *switches)
{
	int rc = 0;
	for (size_t i = 0; i < draft->batch->switch_count && !rc; i++)
		rc = name_switch(draft, &draft->batch->switches[i], &switches[i]);
	return rc;
}

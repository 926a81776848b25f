#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/frames.h"
#include "profiler/namer.h"
#include "tool.h"

/* C++ too: the names people read are demangled. */
static const char source[] = "namespace shop { struct cart { static int total(int n); };\n"
			     "int cart::total(int n) { return n * 2; } }\n"
			     "extern \"C\" { int plain(int n) { return shop::cart::total(n); }\n"
			     "int pthread_cond_of_test(int n) { return plain(n); }\n"
			     "int main(void) { return plain(1); } }\n";

struct fixture {
	char *dir;
	char program[512];
	char build_id[64];
	struct mapped_file *file, *unreadable, *anonymous;
	struct unwinder *unwinder;
	struct quality *quality;
	struct namer *namer;
	char warned[256];
};

static void warn(void *ctx, const char *text)
{
	struct fixture *fixture = ctx;
	snprintf(fixture->warned, sizeof(fixture->warned), "%s", text);
}

static struct mapped_file *make_file(enum mapped_kind kind, const char *name)
{
	struct mapped_file *file = calloc(1, sizeof(*file));
	*file = (struct mapped_file){.refs = 1, .kind = kind, .name = strdup(name)};
	return file;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->dir = tool_dir_new();
	char path[512];
	snprintf(path, sizeof(path), "%s/program.cc", fixture->dir);
	snprintf(fixture->program, sizeof(fixture->program), "%s/program", fixture->dir);
	tool_write_file(path, source, strlen(source));
	free(tool_output("g++ -O0 -Wl,--build-id=sha1 -o %s %s && echo ok", fixture->program,
			 path));
	AUTO_MEM char *id =
		tool_output("readelf -n %s | sed -n 's/.*Build ID: //p'", fixture->program);
	snprintf(fixture->build_id, sizeof(fixture->build_id), "%.*s", (int)strcspn(id, "\n"), id);
	fixture->file = make_file(MAPPED_EXECUTABLE, fixture->program);
	int fd = open(fixture->program, O_RDONLY | O_CLOEXEC);
	assert_int_equal(executable_open(&fixture->file->exe, fd, fixture->program, NULL), 0);
	fixture->unreadable = make_file(MAPPED_UNREADABLE, "/opt/gone/libgone.so");
	fixture->anonymous = make_file(MAPPED_ANONYMOUS, "[jit]");
	assert_int_equal(unwinder_new(&fixture->unwinder, &(struct unwinder_options){0}, NULL), 0);
	assert_int_equal(quality_new(&fixture->quality, NULL), 0);
	struct namer_options options = {.unwinder = fixture->unwinder,
					.quality = fixture->quality,
					.warn = warn,
					.ctx = fixture};
	assert_int_equal(namer_new(&fixture->namer, &options, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	namer_free(fixture->namer);
	unwinder_free(fixture->unwinder);
	quality_free(fixture->quality);
	assert_int_equal(fixture->file->refs, 1);
	mapped_file_unref(fixture->file);
	mapped_file_unref(fixture->unreadable);
	mapped_file_unref(fixture->anonymous);
	tool_dir_remove(fixture->dir);
	free(fixture);
	return 0;
}

/* Where a symbol lies in the file: by nm and readelf -l, not by our own reader. */
static uint64_t off_of(const char *program, const char *symbol)
{
	AUTO_MEM char *vaddr_text =
		tool_output("nm %s | awk '$3 == \"%s\" {print $1}'", program, symbol);
	uint64_t vaddr = strtoull(vaddr_text, NULL, 16);
	AUTO_MEM char *loads =
		tool_output("readelf -lW %s | awk '/LOAD/ {print $2, $3, $5}'", program);
	char *save = NULL;
	for (char *line = strtok_r(loads, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long off, start_vaddr, size_bytes;
		assert_int_equal(sscanf(line, "%llx %llx %llx", &off, &start_vaddr, &size_bytes),
				 3);
		if (vaddr >= start_vaddr && vaddr < start_vaddr + size_bytes)
			return vaddr - start_vaddr + off;
	}
	fail_msg("%s is not in %s", symbol, program);
	return 0;
}

static struct raw_stack *stack_of(const struct raw_frame *frames, uint32_t kernel_frames,
				  uint32_t user_frames, uint32_t flags)
{
	uint32_t count = kernel_frames + user_frames;
	struct raw_stack *stack = calloc(1, sizeof(*stack) + count * sizeof(stack->frames[0]));
	*stack = (struct raw_stack){
		.refs = 1,
		.kernel_frames = kernel_frames,
		.user_frames = user_frames,
		.flags = flags,
		.walk_end = flags & STACK_USER_CUT ? WALK_CUT : WALK_COMPLETE,
	};
	for (uint32_t i = 0; i < count; i++) {
		stack->frames[i] = frames[i];
		if (frames[i].file)
			mapped_file_ref(frames[i].file);
	}
	return stack;
}

static struct batch *batch_of(struct raw_stack *stack, const struct raw_thread *thread)
{
	struct batch *batch;
	assert_int_equal(batch_new(&batch, 1000), 0);
	batch->end_mono_ns = 3000;
	batch->unix_minus_mono_ns = 500000;
	batch->period_ns = 42;
	struct raw_sample sample = {.end_mono_ns = 2000, .weight_ns = 7};
	assert_int_equal(batch_add_thread(batch, thread, &sample.thread), 0);
	assert_int_equal(batch_add_stack(batch, stack, &sample.stack), 0);
	assert_int_equal(batch_add_sample(batch, &sample), 0);
	raw_stack_unref(stack);
	return batch;
}

static const struct raw_thread some_thread = {
	.pid = 10, .tid = 11, .comm = "worker", .process_comm = "shop", .cgroup = (char[]){""}};

static struct profile *name(struct fixture *fixture, const struct batch *batch)
{
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	struct err err = {0};
	if (namer_name(fixture->namer, batch, &named, &err))
		fail_msg("%s", err.text);
	assert_int_equal(named.offcpu->sample_count, 0);
	assert_null(named.tables);
	return TAKE(named.cpu);
}

/* The only sample's frames, leaf first. */
static void expect_frames(const struct profile *profile, const char *const *names)
{
	struct frame_table *table;
	assert_int_equal(frame_table_new(&table, profile, FRAME_VIEW_FUNCTION), 0);
	uint32_t stack = profile->samples[0].stack;
	for (; *names; names++) {
		if (!stack)
			fail_msg("no frame where %s should be", *names);
		struct frame_span span = table->spans[profile->stacks[stack].location];
		assert_int_equal(span.count, 1);
		const struct frame *frame = &table->frames[table->ids[span.first]];
		assert_string_equal(strtab_get(&table->strings, frame->name), *names);
		stack = profile->stacks[stack].parent;
	}
	assert_int_equal(stack, 0);
	frame_table_free(table);
}

#define EXPECT_FRAMES(profile, ...) expect_frames(profile, (const char *const[]){__VA_ARGS__, NULL})

static void nothing_is_a_profile_too(void **state)
{
	struct fixture *fixture = *state;
	AUTO(batch) batch = NULL;
	assert_int_equal(batch_new(&batch, 1000), 0);
	batch->end_mono_ns = 3000;
	AUTO(profile) profile = name(fixture, batch);
	assert_int_equal(profile->sample_count, 0);
	assert_int_equal(profile->duration_ns, 2000);
}

static void what_has_no_name_says_why(void **state)
{
	struct fixture *fixture = *state;
	const struct raw_frame frames[] = {
		{NULL, 0x7f0000001234},
		{fixture->unreadable, 0x12af},
		{fixture->anonymous, 0x500},
		{fixture->anonymous, 0x900},
		{fixture->file, UINT64_C(1) << 40},
	};
	AUTO(batch)
	batch = batch_of(stack_of(frames, 0, ARRAY_LEN(frames), STACK_USER_CUT), &some_thread);
	AUTO(profile) profile = name(fixture, batch);
	EXPECT_FRAMES(profile, "[unknown]", "[unreadable libgone.so+0x12af]", "[jit]", "[jit]",
		      "[program+0x10000000000]", "[cut: too deep]");
	/* All JIT code is one place: its addresses mean nothing in the next process. */
	assert_int_equal(profile->location_count, 1 + 5);
}

static void marks_stand_where_frames_are_missing(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		enum walk_end end;
		uint32_t flags;
		const char *outermost;
	} rows[] = {
		{WALK_CUT, STACK_USER_CUT, "[cut: too deep]"},
		{WALK_NO_MAPPING, 0, "[cut: address in no mapping]"},
		{WALK_NO_ROWS, 0, "[cut: no unwind rows]"},
		{WALK_HOLE, 0, "[cut: no unwind info]"},
		{WALK_UNSUPPORTED, 0, "[cut: unsupported unwind info]"},
		{WALK_FAULT, 0, "[cut: stack not readable]"},
		{WALK_IMPLAUSIBLE, 0, "[cut: implausible frame]"},
		{WALK_COMPLETE, STACK_KERNEL_CUT, "[truncated]"},
		{77, 0, "[cut: unknown]"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct raw_stack *stack = stack_of(NULL, 0, 0, rows[i].flags);
		stack->walk_end = rows[i].end;
		AUTO(batch) batch = batch_of(stack, &some_thread);
		AUTO(profile) profile = name(fixture, batch);
		EXPECT_FRAMES(profile, rows[i].outermost);
	}
	static const struct {
		enum walk_end end;
		uint32_t flags;
	} whole[] = {{WALK_COMPLETE, 0}, {WALK_NONE, 0}, {WALK_FAULT, STACK_KTHREAD}};
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		struct raw_stack *stack = stack_of(NULL, 0, 0, whole[i].flags);
		stack->walk_end = whole[i].end;
		AUTO(batch) batch = batch_of(stack, &some_thread);
		AUTO(profile) profile = name(fixture, batch);
		assert_int_equal(profile->samples[0].stack, 0);
	}
}

/* In samples, by process and by the mapping of the outermost frame. */
static void ends_of_stacks_are_counted(void **state)
{
	struct fixture *fixture = *state;
	const struct raw_frame frames[] = {{fixture->file, 1}, {fixture->unreadable, 2}};
	const struct raw_frame lost[] = {{fixture->file, 1}, {NULL, 3}};
	struct raw_stack *stacks[] = {
		stack_of(frames, 0, 2, 0),           stack_of(frames, 0, 2, STACK_USER_CUT),
		stack_of(frames, 0, 1, 0),           stack_of(lost, 0, 2, 0),
		stack_of(NULL, 0, 0, STACK_KTHREAD), stack_of(frames, 0, 1, 0), /* of no sample */
	};
	stacks[3]->walk_end = WALK_NO_MAPPING;
	AUTO(batch) batch = NULL;
	assert_int_equal(batch_new(&batch, 1000), 0);
	struct raw_thread kthread = {
		.pid = 2, .comm = "kthreadd", .process_comm = "kthreadd", .cgroup = (char[]){""}};
	uint32_t thread, other_thread, stack;
	assert_int_equal(batch_add_thread(batch, &some_thread, &thread), 0);
	assert_int_equal(batch_add_thread(batch, &kthread, &other_thread), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(stacks); i++) {
		assert_int_equal(batch_add_stack(batch, stacks[i], &stack), 0);
		struct raw_sample sample = {.thread = i == 4 ? other_thread : thread,
					    .stack = stack};
		for (uint32_t n = 0; i < 5 && n <= i; n++)
			assert_int_equal(batch_add_sample(batch, &sample), 0);
		raw_stack_unref(stacks[i]);
	}
	AUTO(profile) profile = name(fixture, batch);
	assert_int_equal(profile->sample_count, 15);

	AUTO_MEM struct stack_quality *quality = calloc(1, sizeof(*quality));
	quality_read(fixture->quality, quality);
	assert_int_equal(stack_quality_samples(quality->ends), 15);
	assert_int_equal(quality->processes.row_count, 2);
	static const struct stack_quality_row shop = {
		.ends = {[WALK_COMPLETE] = 1 + 3, [WALK_CUT] = 2, [WALK_NO_MAPPING] = 4}};
	assert_string_equal(quality->processes.rows[0].name, "shop");
	assert_int_equal(quality->processes.rows[0].pid, 10);
	assert_memory_equal(quality->processes.rows[0].ends, shop.ends, sizeof(shop.ends));
	assert_string_equal(quality->processes.rows[1].name, "kthreadd");
	static const struct stack_quality_row libraries[] = {
		{.name = "[no user stack]", .ends = {[WALK_NONE] = 5}},
		{.name = "[no mapping]", .ends = {[WALK_NO_MAPPING] = 4}},
		{.name = "/opt/gone/libgone.so", .ends = {[WALK_COMPLETE] = 1, [WALK_CUT] = 2}},
	};
	assert_int_equal(quality->libraries.row_count, 4);
	for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
		const struct stack_quality_row *row = NULL;
		for (size_t k = 0; k < quality->libraries.row_count; k++)
			if (!strcmp(quality->libraries.rows[k].name, libraries[i].name))
				row = &quality->libraries.rows[k];
		assert_non_null(row);
		assert_memory_equal(row->ends, libraries[i].ends, sizeof(row->ends));
	}
}

static void names_are_those_of_nm(void **state)
{
	struct fixture *fixture = *state;
	const struct raw_frame frames[] = {
		{fixture->file, off_of(fixture->program, "_ZN4shop4cart5totalEi") + 3},
		{fixture->file, off_of(fixture->program, "plain") + 1},
		{fixture->file, off_of(fixture->program, "main")},
	};
	AUTO(batch) batch = batch_of(stack_of(frames, 0, 3, 0), &some_thread);
	AUTO(profile) profile = name(fixture, batch);
	EXPECT_FRAMES(profile, "shop::cart::total(int)", "plain", "main");
	const struct profile_sample *sample = &profile->samples[0];
	const struct profile_location *leaf =
		&profile->locations[profile->stacks[sample->stack].location];
	const struct profile_function *function =
		&profile->functions[profile->lines[leaf->first_line].function];
	assert_string_equal(profile_string(profile, function->system_name),
			    "_ZN4shop4cart5totalEi");
	const struct profile_mapping *mapping = &profile->mappings[leaf->mapping];
	assert_string_equal(profile_string(profile, mapping->filename), fixture->program);
	assert_string_equal(profile_string(profile, mapping->build_id), fixture->build_id);
	assert_true(leaf->vaddr >= mapping->start_vaddr && leaf->vaddr < mapping->limit_vaddr);
	assert_int_equal(profile->mapping_count, 2); /* none, and the program */
	assert_int_equal(sample->time_unix_ns, 502000);
	assert_int_equal(sample->weight, 7);
	assert_int_equal(sample->count, 1);
	assert_int_equal(profile->start_unix_ns, 501000);
	assert_int_equal(profile->duration_ns, 2000);
	assert_int_equal(profile->period_ns, 42);
	assert_int_equal(profile->type, PROFILE_CPU);
}

static void kernel_frames(void **state)
{
	struct fixture *fixture = *state;
	AUTO_MEM char *text = tool_output("awk '$3 == \"do_exit\" {print $1}' /proc/kallsyms");
	uint64_t ip = strtoull(text, NULL, 16);
	const struct raw_frame frames[] = {{NULL, ip + 2},
					   {NULL, 0x1000}, /* in no kernel code */
					   {fixture->file, off_of(fixture->program, "main")}};
	AUTO(batch) batch = batch_of(stack_of(frames, 2, 1, 0), &some_thread);
	AUTO(profile) profile = name(fixture, batch);
	if (!ip) { /* unprivileged: said once, and no name is made up */
		assert_true(fixture->warned[0]);
		EXPECT_FRAMES(profile, "[unknown kernel code]", "[unknown kernel code]", "main");
		return;
	}
	EXPECT_FRAMES(profile, "do_exit", "[unknown kernel code]", "main");
	uint32_t leaf = profile->stacks[profile->samples[0].stack].location;
	const struct profile_mapping *mapping =
		&profile->mappings[profile->locations[leaf].mapping];
	assert_string_equal(profile_string(profile, mapping->filename), "[kernel.kallsyms]");
	assert_true(profile->locations[leaf].vaddr == ip + 2);
}

static void labels(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *cgroup, *service;
	} rows[] = {
		{"", "shop"},
		{"/", "shop"},
		{"/user.slice", "shop"},
		{"/system.slice/.service", "shop"}, /* no name before the suffix */
		{"/system.slice/docker-0123.scope", "shop"},
		{"/a.service.d", "shop"},
		{"nginx.service", "shop"}, /* no path */
		{"/system.slice/nginx.service", "nginx"},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1"},
	};
	struct utsname host;
	uname(&host);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct raw_thread thread = some_thread;
		thread.cgroup = (char *)(uintptr_t)rows[i].cgroup;
		AUTO(batch) batch = batch_of(stack_of(NULL, 0, 0, 0), &thread);
		AUTO(profile) profile = name(fixture, batch);
		uint32_t id = profile->samples[0].thread;
		char scratch[PROFILE_LABEL_SCRATCH_BYTES];
		const char *service = profile_thread_label(profile, id, "service_name", scratch);
		if (strcmp(service, rows[i].service) != 0)
			fail_msg("%s: %s", rows[i].cgroup, service);
		const char *cgroup = profile_thread_label(profile, id, "cgroup", scratch);
		assert_string_equal(cgroup ? cgroup : "", rows[i].cgroup);
		assert_string_equal(profile_thread_label(profile, id, "comm", scratch), "shop");
		assert_string_equal(profile_thread_label(profile, id, "thread", scratch), "worker");
		assert_string_equal(profile_thread_label(profile, id, "pid", scratch), "10");
		assert_string_equal(profile_thread_label(profile, id, "tid", scratch), "11");
		assert_string_equal(profile_thread_label(profile, id, "host", scratch),
				    host.nodename);
	}
}

static const uint64_t S = 1000000000;

static struct rec_wait wait_of(int32_t syscall, uint64_t object)
{
	return (struct rec_wait){
		.sample.end_mono_ns = 100 * S,
		.since_mono_ns = 90 * S,
		.weight_ns = 10 * S, /* more than 32 bits */
		.state = 1,
		.syscall = syscall,
		.object = object,
	};
}

/* A batch of one sample, with a thread more and these waits on the sample's stack. */
static struct batch *waiting_batch(struct raw_stack *stack, const struct rec_wait *waits,
				   size_t wait_count)
{
	struct batch *batch = batch_of(stack, &some_thread);
	struct raw_thread sleeper = some_thread;
	uint32_t thread;
	sleeper.tid = 12;
	batch->wait_period_ns = 43;
	assert_int_equal(batch_add_thread(batch, &sleeper, &thread), 0);
	for (size_t i = 0; i < wait_count; i++) {
		struct raw_wait raw = {.thread = thread, .stack = 0, .rec = waits[i]};
		assert_int_equal(batch_add_wait(batch, &raw), 0);
	}
	return batch;
}

static void name_batch(struct fixture *fixture, const struct batch *batch,
		       struct named_batch *named)
{
	struct err err = {0};
	if (namer_name(fixture->namer, batch, named, &err))
		fail_msg("%s", err.text);
}

static void expect_wait(const struct profile *profile, size_t sample, const char *reason,
			const char *waits_on, bool is_idle)
{
	uint32_t wait = profile->samples[sample].wait;
	assert_int_not_equal(wait, 0);
	assert_string_equal(profile_wait_label(profile, wait, "reason"), reason);
	const char *label = profile_wait_label(profile, wait, "waits_on");
	assert_string_equal(label ? label : "", waits_on);
	assert_int_equal(profile->waits[wait].is_idle, is_idle);
}

static void what_waits_is_a_profile_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	const struct raw_frame frames[] = {
		{fixture->file, off_of(fixture->program, "plain") + 1},
		{fixture->file, off_of(fixture->program, "main")},
	};
	struct rec_wait waits[] = {
		wait_of(SYS_nanosleep, 0),
		wait_of(SYS_futex, 0x7f00),
		wait_of(SYS_nanosleep, 0),
	};
	waits[2].since_mono_ns = 100 * S - 5; /* and 10 s of before, without a break or with */
	AUTO(batch)
	batch = waiting_batch(stack_of(frames, 0, 2, 0), waits, ARRAY_LEN(waits));
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	name_batch(fixture, batch, &named);
	assert_int_equal(named.cpu->sample_count, 1);
	assert_int_equal(named.cpu->samples[0].wait, 0);
	assert_int_equal(named.cpu->period_ns, 42);
	assert_int_equal(named.cpu->thread_count, 2); /* nobody, and who ran */
	const struct profile *profile = named.offcpu;
	assert_int_equal(profile->type, PROFILE_OFFCPU);
	assert_int_equal(profile->sample_count, 3);
	assert_int_equal(profile->period_ns, 43);
	assert_int_equal(profile->start_unix_ns, 501000);
	assert_int_equal(profile->thread_count, 2); /* nobody, and who waited */
	assert_int_equal(profile->threads[1].tid, 12);
	assert_int_equal(profile->samples[0].weight, 10 * S);
	assert_int_equal(profile->samples[0].time_unix_ns, 100 * S + 500000);
	assert_int_equal(profile->samples[0].count, 1);
	EXPECT_FRAMES(profile, "plain", "main");
	expect_wait(profile, 0, "sleep", "", true);
	expect_wait(profile, 1, "lock", "futex 0x7f00", false);
	expect_wait(profile, 2, "sleep", "", false);
	assert_null(named.tables);
	AUTO_MEM struct stack_quality *quality = calloc(1, sizeof(*quality));
	quality_read(fixture->quality, quality);
	assert_int_equal(quality->ends[WALK_COMPLETE], 4); /* of both */
}

/* Names of user and kernel functions reach what judges them. */
static void functions_say_why(void **state)
{
	struct fixture *fixture = *state;
	AUTO_MEM char *text = tool_output("awk '$3 == \"tcp_recvmsg\" {print $1}' /proc/kallsyms");
	uint64_t ip = strtoull(text, NULL, 16);
	const struct raw_frame frames[] = {
		{NULL, ip + 2},
		{fixture->file, off_of(fixture->program, "pthread_cond_of_test") + 1},
	};
	struct rec_wait waits[] = {wait_of(SYS_read, 0), wait_of(SYS_futex, 0)};
	waits[1].args[1] = 9 | 128; /* FUTEX_WAIT_BITSET, private */
	AUTO(batch) batch = waiting_batch(stack_of(frames, 1, 1, 0), waits, 1);
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	name_batch(fixture, batch, &named);
	expect_wait(named.offcpu, 0, ip ? "network" : "other", "", false);
	named_batch_fini(&named);
	AUTO(batch) parked = waiting_batch(stack_of(frames + 1, 0, 1, 0), waits + 1, 1);
	name_batch(fixture, parked, &named);
	expect_wait(named.offcpu, 0, "lock", "", true);
}

/* However many connections come and go. */
static void sockets_are_limited(void **state)
{
	struct fixture *fixture = *state;
	enum { LIMIT = 512, SOCKETS = LIMIT + 100 };
	const struct raw_frame frames[] = {{fixture->file, off_of(fixture->program, "plain") + 1}};
	AUTO_MEM struct rec_wait *waits = calloc(SOCKETS, sizeof(*waits));
	for (size_t i = 0; i < SOCKETS; i++) {
		waits[i] = wait_of(SYS_read, 0);
		waits[i].socket = (struct rec_socket){.family = 2,
						      .protocol = 6,
						      .local_port = (uint16_t)(40000 + i),
						      .remote_port = 80,
						      .local = {10, 0, 0, 1},
						      .remote = {10, 0, 0, 2}};
	}
	AUTO(batch) batch = waiting_batch(stack_of(frames, 0, 1, 0), waits, SOCKETS);
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	name_batch(fixture, batch, &named);
	assert_int_equal(named.offcpu->wait_count, 1 + LIMIT + 1); /* none, whole ones, the rest */
	expect_wait(named.offcpu, LIMIT - 1, "network", "tcp 10.0.0.1:40511 -> 10.0.0.2:80", false);
	expect_wait(named.offcpu, LIMIT, "network", "tcp 10.0.0.1:* -> 10.0.0.2:80", false);
}

static void switches_have_tables_of_their_own(void **state)
{
	struct fixture *fixture = *state;
	const struct raw_frame frames[] = {{fixture->file, off_of(fixture->program, "plain") + 1}};
	AUTO(batch) batch = waiting_batch(stack_of(frames, 0, 1, 0), NULL, 0);
	struct raw_switch raw = {
		.thread = 1,
		.stack = 0,
		.waker_thread = 0,
		.waker_stack = BATCH_NONE,
		.rec = {.wait = wait_of(SYS_futex, 0x7f00),
			.waking_mono_ns = 99 * S,
			.other_tid = 5,
			.session = 2},
	};
	assert_int_equal(batch_add_switch(batch, &raw), 0);
	raw.stack = raw.waker_thread = BATCH_NONE;
	raw.rec.waking_mono_ns = 0;
	raw.rec.wait.state = 0; /* runnable all the time */
	raw.rec.wait.weight_ns = 30 * S;
	assert_int_equal(batch_add_switch(batch, &raw), 0);
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	name_batch(fixture, batch, &named);
	assert_int_equal(named.cpu->sample_count, 1);
	assert_int_equal(named.offcpu->sample_count, 0);
	const struct profile *tables = named.tables;
	assert_int_equal(tables->sample_count, 0);
	assert_int_equal(named.switch_count, 2);
	const struct named_switch *woken = &named.switches[0], *preempted = &named.switches[1];
	assert_int_equal(tables->threads[woken->thread].tid, 12);
	assert_int_equal(tables->threads[woken->waker_thread].tid, 11);
	assert_true(woken->stack && !woken->waker_stack);
	assert_string_equal(profile_wait_label(tables, woken->wait, "waits_on"), "futex 0x7f00");
	assert_true(woken->out_mono_ns == 90 * S && woken->waking_mono_ns == 99 * S &&
		    woken->in_mono_ns == 100 * S);
	assert_int_equal(woken->weight_ns, 10 * S);
	assert_int_equal(woken->other_tid, 5);
	assert_int_equal(woken->session, 2);
	assert_true(!preempted->stack && !preempted->waker_thread);
	assert_int_equal(preempted->waking_mono_ns, 90 * S);
	assert_int_equal(preempted->weight_ns, 30 * S);
	assert_string_equal(profile_wait_label(tables, preempted->wait, "reason"), "run_queue");
	AUTO_MEM struct stack_quality *quality = calloc(1, sizeof(*quality));
	quality_read(fixture->quality, quality);
	assert_int_equal(stack_quality_samples(quality->ends), 1); /* switches are none */
}

#define WITH_NAMER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	tool_need("g++");
	tool_need("readelf");
	const struct CMUnitTest tests[] = {
		WITH_NAMER(nothing_is_a_profile_too),
		WITH_NAMER(what_has_no_name_says_why),
		WITH_NAMER(marks_stand_where_frames_are_missing),
		WITH_NAMER(ends_of_stacks_are_counted),
		WITH_NAMER(names_are_those_of_nm),
		WITH_NAMER(kernel_frames),
		WITH_NAMER(labels),
		WITH_NAMER(what_waits_is_a_profile_of_its_own),
		WITH_NAMER(functions_say_why),
		WITH_NAMER(sockets_are_limited),
		WITH_NAMER(switches_have_tables_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

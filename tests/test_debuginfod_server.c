#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/debuginfod.h"
#include "symbolizer/debuginfod_cache.h"
#include "tool.h"

enum {
	PATIENCE_S = 120, /* what takes milliseconds may take long on a busy machine */
	ID_BYTES = 20,
	NEVER_S = 100000,
};

static const char recipe[] =
	"exec 2>&1; set -e; cd '%s'; mkdir served\n"
	"printf '%%s' 'struct shared { int number; long other; char name[32]; };\n"
	"static __attribute__((noinline)) int local_leaf(struct shared *s)\n"
	"{ __asm__(\"\" : \"+r\"(s)); return s->number; }\n"
	"int main(void) { struct shared s = {ANSWER, 2, \"\"}; return local_leaf(&s); }\n"
	"' >a.c\n"
	"id() { readelf -n $1 | sed -n 's/.*Build ID: //p'; }\n"
	"for n in 1 2; do gcc -g -O1 -DANSWER=$n -o $n a.c\n"
	"  objcopy --only-keep-debug $n $n.debug; strip $n; cp $n.debug $n.dwz; done\n"
	"cp 1.debug served/$(id 1); cp 2.debug served/wrong\n"
	"dwz -m shared -M /nowhere/shared 1.dwz 2.dwz\n"
	"cp 2.dwz served/$(id 2); cp shared served/$(id shared)\n"
	"printf '%%s' local_leaf >keep; objcopy -S --keep-symbols=keep 1.debug mini 2>/dev/null\n"
	"xz mini; objcopy --add-section .gnu_debugdata=mini.xz 1 mini_in\n"
	"echo done\n";

/* What on_answer() was told. */
struct answers {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned count;
	int code;          /* the last one */
	uint8_t id_byte_0; /* of that one */
};

static struct {
	char *dir;
	pid_t python_pid;
	unsigned port;
	unsigned caches; /* made so far */
} fixture;

static void on_answer(void *ctx, const uint8_t *id, size_t id_bytes, int code)
{
	struct answers *answers = ctx;
	pthread_mutex_lock(&answers->lock);
	answers->count++;
	answers->code = code;
	answers->id_byte_0 = id_bytes ? id[0] : 0;
	pthread_cond_signal(&answers->more);
	pthread_mutex_unlock(&answers->lock);
}

static int wait_for_answer(struct answers *answers, unsigned count)
{
	struct timespec deadline;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	int rc = 0;
	pthread_mutex_lock(&answers->lock);
	while (answers->count < count && !rc)
		rc = pthread_cond_timedwait(&answers->more, &answers->lock, &deadline);
	int code = answers->code;
	assert_int_equal(answers->count, count);
	pthread_mutex_unlock(&answers->lock);
	return code;
}

static struct answers no_answers(void)
{
	return (struct answers){.lock = PTHREAD_MUTEX_INITIALIZER,
				.more = PTHREAD_COND_INITIALIZER};
}

/* Starts a program that ends with this one and says what it says to out_fd, which is taken. */
static pid_t start(char *const *argv, int out_fd)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		unsetenv("DEBUGINFOD_URLS"); /* a server would ask them in turn */
		dup2(out_fd, STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(out_fd);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int setup(void **state)
{
	(void)state;
	char served[1024], log[1024], text[16] = "";
	fixture.dir = tool_dir_new();
	char *said = tool_output(recipe, fixture.dir);
	assert_non_null(strstr(said, "done"));
	free(said);
	snprintf(served, sizeof(served), "%s/served", fixture.dir);
	snprintf(log, sizeof(log), "%s/log", fixture.dir);
	tool_write_file(log, "", 0);
	char *argv[] = {"python3", TEST_SOURCE_DIR "/debuginfod_server.py", served, log, NULL};
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fixture.python_pid = start(argv, fds[1]);
	/* All of the line: a server that cannot finish it would end. */
	FILE *out = fdopen(fds[0], "r");
	assert_non_null(fgets(text, sizeof(text), out));
	fclose(out);
	fixture.port = (unsigned)strtoul(text, NULL, 10);
	return fixture.port == 0;
}

static int teardown(void **state)
{
	(void)state;
	stop(fixture.python_pid);
	tool_dir_remove(fixture.dir);
	return 0;
}

static struct elf_file *open_elf(const char *name)
{
	char path[1024];
	struct elf_file *file;
	snprintf(path, sizeof(path), "%s/%s", fixture.dir, name);
	assert_int_equal(elf_file_open_debug(&file, open(path, O_RDONLY | O_CLOEXEC), NULL), 0);
	return file;
}

static void id_of(uint8_t id[static ELF_BUILD_ID_MAX_BYTES], const char *name)
{
	struct elf_file *file = open_elf(name);
	assert_int_equal(elf_file_build_id(file, id), ID_BYTES);
	elf_file_free(file);
}

/* How often the server was asked. */
static unsigned requests(void)
{
	char *text = tool_output("wc -l <'%s/log'", fixture.dir);
	unsigned count = (unsigned)strtoul(text, NULL, 10);
	free(text);
	return count;
}

/* A client of the server's part `how`, with a cache of its own. */
static struct debuginfod *open_client(const char *how, struct debuginfod_options options,
				      struct answers *answers)
{
	char urls[128], cache[1024];
	struct debuginfod *client;
	struct err err = {0};
	snprintf(urls, sizeof(urls), "http://127.0.0.1:%u/%s", fixture.port, how);
	snprintf(cache, sizeof(cache), "%s/cache%u", fixture.dir, ++fixture.caches);
	options.urls = options.urls ? options.urls : urls;
	options.cache_dir = options.cache_dir ? options.cache_dir : cache;
	options.timeout_s = options.timeout_s ? options.timeout_s : NEVER_S;
	options.max_transfer_s = options.max_transfer_s ? options.max_transfer_s : NEVER_S;
	options.on_answer = on_answer;
	options.ctx = answers;
	if (debuginfod_open(&client, &options, &err))
		fail_msg("%s", err.text);
	return client;
}

static int ask(struct debuginfod *client, const char *name)
{
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	struct err err = {0};
	int fd = -1;
	id_of(id, name);
	int rc = debuginfod_ask(client, id, ID_BYTES, &fd, &err);
	assert_int_equal(err.code, rc);
	assert_int_equal(fd >= 0, rc == 0);
	assert_int_equal(!rc, !err.text[0]);
	if (fd >= 0)
		close(fd);
	return rc;
}

static void wait_until_running(struct debuginfod *client)
{
	struct debuginfod_status status;
	int64_t deadline_mono_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
	do {
		usleep(10000);
		debuginfod_status(client, &status);
	} while (!status.running[0] && clock_mono_ns() < deadline_mono_ns);
	assert_int_equal(strlen(status.running), 2 * ID_BYTES);
}

static void off(void **state)
{
	(void)state;
	static const struct {
		const char *urls, *cache;
		int rc;
	} rows[] = {
		{NULL, "/cache0", -ENOENT},
		{"", "/cache0", -ENOENT},
		{"  ", "/cache0", -ENOENT},
		{"http://127.0.0.1:1", "/no/cache", -ENOENT},
		{"http://127.0.0.1:1", "/log", -ENOTDIR},
	};
	unsetenv("DEBUGINFOD_URLS");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char cache[1024];
		struct debuginfod *client = NULL;
		struct err err = {0};
		snprintf(cache, sizeof(cache), "%s%s", fixture.dir, rows[i].cache);
		const struct debuginfod_options options = {.urls = rows[i].urls,
							   .cache_dir = cache};
		assert_int_equal(debuginfod_open(&client, &options, &err), rows[i].rc);
		assert_null(client);
		assert_true(err.text[0]);
		assert_null(getenv("DEBUGINFOD_URLS"));
	}
	debuginfod_free(NULL);
}

static void no_build_ids(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client = open_client("files", (struct debuginfod_options){0}, &answers);
	const uint8_t id[ELF_BUILD_ID_MAX_BYTES + 1] = {0};
	static const size_t lengths[] = {0, 1, ELF_BUILD_ID_MAX_BYTES + 1};
	int fd = -1;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		assert_int_equal(debuginfod_ask(client, id, lengths[i], &fd, NULL), -EINVAL);
	debuginfod_free(client);
	assert_int_equal(answers.count, 0);
}

/* Answers come in the background; then they are at hand, for the next client too. */
static void fetched_once(void **state)
{
	(void)state;
	char cache[1024];
	snprintf(cache, sizeof(cache), "%s/cache_kept", fixture.dir);
	struct answers answers = no_answers();
	const struct debuginfod_options options = {.cache_dir = cache};
	struct debuginfod *client = open_client("files", options, &answers);
	unsigned before = requests();
	assert_int_equal(ask(client, "1"), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 1), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(client, "1"), 0);
	struct debuginfod_status status;
	debuginfod_status(client, &status);
	assert_int_equal(status.found, 1);
	assert_int_equal(status.missing + status.failed + status.waiting, 0);
	debuginfod_free(client);
	client = open_client("hang", options, &answers);
	assert_int_equal(ask(client, "1"), 0);
	debuginfod_free(client);
	assert_int_equal(requests() - before, 1);
}

static int find(struct debug_file *found, const char *name, struct debuginfod *client,
		struct err *err)
{
	struct elf_file *executable = open_elf(name);
	const struct debug_search search = {.remote = client};
	int rc = debug_file_find(found, executable, &search, err);
	elf_file_free(executable);
	return rc;
}

/* The debug file, and then the one that dwz moved a part of it to. */
static void searched_for(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client = open_client("files", (struct debuginfod_options){0}, &answers);
	struct debug_file found;
	struct err err = {0};
	assert_int_equal(find(&found, "2", client, &err), -EAGAIN);
	assert_string_equal(err.text, "no debug file yet: debuginfod has been asked for it");
	assert_int_equal(wait_for_answer(&answers, 1), 0);
	assert_int_equal(find(&found, "2", client, &err), 0);
	assert_int_equal(found.kind, DEBUG_FILE_SEPARATE);
	assert_string_equal(found.where, "debuginfod");
	assert_true(found.is_pending && found.has_dwarf && found.alternate_fd < 0);
	debug_file_fini(&found);
	assert_int_equal(wait_for_answer(&answers, 2), 0);
	assert_int_equal(find(&found, "2", client, &err), 0);
	assert_true(!found.is_pending && found.has_dwarf && found.alternate_fd >= 0);
	assert_string_equal(found.alternate, "debuginfod");
	debug_file_fini(&found);
	/* what is in the executable will do until there is an answer */
	assert_int_equal(find(&found, "mini_in", client, &err), 0);
	assert_int_equal(found.kind, DEBUG_FILE_MINI);
	assert_true(found.is_pending);
	debug_file_fini(&found);
	assert_int_equal(wait_for_answer(&answers, 3), 0);
	assert_int_equal(find(&found, "mini_in", client, &err), 0);
	assert_int_equal(found.kind, DEBUG_FILE_SEPARATE);
	debug_file_fini(&found);
	debuginfod_free(client);
}

static void no_stands_for_a_while(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client =
		open_client("files", (struct debuginfod_options){.retry_s = NEVER_S}, &answers);
	unsigned before = requests();
	assert_int_equal(ask(client, "shared"), -EAGAIN);
	/* the server has it, but nothing of another ID */
	assert_int_equal(wait_for_answer(&answers, 1), 0);
	const uint8_t id[ID_BYTES] = {0xab};
	struct err err = {0};
	int fd = -1;
	assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, &err), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 2), -ENOENT);
	assert_int_equal(answers.id_byte_0, 0xab);
	for (int i = 0; i < 100; i++)
		assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, &err), -ENOENT);
	assert_string_equal(err.text, "debuginfod: no server has it");
	assert_int_equal(requests() - before, 2);
	debuginfod_free(client);
}

static void no_expires(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client =
		open_client("files", (struct debuginfod_options){.retry_s = 1}, &answers);
	const uint8_t id[ID_BYTES] = {0xcd};
	int fd = -1, rc;
	unsigned before = requests();
	assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, NULL), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 1), -ENOENT);
	int64_t deadline_mono_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
	do {
		usleep(10000);
		rc = debuginfod_ask(client, id, ID_BYTES, &fd, NULL);
	} while (rc == -ENOENT && clock_mono_ns() < deadline_mono_ns);
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 2), -ENOENT);
	assert_int_equal(requests() - before, 2);
	debuginfod_free(client);
}

static const struct {
	const char *how;
	struct debuginfod_options options;
	int code;
	const char *text;
} failures[] = {
	{"hang", {.timeout_s = 1}, -ETIME, "debuginfod: no answer in time"},
	{"hang", {.max_transfer_s = 1}, -ETIME, "debuginfod: no answer in time"},
	{"trickle", {.timeout_s = 1}, -ETIME, "debuginfod: no answer in time"},
	{"trickle", {.max_transfer_s = 1}, -ETIME, "debuginfod: no answer in time"},
	{"trickle", {.max_file_bytes = 1 << 19}, -EFBIG, "debuginfod: the file is too large"},
	{"wrong", {0}, -ESTALE, "debuginfod: the server sent another file"},
	/* the discard port, which nobody listens at */
	{"", {.urls = "http://127.0.0.1:9"}, -ECONNREFUSED, "debuginfod: Connection refused"},
};

static void failed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		struct answers answers = no_answers();
		struct debuginfod *client =
			open_client(failures[i].how, failures[i].options, &answers);
		uint8_t id[ELF_BUILD_ID_MAX_BYTES];
		struct err err = {0};
		int fd = -1;
		id_of(id, "1");
		assert_int_equal(ask(client, "1"), -EAGAIN);
		int code = wait_for_answer(&answers, 1);
		if (code != failures[i].code)
			fail_msg("row %zu: %d (%s)", i, code, strerror(-code));
		assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, &err), code);
		assert_string_equal(err.text, failures[i].text);
		struct debuginfod_status status;
		debuginfod_status(client, &status);
		assert_int_equal(status.failed, 1);
		assert_int_equal(status.found + status.missing, 0);
		debuginfod_free(client);
	}
}

/* One that runs, one that waits; nobody who asks is held up by the server that hangs. */
static void cancelled(void **state)
{
	(void)state;
	char cache[1024];
	snprintf(cache, sizeof(cache), "%s/cache_cancelled", fixture.dir);
	const struct debuginfod_options options = {.cache_dir = cache};
	struct answers answers = no_answers();
	struct debuginfod *client = open_client("hang", options, &answers);
	uint8_t running[ELF_BUILD_ID_MAX_BYTES], waiting[ELF_BUILD_ID_MAX_BYTES];
	id_of(running, "1");
	id_of(waiting, "2");
	assert_int_equal(ask(client, "1"), -EAGAIN);
	wait_until_running(client);
	assert_int_equal(ask(client, "2"), -EAGAIN);
	struct debuginfod_status status;
	debuginfod_status(client, &status);
	assert_int_equal(status.waiting, 1);
	debuginfod_cancel(client, waiting, ID_BYTES);
	assert_int_equal(ask(client, "2"), -ECANCELED);
	assert_int_equal(ask(client, "1"), -EAGAIN);
	debuginfod_cancel(client, running, ID_BYTES);
	assert_int_equal(wait_for_answer(&answers, 1), -ECANCELED);
	assert_int_equal(ask(client, "1"), -ECANCELED);
	debuginfod_cancel(client, running, ID_BYTES);
	debuginfod_cancel(client, (const uint8_t[]){1, 2}, 2); /* never asked for */
	debuginfod_free(client);
	/* libdebuginfod takes what was cancelled for "no server has it"; we must not */
	struct answers later = no_answers();
	client = open_client("files", options, &later);
	assert_int_equal(ask(client, "1"), -EAGAIN);
	assert_int_equal(wait_for_answer(&later, 1), 0);
	debuginfod_free(client);
}

/* With one under way and many waiting. */
static void freed_in_the_middle(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client = open_client("hang", (struct debuginfod_options){0}, &answers);
	int fd = -1, rc = -EAGAIN;
	for (unsigned i = 0; rc == -EAGAIN && i < 10000; i++) {
		const uint8_t id[ID_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8)};
		rc = debuginfod_ask(client, id, ID_BYTES, &fd, NULL);
	}
	assert_int_equal(rc, -ENOSPC);
	wait_until_running(client);
	debuginfod_free(client);
	assert_int_equal(answers.count, 1);
	assert_int_equal(answers.code, -ECANCELED);
}

static void cache_is_bounded(void **state)
{
	(void)state;
	struct answers answers = no_answers();
	struct debuginfod *client =
		open_client("files", (struct debuginfod_options){.max_cache_bytes = 1}, &answers);
	assert_int_equal(ask(client, "1"), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 1), 0);
	assert_int_equal(ask(client, "1"), 0);
	assert_int_equal(ask(client, "2"), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 2), 0);
	assert_int_equal(ask(client, "2"), 0);
	assert_int_equal(ask(client, "1"), -EAGAIN); /* it made room, and is fetched anew */
	assert_int_equal(wait_for_answer(&answers, 3), 0);
	assert_int_equal(ask(client, "1"), 0);
	debuginfod_free(client);
}

static void cache_by_hand(void **state)
{
	(void)state;
	char *made = tool_output("cd '%s'; mkdir by_hand; cd by_hand; "
				 "for d in aabb ccdd eeff nohex; do mkdir $d; "
				 "head -c 1000 /dev/zero >$d/debuginfo; sleep 0.05; done; "
				 ">eeff/debuginfo; touch ccdd/other; echo",
				 fixture.dir);
	free(made);
	char path[1024];
	snprintf(path, sizeof(path), "%s/by_hand", fixture.dir);
	int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;
	static const char *const bad[] = {"", "aa", "aab", "../x", "AABB", "aabb/"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(debuginfod_cache_open(dir_fd, bad[i], &fd, NULL), -EINVAL);
	assert_int_equal(debuginfod_cache_open(dir_fd, "1122", &fd, NULL), -ENOENT);
	assert_int_equal(debuginfod_cache_open(dir_fd, "eeff", &fd, NULL), -ENOENT);
	debuginfod_cache_forget(dir_fd, "aabb"); /* has bytes: stays */
	debuginfod_cache_forget(dir_fd, "eeff");
	assert_int_equal(fstatat(dir_fd, "eeff", &st, 0), -1);
	assert_int_equal(debuginfod_cache_trim(dir_fd, 2000, NULL, NULL), 0);
	assert_int_equal(fstatat(dir_fd, "aabb/debuginfo", &st, 0), 0);
	assert_int_equal(debuginfod_cache_trim(dir_fd, 1999, "aabb", NULL), 0);
	assert_int_equal(fstatat(dir_fd, "aabb/debuginfo", &st, 0), 0);
	assert_int_equal(fstatat(dir_fd, "ccdd/debuginfo", &st, 0), -1);
	assert_int_equal(fstatat(dir_fd, "ccdd/other", &st, 0), 0);
	assert_int_equal(debuginfod_cache_trim(dir_fd, 0, NULL, NULL), 0);
	assert_int_equal(fstatat(dir_fd, "aabb", &st, 0), -1);
	assert_int_equal(fstatat(dir_fd, "nohex/debuginfo", &st, 0), 0);
	assert_int_equal(fd, -1);
	close(dir_fd);
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len_bytes = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len_bytes), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* elfutils' server over the directory. 0: it ended before it served. */
static pid_t start_debuginfod(unsigned port)
{
	char port_text[16], served[1024];
	int rc;
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(served, sizeof(served), "%s/served", fixture.dir);
	char *argv[] = {"debuginfod", "-d", ":memory:", "-p",   port_text,
			"-t",         "1",  "-F",       served, NULL};
	pid_t pid = start(argv, open("/dev/null", O_WRONLY | O_CLOEXEC));
	int64_t deadline_mono_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
	do {
		usleep(100000);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		char *text = tool_output("id=$(readelf -n '%s/1' | sed -n 's/.*Build ID: //p'); "
					 "curl -s -o /dev/null -w '%%{http_code}' "
					 "http://127.0.0.1:%u/buildid/$id/debuginfo || true",
					 fixture.dir, port);
		rc = strcmp(text, "200");
		free(text);
	} while (rc && clock_mono_ns() < deadline_mono_ns);
	assert_int_equal(rc, 0);
	return pid;
}

static void from_debuginfod(void **state)
{
	(void)state;
	unsigned port = 0;
	pid_t pid = 0;
	for (int i = 0; !pid && i < 5; i++) {
		port = free_port();
		pid = start_debuginfod(port);
	}
	assert_true(pid > 0);
	char urls[128];
	snprintf(urls, sizeof(urls), "http://127.0.0.1:%u", port);
	struct answers answers = no_answers();
	struct debuginfod *client =
		open_client("", (struct debuginfod_options){.urls = urls}, &answers);
	struct debug_file found;
	struct err err = {0};
	assert_int_equal(find(&found, "1", client, &err), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 1), 0);
	assert_int_equal(find(&found, "1", client, &err), 0);
	assert_int_equal(found.kind, DEBUG_FILE_SEPARATE);
	assert_true(found.has_dwarf && !found.is_pending);
	char *same = tool_output("cmp /proc/%d/fd/%d '%s/1.debug' && echo same", (int)getpid(),
				 found.fd, fixture.dir);
	assert_string_equal(same, "same\n");
	free(same);
	debug_file_fini(&found);
	const uint8_t id[ID_BYTES] = {0xef};
	int fd = -1;
	assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, NULL), -EAGAIN);
	assert_int_equal(wait_for_answer(&answers, 2), -ENOENT);
	assert_int_equal(debuginfod_ask(client, id, ID_BYTES, &fd, NULL), -ENOENT);
	debuginfod_free(client);
	stop(pid);
}

int main(void)
{
	static const char *const programs[] = {"gcc",  "objcopy", "dwz",       "xz",
					       "curl", "python3", "debuginfod"};
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		tool_need(programs[i]);
	/* Proxies are not for servers on this machine. */
	setenv("no_proxy", "127.0.0.1", 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off),
		cmocka_unit_test(no_build_ids),
		cmocka_unit_test(fetched_once),
		cmocka_unit_test(searched_for),
		cmocka_unit_test(no_stands_for_a_while),
		cmocka_unit_test(no_expires),
		cmocka_unit_test(failed),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(freed_in_the_middle),
		cmocka_unit_test(cache_is_bounded),
		cmocka_unit_test(cache_by_hand),
		cmocka_unit_test(from_debuginfod),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

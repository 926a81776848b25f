#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/debug_file_root.h"
#include "tool.h"

/*
 * DIR/secret          outside of the root
 * DIR/root/...        what the rows below name
 */
static char *dir;
static int root_fd = -1;

static const struct {
	const char *link, *target;
} links[] = {
	{"root/to_file", "usr/file"},
	{"root/to_absolute", "/usr/file"},
	{"root/to_dir", "usr"},
	{"root/chain", "to_dir/../to_absolute"},
	{"root/up", "../secret"},
	{"root/far_up", "../../../../../../../../../../secret"},
	{"root/usr/up", "../../../secret"},
	{"root/loop", "loop"},
	{"root/ping", "pong"},
	{"root/pong", "ping"},
	{"root/dangling", "nothing"},
	{"root/fifo_link", "fifo"},
	{"root/self_fd", "/proc/self/fd/0"},
	{"root/usr/root", "/"},
};

static void in_dir(char path[static PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", dir, name);
}

static void write_named(const char *name, const char *text)
{
	char path[PATH_MAX];
	in_dir(path, name);
	tool_write_file(path, text, strlen(text));
}

static int setup(void **state)
{
	(void)state;
	char path[PATH_MAX];
	dir = tool_dir_new();
	static const char *const dirs[] = {"root", "root/usr", "root/usr/share"};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		in_dir(path, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	write_named("secret", "secret");
	write_named("root/usr/file", "wanted");
	write_named("root/secret", "own secret");
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		in_dir(path, links[i].link);
		assert_int_equal(symlink(links[i].target, path), 0);
	}
	in_dir(path, "secret");
	char link[PATH_MAX];
	in_dir(link, "root/absolute_out");
	assert_int_equal(symlink(path, link), 0);
	in_dir(path, "root/fifo");
	assert_int_equal(mkfifo(path, 0644), 0);
	in_dir(path, "root/null");
	(void)mknod(path, S_IFCHR | 0644, makedev(1, 3)); /* only root can; else -ENOENT */
	in_dir(path, "root");
	root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root_fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(root_fd);
	tool_dir_remove(dir);
	return 0;
}

static const struct {
	const char *path;
	int rc;
	const char *text, *real_path; /* real_path NULL: cannot be resolved */
} rows[] = {
	{"/usr/file", 0, "wanted", "/usr/file"},
	{"usr/file", 0, "wanted", "/usr/file"},
	{"//usr///./file", 0, "wanted", "/usr/file"},
	{"/usr/share/../file", 0, "wanted", "/usr/file"},
	{"/to_file", 0, "wanted", "/usr/file"},
	{"/to_absolute", 0, "wanted", "/usr/file"},
	{"/to_dir/file", 0, "wanted", "/usr/file"},
	{"/chain", 0, "wanted", "/usr/file"},
	{"/usr/root/usr/root/usr/file", 0, "wanted", "/usr/file"},
	/* ".." stops at the root, as it does for a process in there */
	{"../secret", 0, "own secret", "/secret"},
	{"/../../../../../../../secret", 0, "own secret", "/secret"},
	{"/up", 0, "own secret", "/secret"},
	{"/far_up", 0, "own secret", "/secret"},
	{"/usr/up", 0, "own secret", "/secret"},
	{"/absolute_out", -ENOENT, NULL, NULL},
	{"/self_fd", -ENOENT, NULL, NULL},
	{"", -ENOENT, NULL, NULL},
	{"/nothing", -ENOENT, NULL, "/nothing"},
	{"/nothing/file", -ENOENT, NULL, NULL},
	{"/dangling", -ENOENT, NULL, "/nothing"},
	{"/usr/file/more", -ENOTDIR, NULL, NULL},
	{"/loop", -ELOOP, NULL, NULL},
	{"/ping", -ELOOP, NULL, NULL},
	{"/loop/file", -ELOOP, NULL, NULL},
	{"/", -EBADMSG, NULL, "/"},
	{".", -EBADMSG, NULL, "/"},
	{"/usr", -EBADMSG, NULL, "/usr"},
	{"/to_dir", -EBADMSG, NULL, "/usr"},
	{"/fifo", -EBADMSG, NULL, "/fifo"},
	{"/fifo_link", -EBADMSG, NULL, "/fifo"},
};

static void check_row(size_t i)
{
	int fd = -1;
	int rc = debug_file_root_open(root_fd, rows[i].path, &fd);
	if (rc != rows[i].rc)
		fail_msg("\"%s\": %d, not %d", rows[i].path, rc, rows[i].rc);
	if (rc) {
		assert_int_equal(fd, -1);
		return;
	}
	char text[64] = "";
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, rows[i].text);
	close(fd);
}

static void opened(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(i);
}

static void resolved(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char real_path[PATH_MAX] = "untouched";
		int rc = debug_file_root_resolve(root_fd, rows[i].path, real_path);
		if (!rc != !!rows[i].real_path)
			fail_msg("\"%s\": %d, %s", rows[i].path, rc, real_path);
		assert_string_equal(real_path, rows[i].real_path ? rows[i].real_path : "untouched");
	}
}

static void device(void **state)
{
	(void)state;
	int fd = -1;
	int rc = debug_file_root_open(root_fd, "/null", &fd);
	assert_true(rc == -EBADMSG || (geteuid() != 0 && rc == -ENOENT));
	assert_int_equal(fd, -1);
}

static void long_paths(void **state)
{
	(void)state;
	char path[2 * PATH_MAX], real_path[PATH_MAX];
	int fd = -1;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[NAME_MAX + 2] = 0;
	assert_int_equal(debug_file_root_open(root_fd, path, &fd), -ENAMETOOLONG);
	assert_int_equal(debug_file_root_resolve(root_fd, path, real_path), -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(path); i += 2)
		memcpy(path + i, "./", 2);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(debug_file_root_open(root_fd, path, &fd), -ENAMETOOLONG);
	assert_int_equal(debug_file_root_resolve(root_fd, path, real_path), -ENAMETOOLONG);
	path[PATH_MAX - 1] = 0; /* more steps than anybody needs */
	assert_int_equal(debug_file_root_resolve(root_fd, path, real_path), -ELOOP);
	assert_int_equal(fd, -1);
}

/* From here on the process has no openat2(2). */
static void forbid_openat2(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	assert_int_equal(syscall(SYS_openat2, -1, "", NULL, 0), -1);
	assert_int_equal(errno, error);
}

static void opened_without_openat2(void **state)
{
	(void)state;
	static const int errors[] = {ENOSYS, EPERM};
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			forbid_openat2(errors[i]);
			for (size_t row = 0; row < ARRAY_LEN(rows); row++)
				check_row(row);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opened),     cmocka_unit_test(resolved),
		cmocka_unit_test(device),     cmocka_unit_test(opened_without_openat2),
		cmocka_unit_test(long_paths),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

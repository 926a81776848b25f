#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/signals.h"

static _Noreturn void run_child(char *const *argv, int go_fd, int failed_fd)
{
	char byte;
	/* The end of the pipe is the word to go; an error means the parent is gone. */
	if (read(go_fd, &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	signals_unblock();
	execvp(argv[0], argv);
	int code = errno;
	ssize_t written = write(failed_fd, &code, sizeof(code));
	(void)written;
	_exit(code == ENOENT ? 127 : 126);
}

int child_start(struct child *child, char *const *argv, struct err *err)
{
	int go[2], failed[2];
	if (pipe2(go, O_CLOEXEC))
		return err_set(err, -errno, "start %s: %m", argv[0]);
	if (pipe2(failed, O_CLOEXEC)) {
		int code = -errno;
		close(go[0]);
		close(go[1]);
		return err_set(err, code, "start %s: %m", argv[0]);
	}
	*child = (struct child){.pid = fork(), .go_fd = go[1], .failed_fd = failed[0]};
	if (!child->pid) {
		close(go[1]);
		close(failed[0]);
		run_child(argv, go[0], failed[1]);
	}
	int code = -errno;
	close(go[0]);
	close(failed[1]);
	if (child->pid > 0)
		return 0;
	child_fini(child);
	return err_set(err, code, "start %s: %m", argv[0]);
}

int child_go(struct child *child, const char *name, struct err *err)
{
	if (write(child->go_fd, "", 1) != 1) {
		int code = -errno; /* it has been killed meanwhile */
		child_poll(child, true);
		return err_set(err, code, "run %s: %m", name);
	}
	int code = 0;
	/* Closed by a successful execve(2). */
	if (read(child->failed_fd, &code, sizeof(code)) != sizeof(code)) {
		child->runs = true;
		return 0;
	}
	child_poll(child, true);
	return err_set(err, -code, "run %s: %m", name);
}

bool child_poll(struct child *child, bool wait)
{
	pid_t pid;
	do {
		pid = child->ended ? 0 : waitpid(child->pid, &child->status, wait ? 0 : WNOHANG);
	} while (pid < 0 && errno == EINTR);
	/* ECHILD: somebody else has waited for it; how it ended is lost. */
	child->ended |= pid == child->pid || pid < 0;
	return child->ended;
}

int child_exit_code(const struct child *child)
{
	return WIFSIGNALED(child->status) ? 128 + WTERMSIG(child->status)
					  : WEXITSTATUS(child->status);
}

void child_fini(struct child *child)
{
	auto_close_fd(&child->go_fd); /* one that still waits reads the end and exits */
	auto_close_fd(&child->failed_fd);
	if (child->pid > 0)
		child_poll(child, true);
	*child = (struct child){.go_fd = -1, .failed_fd = -1};
}

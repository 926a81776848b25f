#include "cli/signals.h"

#include <signal.h>
#include <time.h>

#include "base/clock.h"

static sigset_t handled(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	return set;
}

void signals_block(void)
{
	sigset_t set = handled();
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGCHLD,
	       SIG_DFL); /* inherited SIG_IGN would reap a child before its status is read */
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write(2) */
}

void signals_unblock(void)
{
	sigset_t set = handled();
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
}

int signals_wait(int64_t timeout_ns)
{
	sigset_t set = handled();
	int signal_number;
	if (timeout_ns < 0) {
		signal_number = sigwaitinfo(&set, NULL);
	} else {
		struct timespec timeout = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};
		signal_number = sigtimedwait(&set, NULL, &timeout);
	}
	return signal_number > 0 ? signal_number : 0;
}

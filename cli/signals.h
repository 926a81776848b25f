/*
 * signals: SIGINT, SIGTERM, SIGHUP and SIGCHLD as answers to a question instead of
 * interruptions. Block them before the first thread starts, so that every thread inherits it.
 */
#pragma once
#include <stdint.h>

void signals_block(void);
/* For a child, before execve(2). */
void signals_unblock(void);
/* Wait at most timeout_ns (negative: for ever). The signal, or 0. */
int signals_wait(int64_t timeout_ns);

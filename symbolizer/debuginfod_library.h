/*
 * debuginfod_library: libdebuginfod, loaded when it is needed.
 *
 * Never unloaded: what it loads in turn starts things that outlive a call. One thread.
 */
#pragma once
#include <elfutils/debuginfod.h>

#include "base/err.h"

struct debuginfod_library {
	__typeof__(debuginfod_begin) *begin;
	__typeof__(debuginfod_end) *end;
	__typeof__(debuginfod_find_debuginfo) *find_debuginfo;
	__typeof__(debuginfod_set_progressfn) *set_progressfn;
	__typeof__(debuginfod_set_user_data) *set_user_data;
};

/* -ENOSYS: not installed, or another one than we know. */
int debuginfod_library_load(struct debuginfod_library *library, struct err *err);

/* What set_user_data() was given: for a callback, which is handed nothing else. */
void *debuginfod_library_user_data(struct debuginfod_client *client);

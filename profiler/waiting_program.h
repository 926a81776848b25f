/*
 * waiting_program: the BPF object of one way to sample waiting threads, loaded.
 *
 * Immutable once open: any number of threads may run passes, each with a number of its own.
 */
#pragma once
#include "base/auto.h"
#include "bpf/abi.h"
#include "profiler/waiting.h"

struct waiting_program; /* opaque */

/* One way only: method is not WAITING_AUTO. Errors are those of waiting_open(). */
int waiting_program_open(struct waiting_program **out, enum waiting_method method,
			 const struct waiting_options *options, struct err *err);
void waiting_program_free(struct waiting_program *program); /* NULL is fine */
AUTO_DEFINE(waiting_program)

/* Have ends of threads told, and switches where they are what is sampled. */
int waiting_program_attach(struct waiting_program *program, struct err *err);
void waiting_program_detach(struct waiting_program *program);

/* The entries of the map `runners`. Borrowed; NULL: this way takes no passes. */
struct wait_runner *waiting_program_runners(const struct waiting_program *program);
/* One pass, on the thread whose tid is in an entry. 0 or -errno. */
int waiting_program_pass(const struct waiting_program *program);
/* Leave the memory of a process alone until then. */
void waiting_program_avoid(const struct waiting_program *program, uint32_t pid,
			   uint64_t until_mono_ns);

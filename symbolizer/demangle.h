/*
 * demangle: C++ (Itanium), Rust (legacy and v0) and D names, by libiberty.
 *
 * Names come from strangers' files, and a short one can stand for gigabytes: input is at most
 * 64 KiB (4 KiB for D), output at most 256 KiB. Needs less than 1 MiB of stack; names of more
 * than 4 KiB are given a thread. Any thread.
 */
#pragma once
#include <stdbool.h>

/* Could it be a mangled name? What is not, demangle() gives back as NULL. */
static inline bool demangle_may_be(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R' || name[1] == 'D');
}

/* The readable name as c++filt prints it, but std::string stays short and Rust's hash is left
 * out. Owned by the caller; NULL when it is not mangled, too long, or memory is short. */
char *demangle(const char *mangled);

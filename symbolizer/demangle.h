/*
 * demangle: C++ (Itanium), Rust (legacy and v0) and D names, by libiberty.
 *
 * Names come from strangers' files, and a short one can stand for gigabytes: input is at most
 * 4 KiB, output at most 64 KiB. Needs less than 1 MiB of stack. Any thread.
 */
#pragma once

/* The readable name as c++filt prints it, but std::string stays short and Rust's hash is left
 * out. Owned by the caller; NULL when it is not mangled, too long, or memory is short. */
char *demangle(const char *mangled);

/*
 * demangle: C++ (Itanium), Rust (legacy and v0) and D names, by libiberty.
 */
#pragma once

/* The readable name, owned by the caller; NULL when it is not mangled, or longer than 64 KiB
 * or nested too deep to be worth it. Any thread. */
char *demangle(const char *mangled);

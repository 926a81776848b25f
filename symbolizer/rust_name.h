/*
 * rust_name: what a mangled name of Rust (v0) costs to print, before it is.
 *
 * https://doc.rust-lang.org/rustc/symbol-mangling/v0.html#symbol-grammar-summary
 * Of constants only integers, bool and char, as libiberty reads them. Any thread.
 */
#pragma once
#include <stdint.h>

/* How many lifetimes it binds (for<'a, 'b, ...>) in all; UINT64_MAX: it is no such name, or
 * nested more than 1024 deep. */
uint64_t rust_name_lifetimes(const char *mangled);

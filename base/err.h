/*
 * err: failure as a value, with one sentence for a human.
 *
 * Whatever can fail returns 0 or -errno and, when given one, fills a struct err where the
 * cause is known. -EBADMSG is malformed bytes, -ENODATA input that ends early, -EOPNOTSUPP
 * valid but unsupported, -ENOSPC a limit of our own. Plain values: no thread rule.
 */
#pragma once

struct err {
	int code;       /* 0 or -errno */
	char text[256]; /* one line for a human, outermost context first */
};

/* Set code and text; %m means strerror(-code). Returns code. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prefix "context: " to the text that is there. Returns code. err may be NULL. */
int err_wrap(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	va_list args;
	va_start(args, fmt);
	int saved_errno = errno;
	errno = -code; /* %m prints the code that is being set, not what errno drifted to */
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	errno = saved_errno;
	va_end(args);
	err->code = code;
	return code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	char context[sizeof(err->text)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(context, sizeof(context), fmt, args);
	va_end(args);
	char whole[2 * sizeof(err->text) + sizeof(": ")];
	snprintf(whole, sizeof(whole), "%s: %s", context,
		 err->text[0] ? err->text : strerror(-code));
	memcpy(err->text, whole, sizeof(err->text) - 1);
	err->text[sizeof(err->text) - 1] = 0;
	err->code = code;
	return code;
}

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const prefixes[] = {"hearth: ", "hearth: warning: ", "hearth: "};
	char line[1024];
	int len = snprintf(line, sizeof(line), "%s", prefixes[level]);
	va_list args;
	va_start(args, fmt);
	int more = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, fmt, args);
	va_end(args);
	if (more < 0)
		return;
	len += more;
	if ((size_t)len > sizeof(line) - 2)
		len = (int)sizeof(line) - 2;
	for (int i = 0; i < len; i++) /* names come from strangers, and must not forge lines */
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, (size_t)len);
	(void)written; /* nobody is left to tell */
}

/*
 * log: lines on stderr for whoever runs the program. Only cli/ and the HTTP boundary log,
 * once per failure; everything below returns errors. Any thread: a line is one write(2).
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO };

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A program's own log: one line an event on standard error, with the time. A line that cannot be
// written at once is lost.
#pragma once

void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

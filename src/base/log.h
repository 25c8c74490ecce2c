// A program's own log: one line an event on standard error, with the time.
#pragma once

void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

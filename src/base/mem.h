// Allocation that cannot fail: out of memory ends the process.
#pragma once

#include <stdarg.h>
#include <stddef.h>

void *xcalloc(size_t n, size_t size) __attribute__((malloc));
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s) __attribute__((malloc)); // NULL stays NULL
char *xasprintf(const char *fmt, ...) __attribute__((malloc, format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((malloc, format(printf, 1, 0)));

// Errors: set, add context, name.
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"

static const struct {
    enum err_code code;
    const char *name;
} names[] = {
    {ERR_FAILED, "failed"},
    {ERR_USAGE, "usage"},
    {ERR_NO_VM, "no-such-vm"},
    {ERR_EXISTS, "exists"},
    {ERR_BUSY, "busy"},
    {ERR_NOT_RUNNING, "not-running"},
    {ERR_TIMEOUT, "timeout"},
    {ERR_HOST_CANNOT, "host-cannot"},
    {ERR_INTERRUPTED, "interrupted"},
};

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    text_clean(e->msg);
    return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int why = errno;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror(why));
    text_clean(e->msg);
    e->code = why == ENOSPC || why == EDQUOT || why == ENOMEM ? ERR_HOST_CANNOT : ERR_FAILED;
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    AUTO_FREE char *inner = xstrdup(e->msg);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", inner);
    text_clean(e->msg);
    return -1;
}

const char *err_code_name(enum err_code code)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "failed";
}

enum err_code err_code_parse(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].code;
    return ERR_FAILED;
}

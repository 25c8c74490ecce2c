// Why a request could not be done, for the answer to Host.
#include "agent/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_not(char why[static WHY_MAX], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, WHY_MAX, fmt, ap);
    va_end(ap);
    return -1;
}

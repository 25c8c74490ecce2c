// The escape key, a state of two bits.
#include "cli/escape.h"

size_t escape_filter(struct escape *x, const char *keys, size_t n, char *out, bool *leave)
{
    size_t len = 0;
    *leave = false;
    for (size_t i = 0; i < n; i++) {
        char key = keys[i];
        if (!x->inside && !x->held && key == '~') {
            x->held = true;
            continue;
        }
        *leave = x->held && key == '.';
        if (*leave)
            return len;
        if (x->held && key != '~')
            out[len++] = '~';
        x->held = false;
        x->inside = key != '\r' && key != '\n';
        out[len++] = key;
    }
    return len;
}

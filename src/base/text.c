// Text that was written by a guest, by another program, or cut in the middle of a character.
#include "base/text.h"

#include <stddef.h>
#include <stdint.h>

// Length of the character at `s`; 0 where there is none that may be shown.
static size_t character(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; // below 0xa0 are controls
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (n < 2)
        return s[0] >= ' ' && s[0] != 0x7f ? n : 0;
    uint32_t c = s[0] & (0x7fu >> n);
    if (s[0] >= 0xf8)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : n;
}

void text_clean(char *text)
{
    for (char *p = text; *p;) {
        size_t n = character((const unsigned char *)p);
        if (n == 0)
            *p = '?';
        p += n ? n : 1;
    }
}

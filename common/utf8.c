#include "common/utf8.h"

size_t
utf8_len(const unsigned char *bytes, size_t len)
{
    // The second byte's range keeps out overlong forms and surrogates.
    unsigned char low = 0x80, high = 0xbf;
    size_t need;

    if (!len)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
        return 0;
    need = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    if (bytes[0] == 0xe0)
        low = 0xa0;
    if (bytes[0] == 0xed)
        high = 0x9f;
    if (bytes[0] == 0xf0)
        low = 0x90;
    if (bytes[0] == 0xf4)
        high = 0x8f;
    if (len < need || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

uint32_t
utf8_char(const unsigned char *bytes, size_t step)
{
    uint32_t c = bytes[0];

    if (step > 1)
        c &= 0x7fu >> step;
    for (size_t i = 1; i < step; i++)
        c = c << 6 | (bytes[i] & 0x3f);
    return c;
}

// test_utf8.c - what is a character and what is not
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above.
#include <cmocka.h>
#include <string.h>

// What RFC 3629 (3) says of every character, written another way.
static size_t
encode(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0 | c >> 6);
        out[1] = (unsigned char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 | c >> 12);
        out[1] = (unsigned char)(0x80 | (c >> 6 & 63));
        out[2] = (unsigned char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | c >> 18);
    out[1] = (unsigned char)(0x80 | (c >> 12 & 63));
    out[2] = (unsigned char)(0x80 | (c >> 6 & 63));
    out[3] = (unsigned char)(0x80 | (c & 63));
    return 4;
}

static void
test_every_character(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        unsigned char bytes[4];
        size_t len = encode(c, bytes);

        if (c >= 0xd800 && c < 0xe000) {
            assert_int_equal(utf8_len(bytes, len), 0);
            continue;
        }
        assert_int_equal(utf8_len(bytes, len), len);
        assert_int_equal(utf8_char(bytes, len), c);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(utf8_len(bytes, cut), 0);
    }
}

static void
test_what_is_none(void **state)
{
    static const char *const none[] = {"\x80",
                                       "\xbf\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80",
                                       "\xff",
                                       "\xc3(",
                                       "\xe2\x82(",
                                       "\xf0\x9f(\x80"};

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(
            utf8_len((const unsigned char *)none[i], strlen(none[i])), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

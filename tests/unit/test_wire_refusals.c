#include "proto/wire.h"

#include "proto/wire_scan.h"
#include "tests/unit/notation.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h> // needs those above

static struct wire_decoder *decoder;

static int
set_up(void **state)
{
    (void)state;
    return wire_decoder_new(&decoder);
}

static int
tear_down(void **state)
{
    (void)state;
    wire_decoder_free(&decoder);
    return 0;
}

// The notation's frame decoded; the complaint, or NULL when it was accepted.
static const char *
complaint_of(const char *text)
{
    struct wire_message message = {.kind = WIRE_KIND_COUNT};
    size_t len = 0;
    unsigned char *frame = notation_read(text, &len);
    int err = wire_decode(decoder, frame, len, &message);

    free(frame);
    if (!err)
        return NULL;
    assert_int_equal(err, -EPROTO);
    assert_int_equal(message.kind, WIRE_KIND_COUNT); // untouched
    return wire_decoder_error(decoder);
}

// Each breaks one rule only, so that the complaint shows the rule is kept.
static const struct {
    const char *frame, *complaint;
} refusals[] = {
    // The message itself
    {"1", "no array with a kind"},
    {"{1:2}", "no array with a kind"},
    {"[]", "no array with a kind"},
    {"[0]", "unknown kind"},
    {"[18]", "unknown kind"},
    {"[18446744073709551615]", "unknown kind"},
    {"['1']", "unknown kind"},
    {"[-1]", "unknown kind"},
    {"[4]", "not the number of fields"},
    {"[4,1]", "not the number of fields"},
    {"[4,1,[],1]", "not the number of fields"},
    {"[4,n,[]]", "a type that"},
    {"[12,t]", "a type that"},
    {"[4,[[[[1]]]]]", "too deep"},
    // HELLO
    {"[1,1,1,1,'a',1]", "not the number of fields"},
    {"[1,1,1,1,'a',1,[],1]", "not the number of fields"},
    {"[1,1,1,1,'a',1,[],1,1,1]", "not the number of fields"},
    {"[1,1,1,1,'a',1,[],0,1]", "instance"},
    {"[1,1,1,1,'a',1,[],<1>,1]", "instance"},
    {"[1,1,1,1,'a',1,[],1,0]", "epoch"},
    {"[1,1,1,1,'a',1,[],1,'1']", "epoch"},
    {"[1,0,1,1,'a',1,[],1,1]", "version_min"},
    {"[1,2,1,1,'a',1,[],1,1]", "version_min"},
    {"[1,1,65536,1,'a',1,[],1,1]", "version_max"},
    {"[1,1,1,0,'a',1,[],1,1]", "unknown role"},
    {"[1,1,1,3,'a',0,['a'],1,1]", "unknown role"},
    {"[1,1,1,1,<a>,1,[],1,1]", "name is no str"},
    {"[1,1,1,1,'',1,[],1,1]", "name too short"},
    {"[1,1,1,1,s128,1,[],1,1]", "name too short, too long"},
    {"[1,1,1,1,'a\n',1,[],1,1]", "name too short, too long or not printable"},
    {"[1,1,1,1,'a',0,[],1,1]", "capacity"},
    {"[1,1,1,1,'a',65536,[],1,1]", "capacity"},
    {"[1,1,1,1,'a',1,['md5'],1,1]", "a fetcher's algorithms"},
    {"[1,1,1,2,'a',1,['md5'],1,1]", "a hasher's capacity"},
    {"[1,1,1,2,'a',0,[],1,1]", "too few or too many algorithms"},
    {"[1,1,1,2,'a',0,[65*'md5'],1,1]", "too few or too many algorithms"},
    {"[1,1,1,2,'a',0,['MD5'],1,1]", "not an algorithm's name"},
    {"[1,1,1,2,'a',0,[''],1,1]", "not an algorithm's name"},
    {"[1,1,1,2,'a',0,[s32],1,1]", "not an algorithm's name"},
    {"[1,1,1,2,'a',0,['a,b'],1,1]", "not an algorithm's name"},
    {"[1,1,1,2,'a',0,[<md5>],1,1]", "an algorithm is no str"},
    // WELCOME, PING, PONG, BYE, ERROR
    {"[2,0,1,1,1,0,0]", "version"},
    {"[2,65536,1,1,1,0,0]", "version"},
    {"[2,1,'1',1,1,0,0]", "session"},
    {"[2,1,1,0,1,0,0]", "epoch"},
    {"[2,1,1,<1>,1,0,0]", "epoch"},
    {"[2,1,1,1,0,0,0]", "ttl_ms"},
    {"[2,1,1,1,86400001,0,0]", "ttl_ms"},
    {"[2,1,1,1,1,1099511627777,0]", "window"},
    {"[2,1,1,1,1,0,1099511627777]", "job_window"},
    {"[3,0]", "ttl_ms"},
    {"[3,86400001]", "ttl_ms"},
    {"[4,-1,[]]", "load"},
    {"[4,4294967296,[]]", "load"},
    {"[4,0,1]", "no array"},
    {"[4,0,[1025*[1,1]]]", "too many entries"},
    {"[4,0,[[1]]]", "an entry's shape"},
    {"[4,0,[[1,1,1]]]", "an entry's shape"},
    {"[4,0,[['1',1]]]", "job"},
    {"[4,0,[[1,4294967296]]]", "attempt"},
    {"[12,2]", "is_final"},
    {"[13,0,'']", "unknown code"},
    {"[13,5,'']", "unknown code"},
    {"[13,1,<a>]", "text is no str"},
    {"[13,1,s512]", "text too long"},
    {"[13,1,'\x7f']", "not printable"},
    // JOBS
    {"[5,{},[]]", "too few or too many entries"},
    {"[5,{},[1025*[1,1,<a>]]]", "too few or too many entries"},
    {"[5,{},{}]", "too few or too many entries"},
    {"[5,[],[[1,1,<a>]]]", "request: no map"},
    {"[5,{0:1},[[1,1,<a>]]]", "request: unknown key"},
    {"[5,{11:1},[[1,1,<a>]]]", "request: unknown key"},
    {"[5,{64:1},[[1,1,<a>]]]", "request: unknown key"},
    {"[5,{'1':1},[[1,1,<a>]]]", "request: unknown key"},
    {"[5,{1:1,2:1,1:1},[[1,1,<a>]]]", "request: a key twice"},
    {"[5,{1:1001},[[1,1,<a>]]]", "max_redirs"},
    {"[5,{2:86400001},[[1,1,<a>]]]", "connect_timeout_ms"},
    {"[5,{6:4611686018427387905},[[1,1,<a>]]]", "max_filesize"},
    {"[5,{6:-1},[[1,1,<a>]]]", "max_filesize"},
    {"[5,{},[1]]", "an entry's shape"},
    {"[5,{},[[1,1]]]", "an entry's shape"},
    {"[5,{},[[1,1,<a>,1]]]", "an entry's shape"},
    {"[5,{},[[-1,1,<a>]]]", "job: no number"},
    {"[5,{},[[1,4294967296,<a>]]]", "attempt"},
    {"[5,{},[[1,1,'a']]]", "url is no bin"},
    {"[5,{},[[1,1,<>]]]", "url"},
    {"[5,{},[[1,1,b65537]]]", "url"},
    // BODY
    {"[6,[]]", "too few or too many"},
    {"[6,[1025*[1,1,0,0,1]]]", "too few or too many"},
    {"[6,[[1,1,0,5]]]", "a segment's shape"},
    {"[6,[[1,1,0,5,1,0]]]", "a segment's shape"},
    {"[6,[[1,1,0,262145,1]]]", "length"},
    {"[6,[[1,1,0,0,0]]]", "no bytes, and no flag"},
    {"[6,[[1,1,0,5,4]]]", "unknown flags"},
    {"[6,[[1,1,1,5,2]]]", "a RESTART that is not"},
    {"[6,[[1,1,0,5,0],[1,1,0,5,2]]]", "a RESTART that is not"},
    {"[6,[[1,1,0,5,3],[2,1,0,5,1]]]", "a part of a body beside"},
    {"[6,[[1,1,0,5,255]]]", "unknown flags"},
    {"[6,[[1,1,0,5,256]]]", "unknown flags"},
    {"[6,[[1,1,18446744073709551615,1,1]]]", "offset out of range"},
    {"[6,[[1,1,4611686018427387904,1,1]]]", "exceed a body's size"},
    {"[6,[[1,1,0,262144,1],[2,1,0,1,1]]]", "more bytes than a body frame"},
    {"[6,[[1,1,0,5,1],[2,1,0,5,0]]]", "a part of a body beside"},
    {"[6,[[1,1,5,5,1],[2,1,0,5,1]]]", "a part of a body beside"},
    {"[6,[[1,1,0,5,0],[1,2,5,5,1]]]", "a part of a body beside"},
    // HASH
    {"[8,[],[[1,1,0,5,1,0]]]", "too few or too many suites"},
    {"[8,[17*'md5'],[[1,1,0,5,1,0]]]", "too few or too many suites"},
    {"[8,[<md5>],[[1,1,0,5,1,0]]]", "a suite is no str"},
    {"[8,['md5,'],[[1,1,0,5,1,0]]]", "not a suite"},
    {"[8,['md5'],[[1,1,0,5,1]]]", "a segment's shape"},
    {"[8,['md5'],[[1,1,0,5,1,1]]]", "not an index of suites"},
    {"[8,['md5','md4'],[[1,1,0,5,0,0],[1,1,5,5,0,1]]]", "a part of a body"},
    // FETCHED
    {"[7,[]]", "too few or too many entries"},
    {"[7,[1025*[1,1,0,5,{}]]]", "too few or too many entries"},
    {"[7,[[1,1,0,5]]]", "an entry's shape"},
    {"[7,[[1,1,99,5,{}]]]", "unknown outcome"},
    {"[7,[[1,1,0,4611686018427387905,{}]]]", "size out of range"},
    {"[7,[[1,1,0,5,[]]]]", "facts: no map"},
    {"[7,[[1,1,0,5,{19:1}]]]", "facts: unknown key"},
    {"[7,[[1,1,0,5,{28:<a>}]]]", "facts: unknown key"},
    {"[7,[[1,1,0,5,{64:<a>}]]]", "facts: unknown key"},
    {"[7,[[1,1,0,5,{[]:1}]]]", "facts: unknown key"},
    {"[7,[[1,1,0,5,{2:200,2:200}]]]", "facts: a key twice"},
    {"[7,[[1,1,0,5,{2:65536}]]]", "http_status"},
    {"[7,[[1,1,0,5,{9:281474976710657}]]]", "total_us"},
    {"[7,[[1,1,0,5,{2:<200>}]]]", "http_status"},
    {"[7,[[1,1,0,5,{23:'etag'}]]]", "etag is no bin"},
    {"[7,[[1,1,0,5,{23:b1024}]]]", "etag"},
    {"[7,[[1,1,0,5,{20:b512}]]]", "message"},
    {"[7,[[1,1,0,5,{21:b65537}]]]", "final_url"},
    // DIGESTS
    {"[9,-1,[]]", "taken"},
    {"[9,4294967296,[]]", "taken"},
    {"[9,1,{}]", "no array"},
    {"[9,1,[1025*[1,1,5,[<a>]]]]", "too many entries"},
    {"[9,1,[[1,1,5]]]", "an entry's shape"},
    {"[9,1,[[1,1,4611686018427387905,[<a>]]]]", "size"},
    {"[9,1,[[1,1,5,[]]]]", "too few or too many digests"},
    {"[9,1,[[1,1,5,[9*<a>]]]]", "too few or too many digests"},
    {"[9,1,[[1,1,5,[<>]]]]", "a digest is"},
    {"[9,1,[[1,1,5,[b65]]]]", "a digest is"},
    {"[9,1,[[1,1,5,['a']]]]", "a digest is"},
    // PROFILE
    {"[15,32,{}]", "place out of range"},
    {"[15,0,[]]", "profile: no map"},
    {"[15,0,{5:1}]", "profile: unknown key"},
    {"[15,0,{1:2}]", "insecure out of range"},
    {"[15,0,{1:1,1:1}]", "profile: a key twice"},
    {"[15,0,{2:5}]", "ip_version is 4 or 6"},
    {"[15,0,{3:10}]", "http_version is 11 or 20"},
    {"[15,0,{11:'a:b'}]", "user is no bin"},
    {"[15,0,{20:1}]", "no array"},
    {"[15,0,{20:['X-A: b']}]", "an item is no bin"},
    {"[15,0,{20:[<X: \n>]}]", "CR, LF, NUL"},
    {"[15,0,{21:[<X>]}]", "--resolve"},
    // SUITE
    {"[14,[]]", "too few or too many entries"},
    {"[14,[1025*[1,1,['a']]]]", "too few or too many entries"},
    {"[14,[[1,1]]]", "an entry's shape"},
    {"[14,[[1,1,[]]]]", "too few or too many algorithms"},
    {"[14,[[1,1,[9*'a']]]]", "too few or too many algorithms"},
    {"[14,[[1,1,[<a>]]]]", "no str"},
    {"[14,[[1,1,['A']]]]", "not an algorithm"},
    {"[14,[[1,1,['']]]]", "not an algorithm"},
    // PAUSE
    {"[16,2,[]]", "unknown reason"},
    {"[16,-1,[]]", "unknown reason"},
    {"[16,1,1]", "no array"},
    {"[16,1,[1025*[1,1]]]", "too many entries"},
    {"[16,1,[[1]]]", "an entry's shape"},
    // CONNECTED
    {"[17,[]]", "too few or too many entries"},
    {"[17,[1025*[1,1]]]", "too few or too many entries"},
    {"[17,[[1,1,1]]]", "an entry's shape"},
    // CREDIT, ABORT
    {"[10,1099511627777,[]]", "bytes out of range"},
    {"[10,0,1]", "no array"},
    {"[10,0,[1025*[1,1,1]]]", "too many entries"},
    {"[10,0,[[1,1]]]", "an entry's shape"},
    {"[10,0,[[1,1,1099511627777]]]", "bytes out of range"},
    {"[11,[]]", "too few or too many entries"},
    {"[11,[1025*[1,1,1]]]", "too few or too many entries"},
    {"[11,[[1,1,1,1]]]", "an entry's shape"},
    {"[11,[[1,1,0]]]", "unknown reason"},
    {"[11,[[1,1,8]]]", "unknown reason"},
};

static void
test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        const char *complaint = complaint_of(refusals[i].frame);

        if (!complaint)
            fail_msg("accepted: %s", refusals[i].frame);
        if (!strstr(complaint, refusals[i].complaint))
            fail_msg("%s: said \"%s\", not \"%s\"", refusals[i].frame,
                     complaint, refusals[i].complaint);
    }
}

// The neighbours of the refusals, on the right side of each border.
static void
test_accepted(void **state)
{
    static const char *const frames[] = {
        "[1,1,1,1,s127,65535,[],18446744073709551615,18446744073709551615]",
        "[1,1,65535,2,'a',0,[64*s31],1,1]",
        "[2,65535,18446744073709551615,1,86400000,1099511627776,0]",
        "[4,4294967295,[1024*[18446744073709551615,4294967295]]]",
        "[13,4,s511]",
        "[5,{6:4611686018427387904,1:0},[[0,0,b65536]]]",
        "[5,{},[1024*[18446744073709551615,4294967295,<a>]]]",
        "[6,[[1,1,0,0,1]]]",
        "[6,[[1,1,0,0,2],[1,1,0,5,1]]]",
        "[6,[[1,1,0,5,3]]]",
        "[14,[[1,1,[8*'a']]]]",
        "[6,[[1,1,0,0,1],[1,1,0,0,1]]]",
        "[6,[[1,1,0,262144,1],[2,1,0,0,1]]]",
        "[6,[[1,1,0,5,0],[1,1,5,5,0],[1,1,10,0,1]]]",
        "[6,[[1,1,4611686018427387903,1,0]]]",
        "[8,[16*'a,b,c,d,e,f,g,h'],[[1,1,0,5,1,15],[2,1,0,5,1,0]]]",
        "[7,[[1,1,17,4611686018427387904,{20:b511,21:b65536,23:b1023}]]]",
        "[9,0,[[1,1,5,[8*b64]]]]",
        "[10,0,[]]",
        "[11,[[1,1,7]]]",
        "[12,0]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        const char *complaint = complaint_of(frames[i]);

        if (complaint)
            fail_msg("%s: %s", frames[i], complaint);
    }
}

#define RAW(literal)                                                           \
    {                                                                          \
        literal, sizeof(literal) - 1                                           \
    }

// Frames of a few bytes that promise much more. The scan must stop them: what
// reaches msgpack is allocated for.
static void
test_lies(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } lies[] = {
        RAW(""),
        RAW("\xdd\xff\xff\xff\xff"),                 // array 32
        RAW("\xdd\x00\x01\x00\x00\x01\x01\x01\x01"), // 65,536 of them
        RAW("\xdf\xff\xff\xff\xff"),                 // map 32
        RAW("\xdf\x80\x00\x00\x00"), // twice that wraps in 32 bits
        RAW("\xde\xff\xff\x01"),
        RAW("\xdc\xff\xff\x01"),
        RAW("\x9f\x01"),
        RAW("\x8f\x01\x01"),
        RAW("\xdb\xff\xff\xff\xff"), // str 32
        RAW("\xc6\xff\xff\xff\xffxxxxx"),
        RAW("\xc6\xff\xff"), // not even the whole length
        RAW("\xd9"),
        RAW("\xbf"),
        RAW("\xcf\x01"),
        RAW("\xd3"),
        RAW("\x92\x01"),
        RAW("\x91\x01\x01"),             // a byte after the end
        RAW("\x91\x91\x91\x91\x91\x01"), // five deep
        RAW("\x91\x91\x81\x01\x91\x91\x01"),
        RAW("\x91\xc0"), // nil
        RAW("\x91\xc1"), // never used
        RAW("\x91\xc2"), // false
        RAW("\x91\xca\x00\x00\x00\x00"),
        RAW("\x91\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
        RAW("\x91\xd4\x00\x00"),     // ext
        RAW("\xc9\xff\xff\xff\xff"), // ext 32
        RAW("\x92\x04\xff"),         // -1
    };
    struct wire_message message;

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        char *exact = malloc(lies[i].len + !lies[i].len);

        assert_non_null(exact);
        memcpy(exact, lies[i].bytes, lies[i].len);
        if (!wire_scan(exact, lies[i].len))
            fail_msg("lie %zu passed the scan", i);
        assert_int_equal(wire_decode(decoder, exact, lies[i].len, &message),
                         -EPROTO);
        free(exact);
    }
}

static void
test_deep_and_long(void **state)
{
    const size_t len = WIRE_HEAD_BYTES_MAX + 1;
    unsigned char *frame = malloc(len);
    struct wire_message message;

    (void)state;
    assert_non_null(frame);
    memset(frame, 0x91, len); // arrays of one, four million deep
    assert_non_null(wire_scan(frame, len - 1));
    // As long as may be, and all values: more than any message has.
    memset(frame, 0x01, len);
    memcpy(frame, "\xdd\x00\x3f\xff\xfb", 5);
    assert_string_equal(wire_scan(frame, len - 1),
                        "more elements than the frame can have");
    // Exactly the longest: one str. One byte more is too long.
    memcpy(frame, "\xdb\x00\x3f\xff\xfb", 5);
    assert_null(wire_scan(frame, len - 1));
    assert_int_equal(wire_decode(decoder, frame, len - 1, &message), -EPROTO);
    memcpy(frame, "\xdb\x00\x3f\xff\xfc", 5);
    assert_string_equal(wire_scan(frame, len), "a frame that is too long");
    free(frame);
}

// The most that can get past the scan costs the library a few MiB, and these
// are given back by the next message.
static void
test_memory(void **state)
{
    struct mallinfo2 before = mallinfo2(), after;
    size_t len = 0;
    unsigned char *frame = notation_read("[7,[20000*{},n]]", &len);
    struct wire_message message;

    (void)state;
    frame[len - 1] = 1; // the nil: the scan has to like it
    assert_null(wire_scan(frame, len));
    assert_int_equal(wire_decode(decoder, frame, len, &message), -EPROTO);
    free(frame);
    after = mallinfo2(); // all zeros under a sanitizer
    assert_true(after.uordblks + after.hblkhd <
                before.uordblks + before.hblkhd + 4 * 1024 * 1024);
    assert_null(complaint_of("[4,0,[]]"));
    after = mallinfo2();
    assert_true(after.uordblks + after.hblkhd <
                before.uordblks + before.hblkhd + 64 * 1024);
}

// --- The decoder after all that ---

static void
test_reuse(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3000; i++) {
        assert_null(complaint_of("[6,[100*[1,1,0,5,1]]]"));
        assert_non_null(complaint_of("[6,[[1,1,0,5,4]]]"));
        if (i % 100 == 0) // more than the zone's first chunk
            assert_null(complaint_of("[7,[1024*[1,1,0,5,{1:1,2:2,3:3}]]]"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_lies),          cmocka_unit_test(test_memory),
        cmocka_unit_test(test_deep_and_long), cmocka_unit_test(test_reuse),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

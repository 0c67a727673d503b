// sha512_x8.c - eight SHA-512 compressions side by side, one in each 64-bit
// element of AVX-512 registers (FIPS 180-4, 6.4)
#include "hasher/sha512_x8.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))

// FIPS 180-4, 4.2.3.
static const uint64_t constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f,
    0xe9b5dba58189dbbc, 0x3956c25bf348b538, 0x59f111f1b605d019,
    0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242,
    0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3,
    0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65, 0x2de92c6f592b0275,
    0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f,
    0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc,
    0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6,
    0x92722c851482353b, 0xa2bfe8a14cf10364, 0xa81a664bbc423001,
    0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99,
    0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb,
    0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc,
    0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915,
    0xc67178f2e372532b, 0xca273eceea26619c, 0xd186b8c721c0c207,
    0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba,
    0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a,
    0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

bool
sha512_x8_is_available(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw");
}

#define ADD(a, b) _mm512_add_epi64(a, b)
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
// FIPS 180-4, 4.1.3. The truth tables of Ch and Maj.
#define CH(e, f, g) _mm512_ternarylogic_epi64(e, f, g, 0xca)
#define MAJ(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)
#define BIG(x, a, b, c)                                                        \
    XOR3(_mm512_ror_epi64(x, a), _mm512_ror_epi64(x, b), _mm512_ror_epi64(x, c))
#define SMALL(x, a, b, c)                                                      \
    XOR3(_mm512_ror_epi64(x, a), _mm512_ror_epi64(x, b),                       \
         _mm512_srli_epi64(x, c))
#define BIG0(x) BIG(x, 28, 34, 39)
#define BIG1(x) BIG(x, 14, 18, 41)
#define SMALL0(x) SMALL(x, 1, 8, 7)
#define SMALL1(x) SMALL(x, 19, 61, 6)

// Half a block of each lane (64 bytes, 8 words): word i of all lanes into
// out[i]. data[] are rows; this turns them into columns, big-endian undone.
TARGET static inline void
load_half(const unsigned char *const data[8], size_t at, __m512i out[8])
{
    const __m512i swap = _mm512_broadcast_i32x4(
        _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    __m512i pairs[8];

    for (int i = 0; i < 4; i++) {
        __m512i a = _mm512_loadu_si512(data[2 * i] + at);
        __m512i b = _mm512_loadu_si512(data[2 * i + 1] + at);

        a = _mm512_shuffle_epi8(a, swap);
        b = _mm512_shuffle_epi8(b, swap);
        pairs[2 * i] = _mm512_unpacklo_epi64(a, b);     // words 0 2 4 6
        pairs[2 * i + 1] = _mm512_unpackhi_epi64(a, b); // words 1 3 5 7
    }
    for (int odd = 0; odd < 2; odd++) {
        __m512i low = _mm512_shuffle_i64x2(pairs[odd], pairs[2 + odd], 0x88);
        __m512i high =
            _mm512_shuffle_i64x2(pairs[4 + odd], pairs[6 + odd], 0x88);

        out[odd] = _mm512_shuffle_i64x2(low, high, 0x88);
        out[4 + odd] = _mm512_shuffle_i64x2(low, high, 0xdd);
        low = _mm512_shuffle_i64x2(pairs[odd], pairs[2 + odd], 0xdd);
        high = _mm512_shuffle_i64x2(pairs[4 + odd], pairs[6 + odd], 0xdd);
        out[2 + odd] = _mm512_shuffle_i64x2(low, high, 0x88);
        out[6 + odd] = _mm512_shuffle_i64x2(low, high, 0xdd);
    }
}

// One round; the names of the working variables move on instead of their
// values.
#define ROUND(a, b, c, d, e, f, g, h, i)                                       \
    do {                                                                       \
        __m512i t1 = ADD(ADD(h, _mm512_set1_epi64((int64_t)k[i])), w[i]);      \
                                                                               \
        t1 = ADD(t1, ADD(BIG1(e), CH(e, f, g)));                               \
        d = ADD(d, t1);                                                        \
        h = ADD(t1, ADD(BIG0(a), MAJ(a, b, c)));                               \
    } while (0)

#define ROUNDS_8(i)                                                            \
    do {                                                                       \
        ROUND(a, b, c, d, e, f, g, h, (i) + 0);                                \
        ROUND(h, a, b, c, d, e, f, g, (i) + 1);                                \
        ROUND(g, h, a, b, c, d, e, f, (i) + 2);                                \
        ROUND(f, g, h, a, b, c, d, e, (i) + 3);                                \
        ROUND(e, f, g, h, a, b, c, d, (i) + 4);                                \
        ROUND(d, e, f, g, h, a, b, c, (i) + 5);                                \
        ROUND(c, d, e, f, g, h, a, b, (i) + 6);                                \
        ROUND(b, c, d, e, f, g, h, a, (i) + 7);                                \
    } while (0)

#define SCHEDULE(i)                                                            \
    (w[i] = ADD(ADD(w[i], SMALL0(w[((i) + 1) & 15])),                          \
                ADD(w[((i) + 9) & 15], SMALL1(w[((i) + 14) & 15]))))

TARGET static inline void
schedule_16(__m512i w[16])
{
    SCHEDULE(0), SCHEDULE(1), SCHEDULE(2), SCHEDULE(3);
    SCHEDULE(4), SCHEDULE(5), SCHEDULE(6), SCHEDULE(7);
    SCHEDULE(8), SCHEDULE(9), SCHEDULE(10), SCHEDULE(11);
    SCHEDULE(12), SCHEDULE(13), SCHEDULE(14), SCHEDULE(15);
}

TARGET void
sha512_x8_blocks(uint64_t state[8][8], const unsigned char *const data[8],
                 size_t blocks)
{
    __m512i sums[8], w[16];

    for (int i = 0; i < 8; i++)
        sums[i] = _mm512_loadu_si512(state[i]);
    for (size_t at = 0; at < blocks * 128; at += 128) {
        __m512i a = sums[0], b = sums[1], c = sums[2], d = sums[3];
        __m512i e = sums[4], f = sums[5], g = sums[6], h = sums[7];

        load_half(data, at, w);
        load_half(data, at + 64, w + 8);
        for (const uint64_t *k = constants; k < constants + 80; k += 16) {
            if (k != constants)
                schedule_16(w);
            ROUNDS_8(0);
            ROUNDS_8(8);
        }
        sums[0] = ADD(sums[0], a);
        sums[1] = ADD(sums[1], b);
        sums[2] = ADD(sums[2], c);
        sums[3] = ADD(sums[3], d);
        sums[4] = ADD(sums[4], e);
        sums[5] = ADD(sums[5], f);
        sums[6] = ADD(sums[6], g);
        sums[7] = ADD(sums[7], h);
    }
    for (int i = 0; i < 8; i++)
        _mm512_storeu_si512(state[i], sums[i]);
}

#else // no such registers: never called

bool
sha512_x8_is_available(void)
{
    return false;
}

void
sha512_x8_blocks(uint64_t state[8][8], const unsigned char *const data[8],
                 size_t blocks)
{
    (void)state, (void)data, (void)blocks;
}

#endif

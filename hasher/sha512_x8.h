// sha512_x8.h - eight SHA-512 compressions side by side
//
// Eight bodies cost little more than one where the CPU has AVX-512: 3 to 4
// times the bytes a second of OpenSSL's one lane. Pure functions.
#ifndef HASHER_SHA512_X8_H
#define HASHER_SHA512_X8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// True when this CPU can run sha512_x8_blocks().
bool sha512_x8_is_available(void);

// Compresses blocks x 128 bytes of each of eight lanes. state[i][lane] is word
// i of the lane's chaining value. Lanes may share data.
void sha512_x8_blocks(uint64_t state[8][8], const unsigned char *const data[8],
                      size_t blocks);

#endif

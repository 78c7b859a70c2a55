/* machine.c: see machine.h.  SHA-256 is written out because openssl lives in core/path.c
 * only. */
#include "locks/machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* watcherd's application id: made once by a random generator, never to be changed. */
static const uint8_t app_id[16] = {0x8e, 0x31, 0x5c, 0x0d, 0x5a, 0x7b, 0x4f, 0xd2,
                                   0x93, 0xc6, 0x1f, 0x77, 0xe4, 0x2b, 0x08, 0xa9};

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractions of the cube roots of primes. */
static const uint32_t round_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

struct sha256 {
    uint32_t h[8];
    uint8_t block[64];
    size_t used;
    uint64_t total; /* bytes */
};

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(struct sha256 *s)
{
    uint32_t w[64], v[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
               (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] +
               (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
    }
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) +
                      ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_k[i] + w[i];
        uint32_t t2 = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) +
                      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
    s->used = 0;
}

static void sha256_init(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    memcpy(s->h, start, sizeof start);
    s->used = 0;
    s->total = 0;
}

static void sha256_add(struct sha256 *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->block[s->used++] = p[i];
        if (s->used == sizeof s->block)
            sha256_block(s);
    }
    s->total += n;
}

static void sha256_end(struct sha256 *s, uint8_t out[32])
{
    static const uint8_t one = 0x80, zero = 0;
    uint64_t bits = s->total * 8;
    uint8_t length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(s, &one, 1);
    while (s->used != 56)
        sha256_add(s, &zero, 1);
    sha256_add(s, length, 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void machine_hmac(const uint8_t *key, size_t nkey, const uint8_t *text, size_t ntext,
                  uint8_t mac[32])
{
    uint8_t inner[64], outer[64];
    struct sha256 s;

    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < nkey && i < sizeof inner; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    sha256_init(&s);
    sha256_add(&s, inner, sizeof inner);
    sha256_add(&s, text, ntext);
    sha256_end(&s, mac);
    sha256_init(&s);
    sha256_add(&s, outer, sizeof outer);
    sha256_add(&s, mac, 32);
    sha256_end(&s, mac);
}

/* 32 hex digits of /etc/machine-id as bytes. */
static bool read_machine_id(uint8_t id[16])
{
    FILE *file = fopen("/etc/machine-id", "re");
    bool ok = file != NULL;

    for (int i = 0; i < 16 && ok; i++) {
        unsigned int byte;

        ok = fscanf(file, "%2x", &byte) == 1;
        id[i] = (uint8_t)(ok ? byte : 0);
    }
    if (file != NULL)
        fclose(file);
    return ok;
}

void machine_id(char out[33])
{
    uint8_t id[16], mac[32];

    out[0] = '\0';
    if (!read_machine_id(id))
        return;
    machine_hmac(id, sizeof id, app_id, sizeof app_id, mac);
    mac[6] = (uint8_t)((mac[6] & 0x0f) | 0x40);
    mac[8] = (uint8_t)((mac[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

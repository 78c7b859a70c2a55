/*
 * machine.h: a name for this machine that does not give its /etc/machine-id away.
 */
#ifndef LOCKS_MACHINE_H
#define LOCKS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * machine_id: 32 hex digits, equal on each call and boot, or "" when the machine has no id.
 * HMAC-SHA-256 keyed by the machine id over watcherd's application id, first 16 bytes, marked
 * as a version 4 UUID: what sd_id128_get_machine_app_specific(3) returns for that id.
 */
void machine_id(char out[33]);

/* The hash beneath it (RFC 2104, FIPS 180-4); keys of at most 64 bytes. */
void machine_hmac(const uint8_t *key, size_t nkey, const uint8_t *text, size_t ntext,
                  uint8_t mac[32]);

#endif

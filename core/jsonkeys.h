/*
 * jsonkeys.h: which members does a JSON object have?  Checks the whole text against the grammar
 * (RFC 8259) in one pass and builds nothing, so that a hundred thousand small files can be
 * asked.
 */
#ifndef CORE_JSONKEYS_H
#define CORE_JSONKEYS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Given:    text[len]; key[nkey] wanted names of members of the outermost object
 * Returned: has[nkey]: there is such a member and it is not null
 * Status:   0; ERR_FORMAT: not a whole JSON object (has is all false)
 * Note: names with escapes in them are never found; values are checked for shape, not for
 * UTF-8.
 */
int jsonkeys_find(const char *text, size_t len, const char *const *key, size_t nkey,
                  bool *has);

#endif

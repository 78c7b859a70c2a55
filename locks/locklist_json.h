/*
 * locklist_json.h: locks as JSON: one form for the programs that print it and for whoever
 * answers over a socket.  Each function returns a reference that is the caller's.
 */
#ifndef LOCKS_LOCKLIST_JSON_H
#define LOCKS_LOCKLIST_JSON_H

#include <jansson.h>

#include "locks/locklist.h"

/*
 * {"state": "ACTIVE", "lock": "a.lock", "legacy": false, "reason", "pid", "host", "where",
 * "age_s"}, and of a claim that can be judged also gen, group, program, task, taken, mode,
 * lease_s, heartbeat, unmoved_s.  Of a name that is not UTF-8 only state, lock and what
 * follows host. Times in s; null: unknown.
 */
json_t *lock_entry_json(const struct lock_entry *entry);
/* [entry, ...] */
json_t *locklist_json(const struct locklist *list);
/*
 * How a group's generations ended, newest first, at most ten: [{"gen", "host", "taken",
 * "took_over" (why), "end" (line of r.N), "committed"}, ...]; took_over and end are left out
 * where there is none.
 * Given: dirfd: the group's lock directory; gens: as found there
 */
json_t *lock_history_json(int dirfd, const struct generations *gens);

#endif

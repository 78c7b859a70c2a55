#!/bin/bash
# torture_queue_pg.sh: the queue on PostgreSQL, longer and larger than `make check` has time for: plans with 10^6 tasks waiting and 10^6
# done, then the tests of edits, crashes and full disks again and again.
# matrix: queue 1 again and again
# matrix: queue 5 again and again
# matrix: queue 6 again and again
# matrix: queue 8 with 10^6 tasks waiting and done
set -eu
cd "$(dirname "$0")/.."
bin=${BUILD:-build}/tests/test_queue_pg
tests/pg_rig.sh bin >/dev/null || { tests/pg_rig.sh bin; exit 77; }
QUEUE_ROWS=${QUEUE_ROWS:-1000000} $bin 'claims_and_ends_read*'
for i in $(seq "${ROUNDS:-10}"); do
    for t in 'edits_at_any*' 'a_server_that_ends*' 'a_killed_backend*' 'a_full_disk*' 'a_lost_conn*' 'lost_answers*' \
        'daemons_that_start*'; do
        $bin "$t" >"${TMPDIR:-/tmp}/torture_queue_pg.$$" 2>&1 || { cat "${TMPDIR:-/tmp}/torture_queue_pg.$$"; echo "round $i: $t"; exit 1; }
    done
done
rm -f "${TMPDIR:-/tmp}/torture_queue_pg.$$"

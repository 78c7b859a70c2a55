#!/bin/bash
# Every order of claims, cleaning and crashes with more changes of turn than make check has time for;
# WATCHERD_EXPLORE="TURNS CRASHES" replaces these bounds.
# matrix: locks 20 every order, more turns
set -eu
explorer=${BUILD:-build}/tests/test_explore
[ -z "${WATCHERD_EXPLORE:-}" ] || exec "$explorer"
WATCHERD_EXPLORE="2 1" "$explorer"
for scenario in 'on_one_machine*' 'whatever*' 'a_generation*'; do
    WATCHERD_EXPLORE="3 1" "$explorer" "$scenario"
done

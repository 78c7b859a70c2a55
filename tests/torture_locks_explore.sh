#!/bin/bash
# Every order of claims, cleaning and crashes with more changes of turn than make check has time for;
# WATCHERD_EXPLORE="TURNS CRASHES" replaces these bounds.
# matrix: locks 20 every order, more turns
set -u
explorer=${BUILD:-build}/tests/test_explore
for bounds in ${WATCHERD_EXPLORE:+"$WATCHERD_EXPLORE"} "3 1" "4 0"; do
    WATCHERD_EXPLORE=$bounds "$explorer" || exit 1
    [ -z "${WATCHERD_EXPLORE:-}" ] || exit 0
done
exit 0

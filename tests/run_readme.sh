#!/bin/bash
# The files, folders, programs and functions that README.md and etc/CONTRIBUTING.md name are there, and the latter
# names each room.
set -u
bad=0
both="README.md etc/CONTRIBUTING.md"
miss() { echo "$both name $*"; bad=1; }
# a pattern (core/store/queue_*.c) stands for what it matches
for file in $(grep -ohE '\b(core|locks|pipeline|watcherd|tools|tests|etc)/[A-Za-z0-9_./*]*[a-z0-9*]' $both | sort -u); do
    case $file in */NAME* | */test_NAME* | */run_NAME* | */judge_NAME*) continue ;; esac
    [ -e "$file" ] || miss "$file, which is not there"
done
# and each room with code has a row in its list
for room in $(find core locks pipeline watcherd -mindepth 2 -name '*.c' -printf '%h\n' | sort -u); do
    grep -q "^|.*\`$room/\`.*|" etc/CONTRIBUTING.md || miss "no row for $room/"
done
for word in $(sed -n '/^## How to add/,$p' etc/CONTRIBUTING.md | grep -oE '`(struct )?[a-z]+(_[a-z]+)+`' | tr -d '\`' |
    sed 's/^struct //' | sort -u); do
    grep -rqw --include='*.[ch]' "$word" core pipeline watcherd || miss "$word, which is nowhere"
done
for program in $(grep -ohE '\bbuild/[a-z0-9]+ ' $both | sort -u); do
    [ -x "${BUILD:-build}/${program#build/}" ] || miss "$program, which is not built"
done
for page in $(grep -ohE '`[a-z0-9.-]+\([157]\)' $both | tr -d '`)' | tr '(' . | sort -u); do
    [ -f "etc/man/$page" ] || miss "the manual page $page, which is not there"
done
exit $bad

#!/bin/bash
# The files, folders and programs that README.md names are there.
set -u
bad=0
miss() { echo "README.md names $*"; bad=1; }
for file in $(grep -oE '\b(core|locks|pipeline|watcherd|tools|tests|etc)/[A-Za-z0-9_./]*[a-z0-9]' README.md | sort -u); do
    case $file in */NAME* | */test_NAME* | */run_NAME* | */judge_NAME*) continue ;; esac
    [ -e "$file" ] || miss "$file, which is not there"
done
for program in $(grep -oE '\bbuild/[a-z0-9]+ ' README.md | sort -u); do
    [ -x "${BUILD:-build}/${program#build/}" ] || miss "$program, which is not built"
done
for page in $(grep -oE '`[a-z0-9.]+\([15]\)' README.md | tr -d '`)' | tr '(' . | sort -u); do
    [ -f "etc/man/$page" ] || miss "the manual page $page, which is not there"
done
exit $bad

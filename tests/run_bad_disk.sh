#!/bin/bash
# A machine that cannot take the products: no permission, no directory, no space.  One sentence an
# attempt, nothing half visible, the inputs untouched; and when the machine is right again, the product comes.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir bad-disk
group=2026-01-26T08:01:58
simulate in "$group" --jitter none
sums in >before

none() { # nothing is published below DIR, not even half
    [ -z "$(find "$1" \( -name image.fits -o -name '*.gen*' \) 2>/dev/null)" ] ||
        fail "half a product: $(find "$1")"
    sums in | cmp - before || fail "an input was changed"
}

# Products below a regular file: said at the start, and once more for each group.
settings '[paths]' "products = $dir/file/products" '[workers]' 'max_retries = 0'
echo text >file
once
[ $rc -eq 1 ] || fail "products below a file: exit $rc"
lines 1 "event=products reason=\"[^\"]*$dir/file"
lines 1 "event=task_failed .*group=$group reason=\"[^\"]*$dir/file"
[ "$(cat file)" = text ] || fail "the file was changed"
none root
echo "no directory: $(grep -o 'reason=.*' log | tail -1)"

# No permission, as an ordinary user; then the operator gives it, and hands the task back.
settings '[paths]' "products = $dir/products" '[workers]' 'max_retries = 0'
rm -rf root log
mkdir -p root products
as=()
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$dir"
    chmod -R a+rX in
    chown -R 65534:65534 root
    : >log
    chmod 666 log
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
else
    chmod 555 products
fi
mkdir bin # an ordinary user may not be let into the checkout
cp "$build/watcherd" "$build/watcherd-task" bin/
chmod -R a+rX bin
rc=0
"${as[@]}" bin/watcherd -c w.conf --once 2>>log || rc=$?
[ $rc -eq 1 ] || fail "unwritable products: exit $rc"
lines 1 "level=error .*group=$group reason=\"[^\"]*$dir/products[^\"]*: Permission denied"
none products
echo "no permission: $(grep -o 'level=error.*' log)"
chmod 777 products
sql root/state/queue.sqlite3 "UPDATE t_tasks SET status = 'pending', retry_count = 0 WHERE status = 'failed'"
rc=0
"${as[@]}" bin/watcherd -c w.conf --once 2>>log || rc=$?
[ $rc -eq 0 ] || fail "writable again: exit $rc"
[ -e "products/tiles/$group/image.fits" ] || fail "writable again: no product"

# A full disk: a service waits by itself, without using up attempts, and ends the job when there is room.
mkdir disk
rm -rf root log
mount -t tmpfs -o size=2m,mode=755 none disk 2>/dev/null || skip "may not mount a tmpfs for the full disk"
mounted=$dir/disk
settings '[paths]' "products = $dir/disk/products" "scratch = $dir/disk/scratch" \
    '[workers]' 'max_retries = 0' 'retry_delay_s = 0.5'
start
wait_for log "event=machine .*group=$group reason=\"[^\"]*(No space left|full)"
none disk
[ -z "$(find disk/scratch -type f)" ] || fail "left in scratch: $(find disk/scratch)"
echo "full disk: $(grep -o -m1 'event=machine.*' log)"
mount -o remount,size=40m disk
wait_for log "event=done .*group=$group"
stop
[ $rc -eq 0 ] || fail "exit $rc"
lines 0 'event=task_failed'
sums in | cmp - before || fail "an input was changed"
[ -z "$(find disk/scratch -type f)" ] || fail "left in scratch: $(find disk/scratch)"
/usr/bin/python3 - "disk/products/tiles/$group" <<'END' || fail "the product is not whole"
import hashlib, json, sys
for f in json.load(open(sys.argv[1] + "/manifest.json"))["files"]:
    assert hashlib.sha256(open(sys.argv[1] + "/" + f["name"], "rb").read()).hexdigest() == f["sha256"]
END

# With --once a full disk is a failure; enlarged and handed back, the task is done by the next run.
rm -rf root log disk/*
mount -o remount,size=3m disk
once
[ $rc -eq 1 ] || fail "full disk, --once: exit $rc"
lines 1 "level=error .*group=$group reason="
none disk
mount -o remount,size=40m disk
sql root/state/queue.sqlite3 "UPDATE t_tasks SET status = 'pending', retry_count = 0 WHERE status = 'failed'"
once
[ $rc -eq 0 ] || fail "after the retry: exit $rc"
[ -e "disk/products/tiles/$group/image.fits" ] || fail "after the retry: no product"

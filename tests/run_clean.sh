#!/bin/bash
# batchctl clean: what finished work left goes when it is old enough, its product whole and nobody works on
# it; everything else stays, with its reason; an interruption leaves nothing half removed.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir clean
settings '[mosaic]' 'tiles = 9'
batchctl=$build/batchctl lockctl=$build/lockctl
a=2026-01-26T08:01:58 c=2026-01-26T10:00:00
simulate in "$a" --jitter none --groups 2
b=$(ls in | sed -n '$s/_sb.*//p')
once
[ $rc -eq 0 ] || fail "two groups: exit $rc"

clean() { # WANT OPTION...: run it, $rc and out
    local want=$1
    shift
    rc=0
    "$batchctl" clean -c w.conf "$@" >out 2>err || rc=$?
    [ $rc -eq "$want" ] || fail "clean $*: exit $rc, not $want: $(cat out err)"
}
old() { # AGE PATH...: everything in it is that old
    local age=$1
    shift
    find "$@" -depth -exec touch -h -d "$age ago" {} +
}
ms() { # PATH...: things like Measurement Sets; few programs are started for many
    printf '%s/ANTENNA\0' "$@" | xargs -0 mkdir -p
    printf '%s/table.f0\0' "$@" | xargs -0 -n 500 sh -c 'head -c 5000 /dev/zero | tee "$@" >/dev/null' _
    for p in "$@"; do echo x >"$p/ANTENNA/table.dat"; done
}
says() { grep -qE -e "$1" out || fail "nothing like '$1' in: $(cat out err)"; }
stays() { for p in "$@"; do [ -e "$p" ] || [ -L "$p" ] || fail "$p is gone: $(cat out)"; done; }
went() { for p in "$@"; do [ ! -e "$p" ] || fail "$p is there: $(cat out)"; done; }
all() { (find . -not -name out -not -name err -not -name all.before -printf '%y %s %T@ %p %l\n' | sort); }

rm -rf root/state/logs # of the two tasks; those of this test come below

# Nothing at all is nothing to do.
clean 0
says '^removed 0 of 0, 0 B$'

# ---- Measurement Sets: named by group in four ways, one each that must stay ----
ms "root/ms/$a.ms"
ms "root/ms/${a}_sb03.ms"
ms "root/stage/raw/ms/$a.cal.ms"
ms "root/ms/$a/any.ms"
ms "root/scratch/$a/7/x.ms"
ms "root/ms/${b}.ms"     # its product will be broken
ms "root/ms/${c}.ms"     # never published
ms "root/ms/young_$a.ms" # bears no product's name at its start
ms "root/ms/${a}_new.ms"
ms outside/kept.ms
echo table >"root/ms/${a}_file.ms"
ln -s "$dir/outside/kept.ms" "root/ms/${a}_link.ms"
ln -s "$dir/outside" "root/ms/dirlink"
ln -s "$dir/outside" "root/ms/$a.ms/inside" # goes as a link only
old '9 days' root/ms root/stage root/scratch outside
touch "root/ms/${a}_new.ms/table.f0"
image=$(readlink -f "root/products/tiles/$b")/image.fits
chmod u+w "$image"
printf 'x' | dd of="$image" bs=1 seek=100000 conv=notrunc 2>/dev/null # its size is right
sums in >before
sums root/products >>before
all >all.before
clean 0 --dry-run
all | diff all.before - || fail "a dry run changed something"
says "^would remove ms .* 9.0 d  .*/root/ms/$a.ms: the product of $a is whole"
says "^would remove ms .*/root/ms/${a}_sb03.ms:"
says "^would remove ms .*/root/stage/raw/ms/$a.cal.ms:"
says "^would remove ms .*/root/ms/$a/any.ms:"
says "^would remove ms .*/root/scratch/$a/7/x.ms:"
says "^would remove scratch .*/root/scratch/$a/7: nobody works on it"
says "^stays .*/root/ms/$b.ms: its product is not whole: .*image.fits does not have its SHA-256"
says "^stays .*/root/ms/$c.ms: no published product bears its name"
says "^stays .*/root/ms/young_$a.ms: no published product bears its name"
says "^stays .*/root/ms/${a}_new.ms: it is younger than 7 d"
says "^stays .*/root/ms/${a}_link.ms: it is a symbolic link"
grep -q dirlink out && fail "it went through a link: $(cat out)"
says '^would remove 6 of 11, [0-9.]+ KiB$'

clean 0 --dry-run --json
/usr/bin/python3 - "$a" <<'END2' || fail "json: $(cat out)"
import json, sys
d = json.load(open("out"))
rows = {r["path"].split("/root/")[1]: r for r in d["items"]}
assert d["dry_run"] and not d["interrupted"] and d["removed"] == 6 and d["failed"] == 0, d
r = rows["ms/%s.ms" % sys.argv[1]]
assert r["kind"] == "ms" and r["would_remove"] and not r["removed"] and r["group"] == sys.argv[1], r
assert abs(r["age_s"] - 9 * 86400) < 3600, r
# 5000 bytes and 2 are at least one block each, and du says the same
assert d["bytes"] == sum(r["bytes"] for r in rows.values() if r["would_remove"]), d
END2
used=$(du -s -B1 "root/ms/${a}_sb03.ms" | cut -f1)
[ "$(/usr/bin/python3 -c "
import json
print([r['bytes'] for r in json.load(open('out'))['items'] if '_sb03' in r['path']][0])")" = "$used" ] ||
    fail "bytes are not those of du ($used): $(cat out)"

# A live claim: nothing of the group goes.
mkfifo hold
"$lockctl" run root/locks "$a" -- sh -c 'echo held >held; read -r x <hold' &
holder=$!
until_true test -e held
clean 0 --dry-run
says "^stays .*/root/ms/$a.ms: somebody works on it"
clean 0
says '^removed 0 of'
stays "root/ms/$a.ms" "root/scratch/$a/7"
echo >hold
wait "$holder"
# So does a script's lock file.
sleep 1000 &
echo $! >"root/locks/$a.lock"
clean 0 --dry-run
says "^stays .*/root/ms/$a.ms: .*$a.lock"
clean 0
says '^removed 0 of'
rm "root/locks/$a.lock"

# A killed owner's claim is no obstacle, and generations go on above all that were published.
"$lockctl" run root/locks "$a" -- sh -c 'echo held >held2; read -r x <hold' &
holder=$!
until_true test -e held2
kill -KILL "$holder"
wait "$holder" 2>/dev/null || true
clean 0
went "root/ms/$a.ms" "root/ms/${a}_sb03.ms" "root/stage/raw/ms/$a.cal.ms" "root/ms/$a/any.ms" "root/scratch/$a"
stays "root/ms/$b.ms" "root/ms/$c.ms" "root/ms/young_$a.ms" "root/ms/${a}_new.ms" "root/ms/${a}_link.ms" \
    "root/ms/${a}_file.ms" outside/kept.ms/table.f0 outside/kept.ms/ANTENNA/table.dat root/ms/dirlink
says '^removed 6 of 11,'
says "^removed +ms .*/root/ms/$a.ms:"
{
    sums in
    sums root/products
} | cmp before - || fail "an input or a product was changed"
[ -z "$("$lockctl" list root/locks | grep "$a" || true)" ] || fail "the claim was left: $("$lockctl" list root/locks)"
[ -z "$(find root -name '.removing*')" ] || fail "left: $(find root -name '.removing*')"

# The next worker gets a generation above ours.
rm "root/products/tiles/$a"
once
[ $rc -eq 0 ] || fail "again: exit $rc"
case $(readlink "root/products/tiles/$a") in *.gen1 | "") fail "not a newer generation: $(ls root/products/tiles)" ;; esac

# A product without its file, or without a manifest, keeps its Measurement Sets.
rm "$image"
clean 0 --dry-run
says "^stays .*/root/ms/$b.ms: .*image.fits is missing"

# ---- scratch ----
mkdir -p "root/scratch/$a/3" "root/scratch/$a/12" "root/scratch/$b" "root/scratch/$c/1/sub" root/scratch/mosaic_x/2 \
    "root/scratch/$b/notes" root/scratch/empty
echo x >"root/scratch/$a/3/image.fits"
echo x >"root/scratch/$c/1/sub/y"
ms "root/scratch/$c/1/keep.ms"
ln -s "$dir/outside" root/scratch/link
ln -s "$dir/outside" "root/scratch/$a/9"
old '2 days' root/scratch
touch "root/scratch/$a/12"
clean 0 --dry-run --kind scratch
says "^would remove scratch .*/root/scratch/$a/3:"
says "^would remove scratch .*/root/scratch/mosaic_x/2:"
says "^would remove scratch .*/root/scratch/empty:"
says "^stays .*/root/scratch/$a/12: it is younger than 1 d"
says "^stays .*/root/scratch/$c/1: a Measurement Set in it stays"
says "^stays .*/root/scratch/$a/9: it is not the directory of a generation"
says "^stays .*/root/scratch/link: it is not a group's directory"
says "^stays .*/root/scratch/$b/notes: it is not the directory of a generation"
clean 0 --kind scratch
went "root/scratch/$a/3" root/scratch/mosaic_x root/scratch/empty
stays "root/scratch/$a/12" "root/scratch/$c/1/keep.ms" "root/scratch/$a/9" root/scratch/link "root/scratch/$b/notes" \
    outside/kept.ms/table.f0
clean 0 --kind scratch --older 0
went "root/scratch/$a/12"

# A removal that was interrupted is finished, whatever its age.
mkdir -p "root/scratch/$a"
ms "root/ms/.removing-ms-12ab"
mkdir "root/scratch/$a/.removing-scratch-77" root/scratch/.removing-scratch-78
clean 0
went root/ms/.removing-ms-12ab "root/scratch/$a/.removing-scratch-77" root/scratch/.removing-scratch-78

# ---- logs ----
mkdir -p root/state/logs
echo x >root/state/logs/0001.log
echo x >root/state/logs/0002.log
echo x >root/state/logs/0003.log
echo x >root/state/logs/readme.txt
ln -s "$dir/w.conf" root/state/logs/0004.log
old '40 days' root/state/logs
touch root/state/logs/0002.log
exec 7>>root/state/logs/0003.log
touch -d '40 days ago' root/state/logs/0003.log
clean 0 --kind logs --dry-run
says '^would remove logs .*/0001.log'
says '^stays .*/0002.log: it is younger than 30 d'
says '^stays .*/0003.log: it is being written'
says '^stays .*/0004.log: it is not a regular file'
clean 0 --kind logs
went root/state/logs/0001.log
stays root/state/logs/000[234].log root/state/logs/readme.txt w.conf
exec 7>&-

# ---- what it refuses ----
sed "s|^incoming = .*|incoming = $dir/root/stage|" w.conf >in.conf # inputs in a tree that would be swept
ms "root/stage/$a.ms"
old '99 days' root/stage
"$batchctl" clean -c in.conf --older 0s >out 2>err || fail "incoming among the trees: $(cat err)"
stays "root/stage/$a.ms"
sed "s|^incoming = .*|incoming = $dir/root/stage/in/deep|" w.conf >in.conf
mkdir -p root/stage/in/deep
ms "root/stage/in/deep/$a.ms"
old '99 days' root/stage
"$batchctl" clean -c in.conf --older 0s >out 2>err || fail "incoming below a tree: $(cat err)"
stays "root/stage/in/deep/$a.ms"
went "root/stage/$a.ms"
if [ "$(id -u)" = 0 ] && mkdir -p "root/ms/${a}_mnt.ms/sub" && mount -t tmpfs none "root/ms/${a}_mnt.ms/sub" 2>/dev/null; then
    mounted=$dir/root/ms/${a}_mnt.ms/sub
    echo x >"$mounted/x"
    clean 0 --older 0s --dry-run
    says "^stays .*_mnt.ms: another file system is mounted in it"
    clean 0 --older 0s
    stays "$mounted/x"
    umount "$mounted"
    mounted=
fi
clean 64 --older 7
clean 64 --older soon
clean 64 --older -3d
clean 64 --kind tiles
clean 64 more
rc=0
"$batchctl" clean >out 2>&1 || rc=$?
[ $rc -eq 64 ] || fail "no settings: exit $rc"
rc=0
"$batchctl" clean -c nowhere.conf >out 2>&1 || rc=$?
[ $rc -eq 66 ] || fail "no such file: exit $rc"
"$batchctl" clean --help | grep -q -- --older || fail "--help"

# ---- Ctrl-C and TERM: its output blocks on a pipe, so that it is always told in the middle ----
interrupt() { # SIGNAL WANT
    local line n=0 p
    rm -rf root/ms
    ms "root/ms/${a}_"{1..300}.ms
    rm -f pipe
    mkfifo pipe
    exec 7<>pipe
    /usr/bin/python3 -c 'import fcntl; fcntl.fcntl(7, 1031, 4096)' # F_SETPIPE_SZ: it is full after some thirty lines
    env --default-signal=INT "$batchctl" clean -c w.conf --older 0s --kind ms >pipe 2>err 7>&- &
    p=$!
    exec 8<pipe 7>&-
    read -r line <&8
    kill -"$1" $p
    cat <&8 >rest
    exec 8<&-
    rc=0
    wait $p || rc=$?
    [ $rc -eq "$2" ] || fail "$1: exit $rc, not $2: $(tail -3 rest)"
    n=$(ls root/ms | wc -l)
    [ "$n" -gt 0 ] && [ "$n" -lt 300 ] || fail "$1: $n of 300 left"
    grep -qE "^removed $((300 - n)) of " rest || fail "$1: says $(tail -1 rest), $n are left"
    [ "$(find root/ms -name table.f0 -size 5000c | wc -l)" -eq "$n" ] || fail "$1: half of one is left"
    [ "$(find root/ms -name table.dat | wc -l)" -eq "$n" ] || fail "$1: half of one is left"
    [ -z "$("$lockctl" list root/locks | grep "$a" || true)" ] || fail "$1: the claim was left"
}
interrupt INT 130
interrupt TERM 75
clean 0 --older 0s --kind ms
[ -z "$(ls root/ms)" ] || fail "the rest stays: $(ls root/ms | head -3)"

# kill -9 in the middle: under their names are whole ones only; the next run ends it.
rm -rf root/ms
ms "root/ms/${a}_"{1..300}.ms
"$batchctl" clean -c w.conf --older 0s --kind ms >/dev/null &
p=$!
fewer() { [ "$(ls root/ms | wc -l)" -lt 300 ]; }
until_true fewer
kill -KILL $p 2>/dev/null || true
wait $p 2>/dev/null || true
n=$(ls root/ms | wc -l)
[ "$(find root/ms -path '*/[0-9]*.ms/table.f0' -size 5000c | wc -l)" -eq "$n" ] || fail "killed: half of one is left"
clean 0 --older 0s --kind ms
[ -z "$(ls -A root/ms)" ] || fail "killed: the rest stays: $(ls -A root/ms | head -3)"
echo "all of it"

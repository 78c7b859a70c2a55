#!/bin/bash
# make install: programs, pages, units and settings where they belong, paths in the units that exist, units that
# systemd accepts and judges safe; a second install keeps edited settings; uninstall leaves nothing.
# shellcheck source=tests/lib.sh disable=SC2010,SC2012,SC2034,SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir install
# The checkout's own programs, whatever compiler and sanitizer they were built with.
install_to() { # VARIABLE=VALUE...
    make -s -C "$top" --no-print-directory -o all install BUILD="$build" "$@" >made 2>&1 || fail "make install $*: $(cat made)"
}
uninstall() {
    make -s -C "$top" --no-print-directory uninstall BUILD="$build" "$@" >made 2>&1 || fail "make uninstall $*: $(cat made)"
}
tree() { (cd "$1" && find . \( -type f -o -type l \) | sort); }

# ---- a package's root ----
mkdir pkg
install_to DESTDIR="$dir/pkg" PREFIX=/usr
{
    for p in "$build"/*; do [ -f "$p" ] && [ -x "$p" ] && echo "./usr/bin/${p##*/}"; done
    for p in "$top"/etc/man/*.[1-8]; do echo "./usr/share/man/man${p##*.}/${p##*/}"; done
    for p in "$top"/etc/systemd/*.{service,timer,target}; do echo "./usr/lib/systemd/system/${p##*/}"; done
    echo ./usr/lib/systemd/system/dsa110-mosaic-daemon.service
    echo ./usr/lib/systemd/system/dsa110-absurd-worker@.service
    echo ./usr/lib/sysusers.d/watcherd.conf
    echo ./usr/lib/tmpfiles.d/watcherd.conf
    echo ./usr/share/watcherd/watcherd.conf
    echo ./usr/share/watcherd/README.md
    echo ./usr/share/watcherd/earth.csv
    echo ./usr/share/doc/watcherd/README.md
    echo ./usr/share/doc/watcherd/copyright
    echo ./usr/share/watcherd/interference.csv
    echo ./etc/watcherd/watcherd.conf
} | sort >wanted
tree pkg | diff wanted - || fail "other files than these"
[ -z "$(find pkg -type f -perm /022)" ] || fail "writable by others: $(find pkg -type f -perm /022)"
grep -l /usr/local pkg/usr/lib/systemd/system/* && fail "PREFIX is not in the units"
units=pkg/usr/lib/systemd/system
[ "$(readlink $units/dsa110-mosaic-daemon.service)" = watcherd.service ] || fail "alias"
pkg/usr/bin/watcherd -c pkg/etc/watcherd/watcherd.conf --check-config >/dev/null || fail "the settings that came"

# Everything that a unit starts is among what was installed, or the system's.
sed -n 's/^Exec[A-Za-z]*=//p' $units/*.service | tr -d "'" | tr ' ' '\n' | grep '^/usr/bin/' | sort -u >started
while read -r p; do
    [ -x "pkg$p" ] || [ -x "$p" ] || case $p in
    *) fail "$p is not there" ;;
    esac
done <started

# Stopping takes no longer than systemd waits.
setting() { sed -n "s/^$1 = //p" pkg/etc/watcherd/watcherd.conf; }
for unit in watcherd.service watcherd-worker@.service; do
    wait_s=$(sed -n 's/^TimeoutStopSec=\([0-9]*\)s$/\1/p' "$units/$unit")
    [ "$wait_s" -gt $(($(setting stop_grace_s) + $(setting cancel_grace_s))) ] || fail "$unit: TimeoutStopSec is $wait_s"
done

# Edited settings stay at a second install and at the end; untouched ones go.
echo '# mine' >>pkg/etc/watcherd/watcherd.conf
install_to DESTDIR="$dir/pkg" PREFIX=/usr
grep -q '^# mine' pkg/etc/watcherd/watcherd.conf || fail "a second install changed the settings"
uninstall DESTDIR="$dir/pkg" PREFIX=/usr
[ "$(tree pkg)" = ./etc/watcherd/watcherd.conf ] || fail "uninstall left: $(tree pkg)"
grep -q 'kept: .*watcherd.conf' made || fail "uninstall does not say what it keeps"
rm -r pkg/etc
install_to DESTDIR="$dir/pkg" PREFIX=/usr
uninstall DESTDIR="$dir/pkg" PREFIX=/usr
[ -z "$(tree pkg)" ] || fail "uninstall left: $(tree pkg)"
uninstall DESTDIR="$dir/pkg" PREFIX=/usr # nothing is there: no failure

# ---- a folder of its own, so that the paths in the units are real ----
install_to PREFIX="$dir/at" SYSCONFDIR="$dir/at/etc"
units=$dir/at/lib/systemd/system
grep -q "^ExecStart=$dir/at/bin/watcherd -c $dir/at/etc/watcherd/watcherd.conf" "$units/watcherd.service" || fail "SYSCONFDIR"
"$dir/at/bin/watcherd" --version >/dev/null
# the daemon has no library that reads data, and says so when its worker program is not beside it
ldd "$dir/at/bin/watcherd" | grep -E 'hdf5|cfitsio|fftw' && fail "the daemon is linked to libraries that read data"
mkdir alone
cp "$dir/at/bin/watcherd" alone/
settings '[workers]' 'max_retries = 0'
"$dir/at/bin/taskctl" -c w.conf migrate >/dev/null
"$dir/at/bin/taskctl" -c w.conf submit noop a >/dev/null
alone/watcherd -c w.conf 2>log &
wait_for log 'event=start.*there is no watcherd-task beside watcherd'
kill %1
wait %1 || fail "the daemon that could start nothing did not end well"
timeout "$patience_s" alone/watcherd -c w.conf --once 2>>log && fail "--once without its worker program: exit 0"
[ $? -ne 124 ] || fail "--once without its worker program does not end"
lines 1 'event=task_failed task=noop group=a reason="cannot start a worker: there is no watcherd-task'
rm -rf root in w.conf log alone
command -v systemd-analyze >/dev/null || skip "the files are right; systemd-analyze is not installed"
# Offline: nothing here asks a running systemd.
for unit in "$units"/*.service "$units"/*.timer "$units"/*.target; do
    [ -L "$unit" ] && continue
    SYSTEMD_UNIT_PATH="$units:" systemd-analyze verify --man=no "$unit" >said 2>&1 || fail "verify $unit: $(cat said)"
    [ ! -s said ] || fail "verify $unit: $(cat said)"
done
for unit in "$units"/*.service; do
    [ -L "$unit" ] && continue
    systemd-analyze security --offline=yes --threshold=29 --no-pager "$unit" >said 2>&1 ||
        fail "$unit: exposure $(tail -1 said)"
    echo "${unit##*/}: $(tail -1 said | sed 's/.*: //')"
done
sed -i 's/^NoNewPrivileges.*//; s/^Cap.*//; s/^System.*//; s/^Restrict[ANRS].*//' "$units/watcherd.service"
systemd-analyze security --offline=yes --threshold=29 --no-pager "$units/watcherd.service" >/dev/null 2>&1 &&
    fail "the threshold catches nothing"

# ---- as systemd would: enable, make the user and the folders ----
mkdir root
install_to DESTDIR="$dir/root"
systemctl --root="$dir/root" enable watcherd watcherd-worker@{1..2} watcherd-clean.timer watcherd-backup.timer >said 2>&1 ||
    fail "enable: $(cat said)"
etc=root/etc/systemd/system
for link in multi-user.target.wants/watcherd.service watcherd.target.wants/watcherd-worker@2.service \
    timers.target.wants/watcherd-clean.timer timers.target.wants/watcherd-backup.timer dsa110-mosaic-daemon.service \
    dsa110-absurd-worker@1.service; do
    [ -L "$etc/$link" ] || fail "enable made no $link: $(cat said)"
done
for t in watcherd-clean watcherd-backup; do
    systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "root/usr/local/lib/systemd/system/$t.timer")" >/dev/null || fail "$t.timer"
done
if [ "$(id -u)" = 0 ]; then
    systemd-sysusers --root="$dir/root" >said 2>&1 || fail "sysusers: $(cat said)"
    grep -q '^watcherd:' root/etc/passwd || fail "no user: $(cat said)"
    systemd-tmpfiles --root="$dir/root" --create >said 2>&1 || fail "tmpfiles: $(cat said)"
    uid=$(sed -n 's/^watcherd:[^:]*:\([0-9]*\):.*/\1/p' root/etc/passwd)
    [ "$(stat -c '%u %a' root/var/lib/watcherd/incoming)" = "$uid 2775" ] || fail "incoming: $(stat root/var/lib/watcherd/incoming)"
    [ "$(stat -c '%u %a' root/var/backups/watcherd)" = "$uid 750" ] || fail "backups: $(stat root/var/backups/watcherd)"
fi

# ---- a whole run needs no system call that the units forbid ----
if command -v strace >/dev/null && ! grep -q libasan <(ldd "$build/watcherd") && ! grep -q libtsan <(ldd "$build/watcherd"); then
    settings '[mosaic]' 'tiles = 9'
    simulate in 2026-01-26T08:01:58 --jitter none
    cp "$top/etc/systemd/watcherd.service" filter.service
    as= # not as root: SQLite then also gives its files away
    if [ "$(id -u)" = 0 ]; then
        rm -rf root
        chown -R 65534:65534 "$dir"
        as="setpriv --reuid=65534 --regid=65534 --clear-groups --"
    fi
    $as strace -f -qq -c -o calls "$dir/at/bin/watcherd" -c w.conf --once 2>log || fail "under strace"
    [ -n "$(find root -name image.fits)" ] || fail "nothing was made"
    awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { print $NF }' calls | sort -u >made_calls
    allowed() { # SET: its calls, and those of the sets in it
        local word
        for word in $(systemd-analyze syscall-filter "$1" | sed 1d | sed 's/#.*//'); do
            case $word in @*) allowed "$word" ;; *) echo "$word" ;; esac
        done
    }
    for set in $(sed -n 's/^SystemCallFilter=//p' filter.service); do
        case $set in
        "~"*) allowed "${set#"~"}" | sort -u | comm -23 yes - >less && mv less yes ;;
        @*) allowed "$set" | sort -u >yes ;;
        *) echo "$set" | sort -u - yes >more && mv more yes ;; # a call's name
        esac
    done
    comm -23 made_calls yes >refused
    [ ! -s refused ] || fail "SystemCallFilter would refuse $(tr '\n' ' ' <refused)"
    [ "$(wc -l <made_calls)" -gt 30 ] || fail "strace saw only $(cat made_calls)"
    echo "$(wc -l <made_calls) system calls, all allowed"
fi

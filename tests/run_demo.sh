#!/bin/bash
# tools/demo has no opinion on how fast a machine is: it ends when its daemon ends or a task fails.
# shellcheck source=tests/lib.sh disable=SC2154
set -eu
. "$(dirname "$0")/lib.sh"
own_dir demo
mkdir bin
printf '#!/bin/sh\n' >bin/uvh5sim
daemon_says() { # a daemon that says this and then does as told
    printf '#!/bin/sh\necho event=ready >&2\n%s\n' "$1" >bin/watcherd
    chmod +x bin/*
    rc=0
    BUILD=$dir/bin timeout "$patience_s" "$top/tools/demo" >said 2>&1 || rc=$?
    [ $rc -eq 1 ] || fail "exit $rc: $(cat said)"
}
daemon_says 'sleep 1'
grep -q 'no mosaic .* or watcherd ended' said || fail "$(cat said)"
daemon_says 'echo "event=task_failed reason=x" >&2; exec sleep 3600'
grep -q 'event=task_failed' said || fail "$(cat said)"

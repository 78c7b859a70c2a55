#!/bin/sh
# pg_rig.sh: a PostgreSQL of one's own for a test, as an unprivileged user, on a private socket only.
#
#   pg_rig.sh make DIR [SETTING...]  a cluster in DIR/data, superuser `watcherd`, its socket in DIR; SETTING as in
#                                    postgresql.conf.  Not safe against power cuts unless `fsync=on` is given.
#   pg_rig.sh run DIR                become its server until QUIT (at once), INT (orderly) or the caller's end
#                                    (PG_RIG_PRELOAD: a library in front of it)
#   pg_rig.sh as COMMAND...          run a command as that user
#   pg_rig.sh bin                    where PostgreSQL's programs are; 77 with a reason when there are none
set -eu
bin=
for dir in /usr/lib/postgresql/15/bin /usr/lib/postgresql/1[6-9]/bin "$(pg_config --bindir 2>/dev/null || :)"; do
    [ -n "$bin" ] || [ ! -x "$dir/initdb" ] || bin=$dir
done
[ -n "$bin" ] || { echo "skipped: no PostgreSQL server is installed (postgresql-15)"; exit 77; }

as() { # in front of a command: who runs it, and that it ends with us
    if [ "$(id -u)" != 0 ]; then
        exec "$@"
    fi
    user=postgres
    id $user >/dev/null 2>&1 || user=nobody
    exec setpriv --reuid $user --regid "$(id -g $user)" --clear-groups --pdeathsig QUIT "$@"
}

case $1 in
bin) echo "$bin" ;;
as)
    shift
    as "$@" ;;
make)
    dir=$2
    shift 2
    chmod 755 "$dir"
    mkdir -p "$dir/data"
    chmod 700 "$dir/data"
    [ "$(id -u)" != 0 ] || chown "$(id -un postgres 2>/dev/null || echo nobody)" "$dir" "$dir/data"
    cd "$dir"
    (as "$bin/initdb" -D "$dir/data" -U watcherd -A trust -E UTF8 --locale=C --no-sync --no-instructions >/dev/null)
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$dir'"
        printf '%s\n' 'fsync = off' 'shared_buffers = 64MB' 'max_connections = 30' 'log_min_messages = warning' "$@"
    } >>"$dir/data/postgresql.conf" ;;
run)
    cd "$2"
    as env LD_PRELOAD="${PG_RIG_PRELOAD:-}" "$bin/postgres" -D "$2/data" 2>>"$2/data/server.log" ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac

#!/bin/sh
# First process of the image that is built without a registry (scripts/server/containers/image.py). It keeps the contract of the
# official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_INITDB_ARGS, each also as a file that only root may
# read (..._FILE); POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR, PGDATA; a first boot with initdb, which listens on all
# addresses, and with /docker-entrypoint-initdb.d; then `postgres` with the command's own options, not as root. Not kept:
# --user with a number that the image does not know.
set -eu

# The variable, or what is in the file that NAME_FILE names.
from_file() {
    eval "value=\${$1:-} file=\${${1}_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: both $1 and ${1}_FILE are set (but are exclusive)" >&2
        exit 1
    fi
    [ -z "$file" ] || value="$(cat "$file")"
    export "$1=${value:-$2}"
    unset "${1}_FILE"
}

# Once, in the order of their names, before anybody can connect by a network. Variables say who and where to psql.
run_first_boot() {
    "$@" -c listen_addresses= -c unix_socket_directories=/var/run/postgresql &
    server=$!
    export PGHOST=/var/run/postgresql PGPASSWORD="$POSTGRES_PASSWORD"
    until pg_isready -q; do
        kill -0 "$server" || exit 1
        sleep 0.05
    done
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
        *.sh)
            if [ -x "$file" ]; then
                echo "$0: running $file"
                "$file"
            else
                echo "$0: sourcing $file"
                bash -c "set -Eeo pipefail; docker_process_sql() { $sql \"\$@\"; }; . \"\$1\"" bash "$file"
            fi
            ;;
        *.sql) run_sql "$file" cat ;;
        *.sql.gz) run_sql "$file" gzip -dc ;;
        *.sql.xz) run_sql "$file" xz -dc ;;
        *.sql.zst) run_sql "$file" zstd -dc ;;
        *) echo "$0: ignoring $file" ;;
        esac
    done
    unset PGHOST PGPASSWORD
    kill -INT "$server"
    wait "$server"
}
sql='psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$POSTGRES_USER" -d "$POSTGRES_DB"'

# A file, and the program that makes SQL of it; all of it, before any of it runs.
run_sql() {
    echo "$0: running $1"
    text="$(mktemp)"
    unpacked="$1"
    shift
    "$@" <"$unpacked" >"$text"
    eval "$sql -f \"\$text\""
    rm -f "$text"
}

case "${1:-}" in '' | -*) set -- postgres "$@" ;; esac
if [ "$1" != postgres ]; then exec "$@"; fi
for option in "$@"; do
    case "$option" in -'?' | --help | --describe-config | -V | --version) exec "$@" ;; esac
done

PGDATA="${PGDATA:-/var/lib/postgresql/18/docker}"
export PGDATA
# Before root's rights are dropped: what is in the environment then has no file any more.
from_file POSTGRES_PASSWORD ''
from_file POSTGRES_USER postgres
from_file POSTGRES_DB "$POSTGRES_USER"
from_file POSTGRES_INITDB_ARGS ''
waldir="${POSTGRES_INITDB_WALDIR:-}"
mkdir -p "$PGDATA" ${waldir:+"$waldir"}
chmod 700 "$PGDATA" ${waldir:+"$waldir"} || : # another owner's: initdb or postgres says what is wrong
if [ "$(id -u)" = 0 ]; then
    mkdir -p /var/run/postgresql
    chown postgres:postgres "$PGDATA" /var/run/postgresql ${waldir:+"$waldir"}
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if ! id -un >/dev/null 2>&1; then
        echo "error: no user of this image has the number $(id -u), and initdb asks for its name; use --user 999, or none" >&2
        exit 1
    fi
    method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    if [ "$method" = trust ]; then
        echo "warning: POSTGRES_HOST_AUTH_METHOD=trust: whoever reaches the port is let in without a password" >&2
    elif [ -z "$POSTGRES_PASSWORD" ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        exit 1
    fi
    file="$(mktemp)" # mode 0600
    printf '%s\n' "$POSTGRES_PASSWORD" >"$file"
    # Words, as in the official image.
    # shellcheck disable=SC2086
    initdb -D "$PGDATA" --username="$POSTGRES_USER" --pwfile="$file" --set=listen_addresses='*' \
        ${waldir:+"--waldir=$waldir"} $POSTGRES_INITDB_ARGS
    rm -f "$file"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
    case "$POSTGRES_DB" in
    postgres | template0 | template1) ;;
    *)
        # Single-user mode reads one statement a line and needs no temporary server.
        printf 'CREATE DATABASE "%s"\n' "$(printf '%s' "$POSTGRES_DB" | sed 's/"/""/g')" |
            postgres --single -j -D "$PGDATA" postgres >/dev/null
        ;;
    esac
    for file in /docker-entrypoint-initdb.d/*; do
        [ ! -e "$file" ] || {
            run_first_boot "$@"
            break
        }
    done
fi
unset POSTGRES_PASSWORD
exec "$@"

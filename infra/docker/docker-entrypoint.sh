#!/bin/sh
# First process of the image that is built without a registry (scripts/server/containers/image.py). It keeps the contract of the
# official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_INITDB_ARGS, each also as a file that only root may
# read (..._FILE); POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR, PGDATA; a first boot with initdb, which listens on all
# addresses; then `postgres` with the command's own options, not as root. Not kept: /docker-entrypoint-initdb.d.
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
fi
unset POSTGRES_PASSWORD
exec "$@"

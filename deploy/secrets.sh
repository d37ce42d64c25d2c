#!/bin/sh
# secrets.sh FOLDER: makes what the services of docker-compose.yml know each other by, where it is not there yet.
#   tokens/tokens                          hashes, for aiops serve
#   alertmanager/token, prometheus/token   their tokens
#   graph/auth, graph/password             for Neo4j, and for aiops
#   grafana/secret                         with which Grafana signs what it sends to aiops
#   grafana-admin/password                 of Grafana's user admin, for Grafana alone
# Each folder is a volume of its own, mounted only where it is needed; a file is readable by whoever that service runs as.
set -eu
umask 022
cd "$1"

AIOPS_HOME=$(mktemp -d)
AIOPS_SERVICE__TOKENS_FILE=$PWD/tokens/tokens
export AIOPS_HOME AIOPS_SERVICE__TOKENS_FILE
: >> tokens/tokens
chmod 644 tokens/tokens

token() { # FOLDER ROLE
    [ -s "$1/token" ] && return
    aiops config token "$2" "$1" > "$1/token.part"
    mv "$1/token.part" "$1/token"
}
token alertmanager operator
token prometheus viewer

word() { python -c 'import secrets; print(secrets.token_urlsafe(24), end="")'; }
for file in grafana/secret grafana-admin/password; do
    [ -s "$file" ] && continue
    word > "$file.part"
    mv "$file.part" "$file"
done

if ! [ -s graph/auth ]; then
    password=$(word)
    printf '%s' "$password" > graph/password
    printf 'neo4j/%s' "$password" > graph/auth.part
    mv graph/auth.part graph/auth
fi

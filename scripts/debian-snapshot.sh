#!/bin/sh
# usage: debian-snapshot.sh MOMENT [APT_FOLDER]
# Have apt take Debian's archive as it stood at MOMENT (20261101T000000Z); nothing is changed when it is empty.
# The base image's sources name the archive of snapshots in a comment above each mirror: that address is taken.
set -eu
moment=${1:-}
apt=${2:-/etc/apt}
[ -n "$moment" ] || exit 0
if ! echo "$moment" | grep -Eqx '[0-9]{8}T[0-9]{6}Z'; then
  echo "a snapshot is given as 20261101T000000Z, not as $moment" >&2
  exit 2
fi
sources=$apt/sources.list.d/debian.sources
awk -v moment="$moment" '
  /^# https?:.*\/archive\/[^\/]+\// { archive = $2; sub(/[^\/]+$/, moment, archive) }
  /^URIs:/ && archive { $0 = "URIs: " archive; archive = ""; changed++ }
  /^Types:/ { mirrors++ }
  { print }
  END { exit !(mirrors && changed == mirrors) }
' "$sources" > "$sources.new" || { echo "$sources does not name the archive of snapshots above each mirror" >&2; exit 1; }
mv "$sources.new" "$sources"
# The index of a day gone by is what was asked for.
echo 'Acquire::Check-Valid-Until "false";' > "$apt/apt.conf.d/99snapshot"

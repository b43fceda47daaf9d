#!/usr/bin/env bash
# scripts/install-peers.sh: installs, on Debian, the foreign mail programs that the interoperability and crash tests
# talk to. Needs root. May be run again at any time; does nothing when all are there. No daemon is started: a
# policy-rc.d forbids it during the installation, and the one that was there before is put back afterwards.
set -euo pipefail

packages=(swaks msmtp dovecot-core strace postfix curl)
policy=/usr/sbin/policy-rc.d

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "install-peers: needs root to install: ${missing[*]}" >&2
  exit 77
fi

saved=
if [ -e "$policy" ] || [ -L "$policy" ]; then
  saved=$(mktemp "$policy.saved.XXXXXX")
  mv "$policy" "$saved"
fi
restore_policy() {
  rm -f "$policy"
  if [ -n "$saved" ]; then mv "$saved" "$policy"; fi
}
trap restore_policy EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# "No configuration": the tests bring their own main.cf and never touch /etc/postfix.
debconf-set-selections <<'SELECTIONS'
postfix postfix/main_mailer_type select No configuration
postfix postfix/mailname string localhost
msmtp msmtp/apparmor boolean false
SELECTIONS
apt-get -q -y --no-install-recommends install "${missing[@]}"

#!/usr/bin/env bash
# scripts/install-peers.sh: installs, on Debian, the foreign mail programs that the interoperability and crash tests
# talk to. Needs root. May be run again at any time; does nothing when all are there. No daemon is started: a
# policy-rc.d forbids it during the installation, and the one that was there before is put back afterwards.
set -euo pipefail

packages=(swaks libnet-ssleay-perl msmtp dovecot-core strace postfix postfix-pcre postfix-cdb libsasl2-modules curl postgrey policyd-rate-limit
  postfix-policyd-spf-python)
packages+=(fail2ban pflogsumm logwatch)
packages+=(mariadb-server slapd postfix-ldap memcached)
packages+=(dovecot-lmtpd knot knot-dnsutils unbound opendkim opendkim-tools python3-spf python3-yaml python3-dkim)
packages+=(rspamd opendmarc)
# Debian lets only one mail server be installed: the others are unpacked where the tests lay them over the system for the
# process that they start (test/testbed/laid-over.ts).
packages+=(libdb5.3 libevent-2.1-7 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0)
unpacked=(exim4-daemon-light opensmtpd)
unpacked_into=/usr/local/lib/postern-peers
policy=/usr/sbin/policy-rc.d

# One at a time: two would save and restore each other's policy.
if [ "$(id -u)" = 0 ]; then
  exec 9>/run/lock/postern-install-peers
  flock 9
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
to_unpack=()
for package in "${unpacked[@]}"; do
  [ -d "$unpacked_into/$package" ] || to_unpack+=("$package")
done
if [ "${#missing[@]}" -eq 0 ] && [ "${#to_unpack[@]}" -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "install-peers: needs root to install: ${missing[*]} ${to_unpack[*]}" >&2
  exit 77
fi

# A run that was killed leaves our policy, recognizable by its mark, and perhaps the saved one.
saved=$policy.before-postern
mark='# set by install-peers.sh'
if [ -e "$policy" ] && ! grep -qF "$mark" "$policy"; then
  mv "$policy" "$saved"
fi
restore_policy() {
  rm -f "$policy"
  if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}
trap restore_policy EXIT
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update 9>&-
# "No configuration": the tests bring their own main.cf and never touch /etc/postfix.
debconf-set-selections <<'SELECTIONS'
postfix postfix/main_mailer_type select No configuration
postfix postfix/mailname string localhost
msmtp msmtp/apparmor boolean false
slapd slapd/no_configuration boolean true
opendmarc opendmarc/dbconfig-install boolean false
SELECTIONS
if [ "${#missing[@]}" -gt 0 ]; then
  apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "${missing[@]}" 9>&-
fi
# Their libraries stand among the packages above. A directory that is there is whole: it is renamed into place.
for package in ${to_unpack[@]+"${to_unpack[@]}"}; do
  fetched=$(mktemp -d)
  (cd "$fetched" && apt-get -q -o APT::Sandbox::User=root download "$package" 9>&-)
  dpkg -x "$fetched"/*.deb "$fetched/tree"
  mkdir -p "$unpacked_into"
  chmod 755 "$fetched/tree"
  mv "$fetched/tree" "$unpacked_into/$package"
  rm -rf "$fetched"
done

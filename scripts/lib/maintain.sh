# What installing, upgrading and removing mean on a machine, in plain sh. The package's maintainer
# scripts are made of this file (scripts/package), and scripts/install sources it.
#
# before_upgrade    notes which units there were; the files are replaced after it
# after_install     accounts, folders, units; a first start, or a restart of what runs
# before_remove     ends everything that stationd runs
# after_remove      takes away what stationd made outside of its folder
# purge             takes away database, keys and logs, and the workspace if it is empty
#
# A service that does not start fails none of them: the files are in place, and that is what a
# package manager has to know. Everything works in a chroot too, where nothing is started.

ENABLED="stationd.socket stationd-admin.socket stationd-privileged.socket stationd-probe.socket stationd.service"
SERVICES="stationd.service stationd-privileged.service stationd-probe.service"
UNIT_FOLDER=/usr/lib/systemd/system
UPGRADE_MARK=/run/stationd.upgrade
STATE=/var/lib/stationd
COPIES=/var/lib/stationd-shares

# Whether systemd runs here. In a chroot or while an image is built it does not.
booted() {
  [ -d /run/systemd/system ]
}

# Debian's way of saying "install, but start nothing" (exit code 101).
may_start() {
  [ -x /usr/sbin/policy-rc.d ] || return 0
  policy=0
  /usr/sbin/policy-rc.d stationd start || policy=$?
  [ "$policy" != 101 ]
}

before_upgrade() {
  : >"$UPGRADE_MARK"
  for unit in $ENABLED; do
    if [ -e "$UNIT_FOLDER/$unit" ]; then echo "$unit" >>"$UPGRADE_MARK"; fi
  done
}

after_install() {
  systemd-sysusers stationd.conf
  # It ends with an error also where it has done what it can, as without /proc in a chroot.
  systemd-tmpfiles --create stationd.conf || true
  for unit in $ENABLED; do
    # What was there before is as the administrator wants it.
    if ! grep -qsxF "$unit" "$UPGRADE_MARK"; then
      systemctl --quiet enable "$unit" || true
    fi
  done
  if booted; then
    systemctl daemon-reload
    if [ -e "$UPGRADE_MARK" ]; then
      restart_services
    elif may_start; then
      # The sockets come with it. One whose address is taken does not stop the others: stationd
      # answers on the admin socket, and says what is wrong.
      systemctl start stationd.service ||
        echo "stationd does not start; see: journalctl -u stationd.service" >&2
    fi
  fi
  rm -f "$UPGRADE_MARK"
}

# PID 1 keeps the sockets, so that no connection is refused, and the apps go on. What was stopped
# stays so.
restart_services() {
  # shellcheck disable=SC2086 # a list
  systemctl try-restart $SERVICES ||
    echo "stationd does not start again; see: journalctl -u stationd.service" >&2
}

before_remove() {
  if booted; then
    # First what could start it again.
    systemctl --quiet stop stationd.socket stationd-admin.socket stationd-control.socket \
      stationd-privileged.socket stationd-probe.socket stationd.service 2>/dev/null || true
    # Then the apps as well: without stationd nothing watches them, nobody can reach them, and a
    # removed package leaves no process behind. Then the shares: what is pending is brought to the
    # storage first, which may take minutes.
    systemctl --quiet stop stationd.slice 2>/dev/null || true
  fi
  # shellcheck disable=SC2086 # a list
  systemctl --quiet disable $ENABLED stationd-control.socket || true
}

after_remove() {
  # instance.root_access: root for the user, which nothing would take back any more. A file of this
  # name that somebody else has made stays.
  if grep -qs '^# Made by stationd' /etc/sudoers.d/stationd; then rm -f /etc/sudoers.d/stationd; fi
  # A warden that was killed may have left a mount in its folder: nothing of a share is removed.
  rm -rf --one-file-system /run/stationd
  rm -rf "$UPGRADE_MARK"
  # Mount points that take no files; one that something is mounted on, or that is not empty, stays.
  for folder in /mnt/stationd/*; do
    if [ -d "$folder" ] && ! mountpoint -q "$folder"; then
      chattr -i "$folder" 2>/dev/null || true
      rmdir "$folder" 2>/dev/null || true
    fi
  done
  rmdir /mnt/stationd 2>/dev/null || true
  if booted; then
    systemctl daemon-reload
    systemctl reset-failed 'stationd*' 2>/dev/null || true
  fi
}

# A closed list: a workspace, or whatever else somebody put here, is not ours. /etc/stationd is the
# administrator's. The accounts stay, so that nobody else gets their numbers, and with them files.
purge() {
  for name in logs keys keepers stationd.lock; do
    rm -rf "${STATE:?}/$name"
  done
  rm -f "$STATE"/abort.trace*
  # The database, its companions, and the copies made before a migration.
  rm -f "$STATE"/stationd.db*
  # Empty folders count as nothing only where there is nothing else: a git repository needs its own.
  if [ -d "$STATE" ] && [ -z "$(find "$STATE" -xdev ! -type d -print -quit)" ]; then
    find "$STATE" -xdev -depth -type d -empty -delete
  fi
  rmdir "$COPIES" 2>/dev/null || true
  if [ -d "$COPIES" ]; then
    echo "$COPIES stays: it holds local copies of shares, and what has not reached the storage"
  fi
  if [ -d "$STATE" ]; then
    echo "$STATE is not empty and stays: the files in it are the user's"
  fi
}

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh [-no-service] [-force]: installs Picket from this folder, or updates it. DESTDIR=DIR fills an image.
#   -no-service  neither units nor systemd: something else starts picketd (a Nomad system job)
#   -force       also on a kernel that `picket check` calls unfit, and over tables that this release can't take over
# A failure takes back what was done, last step first. A file under /etc that was edited is never written over:
# the new one lies beside it, as NAME.new.
set -eu
umask 022
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-} service=yes force='' now=''
journal='' done=''

say() {
	echo "install.sh: $*"
}

fail() {
	say "$*" >&2
	exit 1
}

for word in "$@"; do
	case $word in
	-no-service) service='' ;;
	-force) force=yes ;;
	*) fail "unknown option $word; usage: install.sh [-no-service] [-force]" ;;
	esac
done
if [ -z "$root" ]; then
	[ "$(id -u)" = 0 ] || fail "not root; fix: sudo ./install.sh, or DESTDIR=DIR"
	now=yes
elif [ ! -d "$root" ]; then
	fail "no folder $root; fix: mkdir -p $root"
fi

# A program of this folder, by the loader and the libraries of this folder: nothing is installed yet.
ours() {
	program=$here/root/opt/picket/$1
	shift
	set -- "$program" "$@"
	for libraries in "$here"/root/opt/picket/lib/*; do
		for loader in "$libraries"/ld-linux*; do
			"$loader" --library-path "$libraries" "$@"
		done
	done
}

sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

check_machine() {
	ours bin/picket version >/dev/null || fail "these programs don't run here: is it the tarball of this processor?"
	unfit=$(ours bin/picket check -no-color | grep -A1 -E '^fail +(kernel|btf|jit|bpffs)' || true)
	if [ "$unfit" ]; then
		echo "$unfit"
		[ "$force" ] || fail "this kernel is unfit, nothing was installed; -force installs all the same"
	fi
	[ -e /sys/fs/bpf/picket ] || return 0
	ours sbin/picketd -check-upgrade || [ "$force" ] ||
		fail "this release doesn't take over what is there, nothing was installed; -force installs all the same"
}

# What the journal has is undone from its end.
undo() {
	[ "$journal" ] || exit 1
	[ "$done" ] || sed '1!G;h;$!d' "$journal" | while read -r what path; do
		case $what in
		new) rm -f "$path" ;;
		old) mv -f "$path.picket-old" "$path" ;;
		dir) rmdir "$path" ;;
		esac
	done
	[ "$done" ] || say "failed: what was done is taken back" >&2
	rm -f "$journal"
}

parents() {
	case $1 in
	"$root" | / | .) return 0 ;;
	esac
	[ ! -d "$1" ] || return 0
	parents "$(dirname "$1")"
	mkdir "$1"
	echo "dir $1" >>"$journal"
}

# put MODE FROM TO: in one step for whoever opens TO meanwhile. Links are in the list alone: not everything that unpacks
# a tarball makes them (Nomad's artifacts).
put() {
	mode=$1
	shift
	parents "$(dirname "$2")"
	rm -f "$2.picket-new"
	if [ "$mode" = link ]; then
		ln -s "$1" "$2.picket-new"
	else
		cp "$1" "$2.picket-new"
		chmod "$mode" "$2.picket-new"
	fi
	if [ -e "$2" ] || [ -L "$2" ]; then
		cp -pP "$2" "$2.picket-old"
		echo "old $2" >>"$journal"
	else
		echo "new $2" >>"$journal"
	fi
	mv -f "$2.picket-new" "$2"
}

# The operator's hand was on it: it is neither what an earlier install.sh put there nor what this one brings.
is_edited() {
	[ -e "$root/$1" ] && ! grep -qs " $(sum "$root/$1") $1\$" "$root/opt/picket/files" "$here/files"
}

place() {
	how=$1 what=$2 path=$3 to=$root/$3 from=$here/root/$3
	if [ "$how" = link ]; then
		[ "$(readlink "$to")" != "$what" ] || return 0
		if [ -e "$to" ] || [ -L "$to" ]; then
			say "/$path is somebody else's: kept"
			return 0
		fi
		from=$what
	else
		case $path in etc/*) ! is_edited "$path" || { say "/$path was edited: kept, the new one is $path.new" && to=$to.new; } ;; esac
		[ ! -f "$to" ] || [ "$(sum "$to")" != "$what" ] || return 0
	fi
	put "$how" "$from" "$to"
}

# Below a /usr/local that can't be written there are no links: that is no failure.
skipped() {
	case $1 in
	etc/systemd/*) [ -z "$service" ] ;;
	usr/local/*) [ ! -w "$root/usr/local" ] && [ -e "$root/usr" ] ;;
	*) false ;;
	esac
}

place_all() {
	while read -r how what path; do
		skipped "$path" || place "$how" "$what" "$path"
	done <"$here/files"
}

# What an earlier version had and this one has not.
drop_old() {
	[ ! -f "$root/opt/picket/files" ] || while read -r how what path; do
		grep -q " $path\$" "$here/files" && continue
		[ "$how" != link ] && [ -f "$root/$path" ] && [ "$(sum "$root/$path")" != "$what" ] && continue
		rm -f "$root/$path"
		rmdir "$(dirname "$root/$path")" 2>/dev/null || true
	done <"$root/opt/picket/files"
	cp "$here/files" "$root/opt/picket/files"
}

finish() {
	done=yes
	while read -r what path; do
		[ "$what" != old ] || rm -f "$path.picket-old"
	done <"$journal"
}

prepare_machine() {
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers picket.conf
	elif ! grep -q ^picket: /etc/group; then
		groupadd -r picket 2>/dev/null || addgroup -S picket 2>/dev/null ||
			say "this system makes no group: members of one named picket would read picketd's socket"
	fi
	if command -v systemd-tmpfiles >/dev/null; then
		systemd-tmpfiles --create picket.conf
	else
		mkdir -p /run/picket /var/lib/picket /etc/picket/policies.d
		chmod 751 /run/picket
		chmod 700 /var/lib/picket
	fi
}

start_service() {
	systemctl daemon-reload
	systemctl -q enable picketd
	systemctl restart picketd
}

[ -z "$now" ] || check_machine
journal=$(mktemp)
trap undo EXIT
place_all
finish
[ -z "$now" ] || prepare_machine
if [ "$now" ] && [ "$service" ] && [ -d /run/systemd/system ]; then
	start_service
elif [ "$now" ] && [ "$service" ]; then
	say "no systemd here: have your init start /opt/picket/sbin/picketd before Nomad"
fi
drop_old
say "$(basename "$here") is installed; picket check says what is missing, /opt/picket/uninstall.sh takes it out"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# uninstall.sh: takes out what install.sh put there, last file first (DESTDIR=DIR: of an image). Files that were
# edited stay, as do records, policies and the fence: `picket sweep -all -apply` before it takes those.
set -eu
export LC_ALL=C
root=${DESTDIR:-}
list=$root/opt/picket/files

[ -f "$list" ] || {
	echo "uninstall.sh: nothing is installed: no $list" >&2
	exit 1
}
if [ -z "$root" ] && [ -d /run/systemd/system ] && [ -e /etc/systemd/system/picketd.service ]; then
	systemctl -q disable --now picketd
fi

is_ours() {
	if [ "$1" = link ]; then
		[ "$(readlink "$root/$3")" = "$2" ]
	else
		[ -f "$root/$3" ] && [ "$(sha256sum <"$root/$3" | cut -d' ' -f1)" = "$2" ]
	fi
}

# This script and its list are in it too: the shell has read all of it by then.
remove_all() {
	sed '1!G;h;$!d' "$list" | while read -r how what path; do
		if is_ours "$how" "$what" "$path"; then
			rm -f "$root/$path"
			rmdir "$(dirname "$root/$path")" 2>/dev/null || true
		elif [ -e "$root/$path" ]; then
			echo "uninstall.sh: /$path was edited: kept"
		fi
	done
	rm -f "$list"
	find "$root/opt/picket" -depth -type d -exec rmdir {} + 2>/dev/null || true
	[ "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	exit 0
}
remove_all

/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the plugin's file, and whether plugin, picketd and this program are of one release. */
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "check.h"
#include "fs.h"
#include "own.h"

#define PLUGIN_MAX (64u << 20)
#define SAYS	   "CNI picket plugin v" /* the line that the plugin answers Nomad's fingerprint */

/* Reads the version out of the plugin's file, where it stands as text: the plugin is never run. */
static void read_version(struct check *c)
{
	own_mem char *text = NULL;
	const char *at;
	size_t len, n;

	if (pk_fs_read(c->plugin, PLUGIN_MAX, &text, &len, NULL) < 0)
		return;
	at = memmem(text, len, SAYS, strlen(SAYS));
	if (!at)
		return;
	at += strlen(SAYS);
	n = strspn(at, "0123456789abcdefghijklmnopqrstuvwxyz.+~-");
	if (n < sizeof(c->plugin_version))
		memcpy(c->plugin_version, at, n);
}

void check_version(struct check *c, const char *what, const char *version, const char *fix)
{
	if (*version && strcmp(version, PK_VERSION) != 0)
		check_line(c, CHECK_WARN, "version", fix, "%s is %s, this picket %s", what, version,
			   PK_VERSION);
}

void check_plugin(struct check *c)
{
	attach_find_plugin(c->cli->paths.root, c->plugin);
	if (!*c->plugin) {
		check_line(c, CHECK_FAIL, "plugin", "copy picket-cni to /opt/cni/bin/picket",
			   "no plugin \"picket\" in /opt/cni/bin, /usr/libexec/cni, /usr/lib/cni");
		return;
	}
	read_version(c);
	if (!*c->plugin_version) {
		check_line(c, CHECK_FAIL, "plugin", "copy picket-cni to it",
			   "%s is no Picket plugin", c->plugin);
		return;
	}
	check_line(c, CHECK_OK, "plugin", NULL, "%s, version %s", c->plugin, c->plugin_version);
	check_version(c, "the plugin", c->plugin_version,
		      "install plugin, picketd and CLI of one release");
}

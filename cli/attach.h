/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by the files of picket attach and picket detach, which act as a small CNI runtime: the
 * plugin makes and undoes the endpoint. A netns has its name, and the plugin's configuration is
 * kept for detach.
 */
#include "cli.h"
#include "label.h"
#include "own.h"

#define ATTACH_IFNAME "eth0"

struct attach {
	const struct cli *cli;
	const char *name; /* the container id and the netns' name */
	struct pk_label_set *declared;
	char plugin[PK_PATH_ROOM];
	char netns[PK_PATH_ROOM];
	/*
	 * Where the configuration is kept: at `begun` from before anything is made until all is
	 * undone, at `kept` while the endpoint is whole.
	 */
	char begun[PK_PATH_ROOM * 2], kept[PK_PATH_ROOM * 2];
	int lock;
};

/* Makes the label set of -tenant and -label. */
int attach_declared(const struct cli *cli, struct pk_label_set **out, struct pk_err *err);
/* Makes the network's configuration, with -mode, -mtu, -publish and -address in it. */
int attach_conf(const struct cli *cli, struct pk_str *out, struct pk_err *err);
/*
 * Makes a configuration with which DEL finds an endpoint whose own configuration was lost at a
 * reboot.
 */
void attach_conf_of_record(const struct cli *cli, const char *network, struct pk_str *out);
/*
 * Finds the plugin's file: that of -plugin, else the one in a directory that runtimes look in; ""
 * where there is none. root is put in front of the directories.
 */
int attach_plugin(const struct cli *cli, char path[PK_PATH_ROOM], struct pk_err *err);
void attach_find_plugin(const char *root, char path[PK_PATH_ROOM]);
/* Runs ADD or DEL. An error is the plugin's own, with its fix. */
int attach_run(const struct attach *a, const char *verb, const char *conf, struct pk_err *err);

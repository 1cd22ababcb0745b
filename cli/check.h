/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of `picket check`. Each adds its findings as lines. */
#include "cli.h"
#include "cni_conf.h"
#include "conflist.h"

enum check_state { CHECK_OK, CHECK_WARN, CHECK_FAIL };

/* One file of CNI's configuration directory that Nomad can read. */
struct check_network {
	char path[PK_PATH_ROOM + 256];
	struct pk_conflist list;      /* owned */
	const struct pk_json *plugin; /* the plugin of type picket; NULL: another's network */
	bool taken;		      /* the plugin accepts it at ADD */
	struct cni_conf conf;	      /* owned; valid where `taken` */
};

struct check {
	struct cli *cli;
	struct pk_jw w;
	enum check_state worst;
	struct check_network *networks; /* owned; in Nomad's order */
	size_t n_networks;
	struct pk_settings settings; /* node.json's, owned; the defaults where there is none */
	char plugin[PK_PATH_ROOM];   /* the plugin's file, "" = none was found */
	char plugin_version[32];     /* that file's version; "" = unknown */
};
void check_line(struct check *check, enum check_state state, const char *what, const char *fix,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* In check_conflist.c. */
void check_conflists(struct check *check); /* reads them all; the other parts need it done */
void check_conflists_done(struct check *check);
void check_status(struct check *check); /* the plugin's own word on each of our networks */
/* In check_net.c: the machine's own networks, IPv6 and name servers against the conflists. */
void check_net(struct check *check);
/* In check_uplink.c: the way out, the ports that masquerading uses, who reaches published ones. */
void check_uplinks(struct check *check);
/* In check_firewall.c: chains of the node that stand in the way of what policy allows. */
void check_firewall(struct check *check);
/* In check_overlay.c: the overlay's device; nothing where there is no overlay. */
void check_overlay(struct check *check);
/* In cmd_sweep.c: what endpoints that are gone left behind. */
void check_leftovers(struct check *check);
/* In check_plugin.c. */
void check_plugin(struct check *check); /* is its file there, and of which version */
/* Adds a warning where a version isn't the CLI's own. */
void check_version(struct check *check, const char *what, const char *version, const char *fix);
/* In check_node.c. */
void check_hooks(struct check *check);	  /* is the guard the first at each live device */
void check_settings(struct check *check); /* does the conflist say what picketd made effective */
/* In check_nomad.c. */
void check_nomad(struct check *check); /* does Nomad know the network, and the plugin */

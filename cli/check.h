/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* One line of `picket check`. */
#include "cli.h"

enum check_state { CHECK_OK, CHECK_WARN, CHECK_FAIL };
struct check {
	struct cli *cli;
	struct pk_jw w;
	enum check_state worst;
};
void check_line(struct check *check, enum check_state state, const char *what, const char *fix,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* check_node.c, check_nomad.c */
void check_hooks(struct check *check);	  /* is the guard the first at each live device */
void check_settings(struct check *check); /* does the conflist say what picketd made effective */
void check_nomad(struct check *check);	  /* does Nomad know the network */
/* Calls each() for every *.conflist, *.conf, *.json of CNI's configuration directory. */
void check_each_conflist(struct check *check,
			 void (*each)(struct check *check, const char *path, void *arg), void *arg);
bool check_names_picket(const struct pk_json *conflist); /* one of its plugins is ours */

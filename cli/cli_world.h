/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the world that policy commands ask about: from files, or from the live node by picketd. */
#include "scenario.h"
#include "cli.h"
#include "ask_kernel.h"
#include "plan.h"

/*
 * Fetches GET /v1/world as text, with other nodes' endpoints; fits pk_reach_options.live, with the
 * cli as arg. The caller frees *text.
 */
int cli_world_text(void *cli, char **text, size_t *len, struct pk_err *err);

/*
 * What is asked about: the file of -world, else the live node. It is read once; any number of
 * scenarios is made of it.
 */
struct cli_world {
	const char *path; /* NULL: the live node */
	char *text;
	size_t len;
	/* the file's notes were printed; the live documents' are picket policy list's business */
	bool said;
};
int cli_world_read(const struct cli *cli, struct cli_world *world, struct pk_err *err);
int cli_world_case(struct cli_world *world, struct pk_scenario **out,
		   struct pk_err *err); /* not ready */
void cli_world_done(struct cli_world *world);
#define own_world PK_OWN(cli_world_done) struct cli_world
/* Reads the world and makes a scenario of it. */
int cli_world(const struct cli *cli, struct pk_scenario **out, struct pk_err *err);

/* Takes -as SOURCE for the files that are added from now on. */
int cli_source(const struct cli *cli, struct pk_scenario *c, struct pk_err *err);
/* Prints documents' notes. What err (which may be NULL) says already isn't repeated in it. */
void cli_notes(const struct pk_str *said, struct pk_err *err);
/* Writes "acme/api/web 7f3a21c4": the world's name with 8 digits of the container id; escaped. */
void cli_endpoint_name(const char *key, struct pk_str *out);

/* Opens the node's own tables; -ENOENT: nothing is loaded. Close live before bpf. */
int cli_live_open(const struct cli *cli, struct pk_bpf **bpf, struct pk_live **live,
		  struct pk_err *err);
/* The node's live connections. */
struct cli_flows {
	struct pk_plan_flow *list;
	size_t n, room;
};
int cli_flows_live(const struct pk_live *live, struct cli_flows *out, struct pk_err *err);
void cli_flows_unique(struct cli_flows *flows); /* keeps one of several equal ones */
void cli_flows_done(struct cli_flows *flows);

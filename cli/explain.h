/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One connection, and what the policy documents and the tables say of it: cmd_policy_explain.c
 * asks, explain_show.c prints.
 */
#include "cli.h"
#include "cli_world.h"

#define EXPLAIN_MATCHES_MAX 64

struct question {
	struct pk_scenario *c;
	const char *names[2]; /* from, to */
	struct pk_connection conn;
	struct pk_connection_verdict reference, compiled;
	/* The node's tables, unless files take its place. */
	bool wants_live, has_live;
	struct pk_connection_verdict live;
	struct pk_err no_live; /* why there are no live tables */
	/* what the connection would need that isn't built: it is dropped */
	const struct pk_lack *lack;
};

/* Makes the question of one end of the connection, for an engine. */
struct pk_question explain_side(const struct question *q, int dir);
bool explain_same(const struct pk_connection_verdict *a, const struct pk_connection_verdict *b);
bool explain_agree(const struct question *q); /* whether documents and tables agree */
void explain_text(const struct cli *cli, const struct question *q);
void explain_json(const struct cli *cli, const struct question *q);

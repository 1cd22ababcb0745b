/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One connection, about which all are asked who can answer: cmd_policy_explain.c asks,
 * explain_show.c shows.
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
	struct pk_err no_live;	    /* why there are no live tables */
	const struct pk_lack *lack; /* what this release lacks for it: dropped in any case */
};

/* Makes the question of one end of the connection, for an engine. */
struct pk_question explain_side(const struct question *q, int dir);
bool explain_same(const struct pk_connection_verdict *a, const struct pk_connection_verdict *b);
bool explain_agree(const struct question *q); /* whether all who were asked agree */
void explain_text(const struct cli *cli, const struct question *q);
void explain_json(const struct cli *cli, const struct question *q);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Policy documents in Consul's KV, one source of them: <prefix>/v1/<cluster>/policies/operator/NAME
 * or …/tenants/NAMESPACE/NAME, by a blocking query on that prefix. A key that is new or changed
 * counts at once; one that is gone only after a second, consistent answer says so too (and, where
 * nothing at all is left, after the token has shown that it is still one), and where it isn't one
 * of too many (absence.h). Nothing is taken of an answer whose history is older than what was
 * believed before: the store's index, or the number in …/operator/.generation, went back. A higher
 * number says that Consul is as it is meant to be, whatever it lacks. Anything else changes
 * nothing; nor does an answer that is over the budget of its tenant.
 */
#include "conf.h"
#include "docs.h"
#include "http.h"
#include "loop.h"
#include "source.h"

struct pk_consul;

struct pk_consul_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config; /* outlives it */
	struct pk_docs *docs;
	const char *of; /* PK_SOURCE_OPERATOR, or PK_SOURCE_TENANT and a namespace; copied */
	pk_loop_fn *changed;
	void *arg;
	/* For consul_set.c, which sees all of them: see pk_consul_doubts; a higher generation. */
	pk_loop_fn *confirmed, *meant;
	void *set;
};

struct pk_consul *pk_consul_new(const struct pk_consul_args *args);
void pk_consul_free(struct pk_consul *consul);
const struct pk_source *pk_consul_source(const struct pk_consul *consul);
const char *pk_consul_of(const struct pk_consul *consul);
/*
 * How many documents its answer lacks, confirmed, whose absence waits for a word; and the word: why
 * they are held, because others lack some too; NULL: absence.h decides on this source alone.
 */
size_t pk_consul_doubts(struct pk_consul *consul);
struct pk_consul_word {
	const char *held;
	bool meant; /* whatever it lacks is gone */
};
void pk_consul_judged(struct pk_consul *consul, const struct pk_consul_word *word);
/* The operator's word: what it says now counts. False: it isn't behind. */
bool pk_consul_release(struct pk_consul *consul);
/* Why what its tenant wrote last isn't taken: over its budget; NULL: it is. */
const char *pk_consul_over(const struct pk_consul *consul);
/* It asks now and then from its next question on, and keeps no connection open meanwhile. */
void pk_consul_poll(struct pk_consul *consul, bool polls);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches one source of policy documents in Consul's KV,
 * <prefix>/v1/<cluster>/policies/operator/NAME or …/tenants/NAMESPACE/NAME, by a blocking query.
 * What is new or changed counts at once. A document that is gone counts as gone only when a second,
 * consistent answer lacks it too, and where not too many are gone (absence.h); where all are gone
 * the token must also have shown that it is still one. An answer is ignored while its history is
 * older than the one believed before: the store's index, or the number in …/operator/.generation,
 * fell. A higher number there says that Consul is as it is meant to be, whatever is missing. Errors
 * change nothing; nor does an answer over its tenant's budget.
 */
#include "docs.h"
#include "loop.h"
#include "source.h"
#include "store.h"

struct pk_consul;

struct pk_consul_args {
	struct pk_loop *loop;
	struct pk_store *store; /* outlives it */
	struct pk_docs *docs;
	const char *of; /* "consul/operator", "consul/tenant/acme"; copied */
	pk_loop_fn *changed;
	void *arg;
	/*
	 * For consul_set.c, which sees all sources: pk_consul_doubts may say something else; the
	 * generation was raised.
	 */
	pk_loop_fn *confirmed, *meant;
	void *set;
};

struct pk_consul *pk_consul_new(const struct pk_consul_args *args);
void pk_consul_free(struct pk_consul *consul);
const struct pk_source *pk_consul_source(const struct pk_consul *consul);
const char *pk_consul_of(const struct pk_consul *consul);
/*
 * Returns how many documents the answer lacks, as confirmed, whose absence waits for a judgement.
 * pk_consul_judged gives it: a static text on why they are held since other sources lack some too,
 * or NULL where absence.h decides for this source alone.
 */
size_t pk_consul_doubts(struct pk_consul *consul);
/* Returns whether an answer is doubted and its confirmation is under way. */
bool pk_consul_is_unsure(const struct pk_consul *consul);
/* Returns whether its last answer is still being read, in turns. */
bool pk_consul_is_reading(const struct pk_consul *consul);
struct pk_consul_word {
	const char *held;
	bool meant; /* what the source lacks is gone on purpose */
};
void pk_consul_judged(struct pk_consul *consul, const struct pk_consul_word *word);
/*
 * Makes what the source says count from now on, as the operator asked for. Returns false where it
 * isn't behind.
 */
bool pk_consul_release(struct pk_consul *consul);
/* Returns why the tenant's last change isn't taken (it is over his budget); NULL: it is. */
const char *pk_consul_over(const struct pk_consul *consul);
/*
 * Says by a static text why Consul doesn't answer now. The question that waits goes on; where none
 * does, as while an answer is read, it is noted with the next one.
 */
void pk_consul_unserved(struct pk_consul *consul, const char *why);
/* Says that Consul answers again; anew: asks again at once, by the token of now. */
void pk_consul_served(struct pk_consul *consul, bool anew);
/* With polls, asks now and then from its next question on, and keeps no connection open. */
void pk_consul_poll(struct pk_consul *consul, bool polls);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches one source of policy documents in Consul's KV:
 * <prefix>/v1/<cluster>/policies/operator/NAME or …/tenants/NAMESPACE/NAME, by a blocking query on
 * that prefix.
 *
 * A key that is new or changed counts at once. One that is gone counts only when a second,
 * consistent answer says so too (and, where nothing at all is left, after the token has shown that
 * it still is one), and where not too many are gone (absence.h).
 *
 * An answer is not taken whose history is older than what was believed before: the store's index,
 * or the number in …/operator/.generation, went back. A higher number says that Consul is as it is
 * meant to be, whatever it lacks. Errors change nothing; nor does an answer over the budget of its
 * tenant.
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
	 * For consul_set.c, which sees all of them: the first tells of pk_consul_doubts, the second
	 * of a higher generation.
	 */
	pk_loop_fn *confirmed, *meant;
	void *set;
};

struct pk_consul *pk_consul_new(const struct pk_consul_args *args);
void pk_consul_free(struct pk_consul *consul);
const struct pk_source *pk_consul_source(const struct pk_consul *consul);
const char *pk_consul_of(const struct pk_consul *consul);
/*
 * Returns how many documents its answer lacks, confirmed, whose absence waits for a judgement.
 * pk_consul_judged is that judgement: why they are held, because others lack some too, or NULL
 * where absence.h decides on this source alone.
 */
size_t pk_consul_doubts(struct pk_consul *consul);
/* Returns whether an answer is doubted, and what confirms it is being asked for. */
bool pk_consul_is_unsure(const struct pk_consul *consul);
struct pk_consul_word {
	const char *held;
	bool meant; /* whatever the source lacks is gone on purpose */
};
void pk_consul_judged(struct pk_consul *consul, const struct pk_consul_word *word);
/*
 * Passes on the operator's word that what it says counts from now on. Returns false where it isn't
 * behind.
 */
bool pk_consul_release(struct pk_consul *consul);
/* Returns why what its tenant wrote last isn't taken (it is over its budget), or NULL. */
const char *pk_consul_over(const struct pk_consul *consul);
/* Says why nobody answers; the question that waits goes on waiting. */
void pk_consul_unserved(struct pk_consul *consul, const char *why);
/* Says that it will be answered again; anew: it is asked once more, by the token of now. */
void pk_consul_served(struct pk_consul *consul, bool anew);
/* From its next question on it asks now and then, and keeps no connection open meanwhile. */
void pk_consul_poll(struct pk_consul *consul, bool polls);

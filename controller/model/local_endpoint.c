/* SPDX-License-Identifier: Apache-2.0 */
#include "local_endpoint.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "label.h"
#include "own.h"

const char *pk_confirmed_name(enum pk_confirmed c)
{
	static const char *const names[] = { "no", "yes", "contradicted", "believed", "declared" };

	return names[c];
}

void pk_local_endpoint_free(struct pk_local_endpoint *m)
{
	if (!m)
		return;
	free(m->key);
	free(m->container_id);
	free(m->ifname);
	free(m->network);
	free(m->netns);
	free(m->tenant_name);
	free(m->job);
	free(m->group);
	free(m->mappings);
	free(m->search);
	pk_label_set_free(m->declared);
	if (m->facts)
		pk_alloc_done(m->facts);
	free(m->facts);
	free(m);
}

static bool agrees(const char *claim, const char *fact)
{
	return !claim || strcmp(claim, fact) == 0; /* what wasn't claimed is filled in */
}

/*
 * Returns whose word the claims are. What the ADD couldn't tell stays open: a later version of the
 * agent says nothing of that ADD.
 */
static enum pk_args_word claims_of(const struct pk_local_endpoint *m,
				   const struct pk_settings *settings)
{
	if (pk_settings_args_word(settings) == PK_ARGS_OF_AUTHOR)
		return PK_ARGS_OF_AUTHOR;
	return m->unproven ? PK_ARGS_UNKNOWN : PK_ARGS_BELIEVED;
}

void pk_local_endpoint_judge(struct pk_local_endpoint *m, const struct pk_settings *settings)
{
	m->claims = claims_of(m, settings);
	if (m->declared) {
		m->claims = PK_ARGS_BELIEVED;
		m->confirmed = PK_DECLARED;
		return;
	}
	if (m->claims != PK_ARGS_BELIEVED) {
		m->confirmed = m->facts ? PK_CONFIRMED : PK_UNCONFIRMED;
		return;
	}
	if (!settings->has_nomad) {
		m->confirmed = PK_BELIEVED;
		return;
	}
	m->confirmed = PK_UNCONFIRMED;
	if (!m->facts)
		return;
	m->confirmed = agrees(m->tenant_name, m->facts->tenant_name) &&
				       agrees(m->job, m->facts->job_id) &&
				       agrees(m->group, m->facts->group)
			       ? PK_CONFIRMED
			       : PK_CONTRADICTED;
}

static bool has_facts(const struct pk_local_endpoint *m)
{
	return m->confirmed == PK_CONFIRMED || m->confirmed == PK_CONTRADICTED;
}

/* Returns whether its labels count as Nomad gives them. */
static bool has_labels(const struct pk_local_endpoint *m)
{
	return has_facts(m) && !m->facts->labels_refused;
}

bool pk_local_endpoint_quarantined(const struct pk_local_endpoint *m)
{
	if (m->claims != PK_ARGS_BELIEVED)
		return !m->facts;
	/* A namespace that CNI_ARGS lacked stays lacking: they are how Nomad's client names it. */
	return !m->tenant_name || (has_facts(m) && !agrees(m->tenant_name, m->facts->tenant_name));
}

static void say_unproven(const struct pk_local_endpoint *m, struct pk_err *err)
{
	if (m->claims == PK_ARGS_OF_AUTHOR) {
		pk_fail(err, 0,
			"Nomad's agent is older than 1.9.4: its CNI_ARGS may be its job's "
			"author's, and Nomad's record of its allocation has not come yet");
		pk_fix(err, 0,
		       "see that Nomad answers picketd (picket status); from Nomad 1.9.4 on "
		       "nothing waits for that");
		return;
	}
	pk_fail(err, 0,
		"the version of Nomad's agent wasn't known at its ADD: its CNI_ARGS are not "
		"believed, and Nomad's record of its allocation has not come yet");
	pk_fix(err, 0, "see that Nomad answers picketd (picket status)");
}

bool pk_local_endpoint_quarantine(const struct pk_local_endpoint *m, struct pk_err *err)
{
	*err = (struct pk_err){ 0 };
	if (!pk_local_endpoint_quarantined(m))
		return false;
	if (m->claims != PK_ARGS_BELIEVED) {
		say_unproven(m, err);
		return true;
	}
	if (m->tenant_name) {
		pk_fail(err, 0,
			"its CNI_ARGS say namespace %.128s, Nomad says that its allocation is of "
			"%.128s",
			m->tenant_name, m->facts->tenant_name);
		pk_fix(err, 0,
		       "its job's author set NOMAD_NAMESPACE in the network's args: take it out "
		       "and start the allocation anew");
		return true;
	}
	if (m->declared) {
		pk_fail(err, 0, "picket attach was given no -tenant for it");
		pk_fix(err, 0,
		       "picket detach it, and attach it with -tenant; an operator's document opens "
		       "paths to init");
		return true;
	}
	pk_fail(err, 0,
		"its CNI_ARGS have no NOMAD_NAMESPACE: Nomad did not start it, or is older than "
		"1.9.4");
	pk_fix(err, 0,
	       "start it anew by a Nomad of 1.9.4 or later; without one give the plugin "
	       "NOMAD_NAMESPACE; an operator's document opens paths to init");
	return true;
}

const char *pk_local_endpoint_namespace(const struct pk_local_endpoint *m)
{
	if (pk_local_endpoint_quarantined(m))
		return NULL;
	return m->claims == PK_ARGS_BELIEVED ? m->tenant_name : m->facts->tenant_name;
}

/* Returns whether job and group count as the ADD was told them. */
static bool is_believed(const struct pk_local_endpoint *m)
{
	return m->confirmed == PK_BELIEVED || m->confirmed == PK_DECLARED;
}

const char *pk_local_endpoint_job(const struct pk_local_endpoint *m)
{
	if (pk_local_endpoint_quarantined(m))
		return NULL;
	if (has_facts(m))
		return m->facts->job;
	return is_believed(m) ? m->job : NULL;
}

const char *pk_local_endpoint_group(const struct pk_local_endpoint *m)
{
	if (pk_local_endpoint_quarantined(m))
		return NULL;
	if (has_facts(m))
		return m->facts->group;
	return is_believed(m) ? m->group : NULL;
}

const char *pk_local_endpoint_labels_refused(const struct pk_local_endpoint *m)
{
	return has_facts(m) ? m->facts->labels_refused : NULL;
}

bool pk_local_endpoint_masqueraded(const struct pk_local_endpoint *ep,
				   const struct pk_masquerade *m, bool v6)
{
	if (m->given)
		return v6 ? m->ipv6 : m->ipv4;
	return v6 ? ep->masquerade6 : ep->masquerade;
}

void pk_local_endpoint_name(const struct pk_local_endpoint *m, struct pk_str *out)
{
	pk_str_addf(out, "%s/%s/%s", pk_local_endpoint_namespace(m) ?: "?",
		    pk_local_endpoint_job(m) ?: "?", pk_local_endpoint_group(m) ?: "?");
}

/* Adds a label of the operator's; one that isn't known yet is unknown, not absent. */
static void add_or_unknown(struct pk_label_set *set, const char *key, const char *value)
{
	if (value && *value)
		pk_label_set_add(set, key, value);
	else
		pk_label_set_add_unknown(set, key);
}

static void add_facts(struct pk_label_set *set, const struct pk_alloc *facts)
{
	for (size_t i = 0; i < facts->n_meta; i++) {
		own_str key = { 0 };

		if (strcmp(facts->meta[i].key, PK_META_LIMITS) == 0)
			continue;
		pk_str_addf(&key, "meta:%s", facts->meta[i].key);
		if (facts->meta[i].unknown)
			pk_label_set_add_unknown(set, key.text);
		else
			pk_label_set_add(set, key.text, facts->meta[i].value);
	}
	for (size_t i = 0; i < facts->n_services; i++)
		pk_label_set_add(set, "consul:service", facts->services[i]);
	if (facts->services_unknown)
		pk_label_set_add_unknown(set, "consul:service");
}

static struct pk_label_set *from_facts(const struct pk_local_endpoint *m,
				       const struct pk_settings *s)
{
	struct pk_label_set *set = pk_label_set_new();

	pk_label_set_add(set, "nomad:namespace", pk_local_endpoint_namespace(m));
	pk_label_set_add(set, "nomad:job", m->facts->job);
	pk_label_set_add(set, "nomad:group", m->facts->group);
	add_or_unknown(set, "nomad:region", *m->facts->region ? m->facts->region : s->region);
	add_or_unknown(set, "nomad:node", s->node);
	add_or_unknown(set, "nomad:nodepool", s->node_pool);
	add_or_unknown(set, "nomad:datacenter", s->datacenter);
	add_facts(set, m->facts);
	if (pk_label_set_finish(set, NULL) == 0)
		return set;
	pk_label_set_free(set);
	return NULL;
}

/*
 * Makes labels of the claims, or of what was declared. The region that ADD was told is the
 * operator's word on this endpoint.
 */
static struct pk_label_set *from_claims(const struct pk_local_endpoint *m,
					const struct pk_settings *s, const struct pk_claims *claims)
{
	struct pk_settings own = *s;

	if (*m->region)
		strcpy(own.region, m->region);
	return m->declared ? pk_label_set_from_declared(m->declared, &own)
			   : pk_label_set_from_claims(claims, &own);
}

static struct pk_label_set *labels_of(const struct pk_local_endpoint *m,
				      const struct pk_settings *s)
{
	const struct pk_claims claims = { .tenant_name = pk_local_endpoint_namespace(m),
					  .job = m->job,
					  .group = m->group,
					  .believed = m->confirmed == PK_BELIEVED };
	struct pk_label_set *set = NULL;

	if (pk_local_endpoint_quarantined(m))
		return pk_label_set_init();
	if (has_labels(m))
		set = from_facts(m, s);
	/*
	 * Labels that can't be used (a meta key that is no key, more than an alloc may bring) leave
	 * the endpoint at its base.
	 */
	return set ? set : from_claims(m, s, &claims);
}

struct pk_world_endpoint *pk_local_endpoint_world(const struct pk_local_endpoint *m,
						  const struct pk_settings *s)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(m->key);

	ep->labels = labels_of(m, s);
	ep->local = true;
	for (size_t i = 0; i < m->n_addresses; i++)
		pk_world_endpoint_add_address(ep, &m->addresses[i]);
	if (pk_local_endpoint_quarantined(m))
		return ep;
	for (size_t i = 0; i < m->n_mappings; i++)
		pk_world_endpoint_add_published(ep, m->mappings[i].proto, m->mappings[i].own);
	if (!has_labels(m))
		return ep;
	for (size_t i = 0; i < m->facts->n_ports; i++)
		pk_world_endpoint_add_port(ep, m->facts->ports[i].label, PK_PROTO_ANY,
					   m->facts->ports[i].own);
	for (size_t i = 0; i < m->facts->n_checks; i++)
		pk_world_endpoint_add_check(ep, IPPROTO_TCP, m->facts->checks[i]);
	return ep;
}

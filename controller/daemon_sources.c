/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts and ends the sources: files, Nomad, Consul, other nodes; and where flows and metrics go.
 */
#include "daemon_private.h"

#include <stdio.h>
#include <string.h>

#include "api.h"
#include "docsource.h"
#include "leader.h"
#include "log.h"
#include "store_vars.h"
#include "token_watch.h"

static void on_documents(void *arg)
{
	struct pk_daemon *d = arg;

	pk_apply_documents(d->parts.apply);
}

static void on_allocs(void *arg, struct pk_allocs *allocs)
{
	struct pk_daemon *d = arg;

	if (pk_model_allocs(d->parts.model, allocs))
		pk_apply_soon(d->parts.apply);
}

/*
 * Takes the node's own labels, which are part of every endpoint's set from now on, as the
 * operator's word.
 */
static void on_node(void *arg, const struct pk_nomad_node *node)
{
	struct pk_daemon *d = arg;
	struct pk_settings *s = &d->config.settings;

	snprintf(d->nomad_id, sizeof(d->nomad_id), "%s", node->id);
	if (d->store && pk_config_is_vars(&d->config))
		pk_store_vars_node(d->store, node->id);
	if (strcmp(s->node, node->name) == 0 && strcmp(s->datacenter, node->datacenter) == 0 &&
	    strcmp(s->node_pool, node->pool) == 0 && strcmp(s->nomad_version, node->version) == 0)
		return;
	snprintf(s->node, sizeof(s->node), "%s", node->name);
	snprintf(s->datacenter, sizeof(s->datacenter), "%s", node->datacenter);
	snprintf(s->node_pool, sizeof(s->node_pool), "%s", node->pool);
	snprintf(s->nomad_version, sizeof(s->nomad_version), "%s", node->version);
	pk_model_settings(d->parts.model, s);
	pk_apply_settings(d->parts.apply);
}

struct release {
	const struct pk_daemon *d;
	pk_release_fn *fn;
	void *arg;
};

static void on_released(void *arg, const struct pk_doc_entry *e)
{
	const struct release *r = arg;

	r->fn(r->arg, e);
}

static bool is_deleted(void *arg, const struct pk_doc_entry *e)
{
	const struct release *r = arg;
	const struct pk_source *s = pk_files_source(r->d->parts.files);

	return strcmp(e->source, PK_SOURCE_FILE) == 0 && s->state == PK_SOURCE_OK &&
	       !pk_files_has(r->d->parts.files, e->path);
}

bool daemon_release(void *arg, const char *what, pk_release_fn *fn, void *fn_arg)
{
	struct pk_daemon *d = arg;
	struct release release = { d, fn, fn_arg };
	const struct pk_docs_meant meant = {
		.what = what, .gone = is_deleted, .told = on_released, .arg = &release
	};
	struct pk_docs *docs = d->parts.docs;
	bool behind = pk_source_is_shared(what) && d->parts.consul &&
		      pk_consul_set_release(d->parts.consul, what);
	bool services = strcmp(what, "services") == 0 && pk_services_release(d->parts.services);
	bool others = d->parts.cluster && strcmp(what, d->store->ops->origin) == 0 &&
		      pk_cluster_release(d->parts.cluster);
	size_t n;

	n = pk_docs_release(docs, &meant);
	log_info("op=release what=\"%s\" documents=%zu", what, n);
	if (n)
		on_documents(d);
	return n || behind || others || services;
}

/*
 * Tells all that ask the store why nobody answers there (why is NULL: somebody does again). anew:
 * questions that wait were asked by a token that isn't known any more, and are asked once more.
 */
static void tell_store(struct pk_daemon *d, const char *why, bool anew)
{
	if (!why && anew && d->store->ops->renew)
		d->store->ops->renew(d->store);
	if (d->parts.consul && why)
		pk_consul_set_unserved(d->parts.consul, why);
	else if (d->parts.consul)
		pk_consul_set_served(d->parts.consul, anew);
	if (d->parts.cluster && why)
		pk_cluster_unserved(d->parts.cluster, why);
	else if (d->parts.cluster)
		pk_cluster_served(d->parts.cluster, anew);
}

static void tell_of_consul(struct pk_daemon *d, bool anew)
{
	const char *why = pk_leader_why(d->consul_leader) ?: pk_token_watch_why(d->consul_token);

	d->consul_anew |= anew;
	anew = !why && PK_MOVE(d->consul_anew, false);
	tell_store(d, why, anew);
	if (anew)
		pk_services_anew(d->parts.services, false);
}

static void on_consul_leader(void *arg)
{
	tell_of_consul(arg, false);
}

static void on_consul_token(void *arg)
{
	tell_of_consul(arg, true);
}

static void tell_of_nomad(struct pk_daemon *d, bool anew)
{
	const char *why = pk_leader_why(d->nomad_leader) ?: pk_token_watch_why(d->nomad_token);

	d->nomad_anew |= anew;
	anew = !why && PK_MOVE(d->nomad_anew, false);
	if (why)
		pk_nomad_unserved(d->parts.nomad, why);
	else
		pk_nomad_served(d->parts.nomad, anew);
	if (anew)
		pk_services_anew(d->parts.services, true);
	if (pk_config_is_vars(&d->config))
		tell_store(d, why, anew);
}

static void on_nomad_leader(void *arg)
{
	tell_of_nomad(arg, false);
}

static void on_nomad_token(void *arg)
{
	tell_of_nomad(arg, true);
}

static void ask_nomad(struct pk_daemon *d)
{
	const struct pk_nomad_fns fns = { .node = on_node, .allocs = on_allocs, .arg = d };

	d->nomad_anew = false;
	d->parts.nomad = pk_nomad_new(d->parts.loop, d->http, &d->config, &fns);
	d->nomad_leader = pk_leader_new(&(struct pk_leader_args){ .loop = d->parts.loop,
								  .http = d->http,
								  .service = &d->config.nomad,
								  .header = "X-Nomad-Token",
								  .told = on_nomad_leader,
								  .arg = d });
	d->nomad_token =
		pk_token_watch_new(&(struct pk_token_watch_args){ .loop = d->parts.loop,
								  .http = d->http,
								  .service = &d->config.nomad,
								  .header = "X-Nomad-Token",
								  .told = on_nomad_token,
								  .arg = d });
}

static void on_report(void *arg, const char *text)
{
	const struct pk_daemon *d = arg;

	if (d->parts.cluster)
		pk_cluster_say(d->parts.cluster, text);
	else if (d->alone)
		pk_publish_say(d->alone, text);
}

static void ask_store(struct pk_daemon *d)
{
	const struct pk_consul_args args = { .loop = d->parts.loop,
					     .store = d->store,
					     .docs = d->parts.docs,
					     .changed = on_documents,
					     .arg = d };

	d->parts.consul = pk_consul_set_new(&args, d->parts.model);
	if (pk_config_is_vars(&d->config) ? !d->config.vars_status : !d->config.consul_status)
		return;
	d->told = pk_consul_told_new(&d->parts, d->store);
	d->report = pk_report_new(&d->parts, on_report, d);
}

/* Serves all that waits for Consul's word: documents and other nodes' keys. */
static void ask_for_leader(struct pk_daemon *d)
{
	d->consul_anew = false;
	d->consul_leader = pk_leader_new(&(struct pk_leader_args){ .loop = d->parts.loop,
								   .http = d->http,
								   .service = &d->config.consul,
								   .header = "X-Consul-Token",
								   .told = on_consul_leader,
								   .arg = d });
	d->consul_token =
		pk_token_watch_new(&(struct pk_token_watch_args){ .loop = d->parts.loop,
								  .http = d->http,
								  .service = &d->config.consul,
								  .header = "X-Consul-Token",
								  .told = on_consul_token,
								  .arg = d });
}

static void make_store(struct pk_daemon *d)
{
	const struct pk_config *c = &d->config;

	if (pk_config_is_vars(c)) {
		d->store = pk_store_vars_new(d->parts.loop, d->http, c, d->node);
		/* A Nomad whose settings stay says only after a while again which node this is. */
		if (*d->nomad_id)
			pk_store_vars_node(d->store, d->nomad_id);
	} else if (c->consul.on) {
		d->store = pk_store_consul_new(d->http, c);
		ask_for_leader(d);
	}
}

/*
 * Starts the store's documents or ends them. Where a file switches it off, they are gone by the
 * operator's word, and so are another store's. A variable of the environment that isn't there any
 * more is no word at all: the documents are held, and who was awaited still is.
 */
static void start_documents(struct pk_daemon *d)
{
	const struct pk_config *c = &d->config;
	const char *origin = pk_config_is_vars(c) ? PK_ORIGIN_NOMAD : PK_ORIGIN_CONSUL;
	const char *other = pk_config_is_vars(c) ? PK_ORIGIN_CONSUL : PK_ORIGIN_NOMAD;
	struct pk_docs *docs = d->parts.docs;
	bool kv, off = pk_config_is_vars(c) || c->consul.said || !c->policies_kv;
	bool changed = pk_docs_withdraw(docs, other, "the configuration names another store");

	kv = d->store && c->policies_kv;
	if (kv || off)
		pk_docs_set_each(docs, origin, kv);
	if (kv) {
		ask_store(d);
		changed |= pk_docs_unhold(docs, origin, PK_DOCS_NO_SOURCE);
	} else if (off) {
		changed |=
			pk_docs_withdraw(docs, origin, "the configuration says that there is none");
	} else {
		changed |= pk_docs_hold(docs, origin, PK_DOCS_NO_SOURCE);
	}
	if (changed)
		on_documents(d);
}

const struct daemon_touched daemon_all_sources = { true, true, true, true, true, true, true };

struct daemon_touched daemon_touched_by(const struct pk_config *a, const struct pk_config *b)
{
	bool policies = !pk_config_same(a, b, "policies");
	bool nomad = a->nomad.on != b->nomad.on;
	bool vars = pk_config_is_vars(a) || pk_config_is_vars(b);
	bool store = !pk_config_same(a, b, "consul") || strcmp(a->cluster, b->cluster) != 0 ||
		     strcmp(a->store, b->store) != 0 || (vars && !pk_config_same(a, b, "nomad"));

	return (struct daemon_touched){ .files = policies,
					.nomad = !pk_config_same(a, b, "nomad"),
					.store = store,
					.documents = store || policies,
					.cluster = store || nomad ||
						   a->policies_kv != b->policies_kv ||
						   strcmp(a->fabric, b->fabric) != 0 ||
						   !pk_config_same(a, b, "vxlan") ||
						   !pk_config_same(a, b, "blocks"),
					.flows = !pk_config_same(a, b, "flows"),
					.http = !pk_config_same(a, b, "http") };
}

static bool is_own(void *arg, const union pk_addr *addr)
{
	const struct pk_daemon *d = arg;

	return d->parts.upkeep && pk_upkeep_is_local(d->parts.upkeep, addr);
}

static void on_services(void *arg)
{
	struct pk_daemon *d = arg;

	pk_model_settings(d->parts.model, &d->config.settings);
	pk_apply_settings(d->parts.apply);
}

/* They are watched in both catalogues: another Nomad or Consul is asked anew. */
static void watch_services(struct pk_daemon *d)
{
	d->parts.services = pk_services_new(&(struct pk_services_args){ .loop = d->parts.loop,
									.http = d->http,
									.config = &d->config,
									.docs = d->parts.docs,
									.model = d->parts.model,
									.journal = d->journal,
									.is_own = is_own,
									.changed = on_services,
									.arg = d });
}

static void on_looked(void *arg)
{
	const struct pk_daemon *d = arg;

	pk_api_release_looked(&d->parts);
}

static void watch_files(struct pk_daemon *d)
{
	d->parts.files =
		pk_files_new(d->parts.loop, d->parts.docs, d->config.policies_dir, on_documents, d);
	pk_files_on_look(d->parts.files, on_looked, d);
}

void daemon_start_sources(struct pk_daemon *d, const struct daemon_touched *which)
{
	if (which->files)
		watch_files(d);
	if (which->nomad && d->config.nomad.on)
		ask_nomad(d);
	if (which->store)
		make_store(d);
	if (which->documents)
		start_documents(d);
	if (which->nomad || which->store)
		watch_services(d);
	if (which->cluster)
		daemon_join_cluster(d);
	if (which->flows && *d->config.flows_file)
		d->parts.flowlog = pk_flowlog_new(
			&(struct pk_flowlog_args){ .of = "flows",
						   .loop = d->parts.loop,
						   .path = d->config.flows_file,
						   .max_size = d->config.flows_max_size,
						   .keep = (unsigned int)d->config.flows_keep,
						   .writer = d->parts.lines });
	pk_events_set_log(d->parts.events, d->parts.flowlog);
	if (which->http)
		d->parts.listener =
			pk_listener_new(d->parts.loop, &d->config, pk_api_serve_network, &d->parts);
}

void daemon_stop_sources(struct pk_daemon *d, const struct daemon_touched *which)
{
	if (which->store)
		pk_api_store_ends();
	if (which->files) {
		pk_api_release_stop();
		pk_files_free(PK_MOVE(d->parts.files, NULL));
	}
	if (which->nomad) {
		*d->nomad_id = '\0';
		pk_leader_free(PK_MOVE(d->nomad_leader, NULL));
		pk_token_watch_free(PK_MOVE(d->nomad_token, NULL));
		pk_nomad_free(PK_MOVE(d->parts.nomad, NULL));
	}
	if (which->cluster)
		daemon_leave_cluster(d);
	if (which->nomad || which->store)
		pk_services_free(PK_MOVE(d->parts.services, NULL));
	if (which->documents) {
		pk_consul_told_free(PK_MOVE(d->told, NULL));
		pk_report_free(PK_MOVE(d->report, NULL));
		pk_consul_set_free(PK_MOVE(d->parts.consul, NULL));
	}
	if (which->store) {
		pk_leader_free(PK_MOVE(d->consul_leader, NULL));
		pk_token_watch_free(PK_MOVE(d->consul_token, NULL));
		pk_store_free(PK_MOVE(d->store, NULL));
	}
	if (which->http)
		pk_listener_free(PK_MOVE(d->parts.listener, NULL));
	if (!which->flows)
		return;
	pk_events_set_log(d->parts.events, NULL);
	pk_flowlog_free(PK_MOVE(d->parts.flowlog, NULL));
}

static bool has_answered(const struct pk_source *s)
{
	return s->state != PK_SOURCE_STARTING;
}

bool pk_daemon_is_ready(const struct pk_daemon *d)
{
	const struct pk_parts *p = &d->parts;

	return has_answered(pk_files_source(p->files)) &&
	       (!p->nomad || has_answered(pk_nomad_source(p->nomad))) &&
	       (!p->consul || has_answered(pk_consul_set_source(p->consul)));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name_set.h"
#include "own.h"

struct service {
	struct pk_services *all;
	struct pk_declared_service declared; /* a copy, for which the watch was made */
	struct pk_catalog_watch *watch;
	struct pk_instance_table table;
};

struct pk_services {
	struct pk_services_args args;
	struct service *list[PK_DECLARED_SERVICE_MAX];
	size_t n;
	struct pk_name_set *named; /* names of services in the documents */
	uint64_t named_of;	   /* the documents' number (pk_docs_number) at that time */
};

static struct pk_settings *settings_of(const struct pk_services *s)
{
	return &s->args.config->settings;
}

/* Returns the declaration as the configuration has it; NULL: no more. */
static struct pk_declared_service *declared_of(const struct service *one)
{
	struct pk_settings *s = settings_of(one->all);

	for (size_t i = 0; i < s->n_services; i++)
		if (pk_declared_service_same(&s->services[i], &one->declared))
			return &s->services[i];
	return NULL;
}

static bool is_in(const struct pk_prefix *list, size_t n, const union pk_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (pk_prefix_has(&list[i], addr))
			return true;
	return false;
}

static bool is_of_cluster(const struct pk_services *s, const union pk_addr *addr)
{
	const struct pk_config *c = s->args.config;
	size_t n_range = 0, n;
	const struct pk_far_block *blocks = pk_remotes_blocks(pk_model_remotes(s->args.model), &n);

	for (size_t i = 0; i < n; i++)
		if (pk_prefix_has(&blocks[i].prefix, addr))
			return true;
	while (n_range < PK_CONFIG_PREFIXES && c->range[n_range].len)
		n_range++;
	return is_in(c->settings.pools, c->settings.n_pools, addr) ||
	       is_in(c->range, n_range, addr);
}

/*
 * Returns whether the id is "_nomad-task-ALLOC-…", as Nomad registers services in either catalogue.
 */
static bool is_id_of(const char *id, const char *alloc, size_t len)
{
	static const char begin[] = "_nomad-task-";

	return strncmp(id, begin, sizeof(begin) - 1) == 0 &&
	       strncmp(id + sizeof(begin) - 1, alloc, len) == 0 &&
	       id[sizeof(begin) - 1 + len] == '-';
}

static bool registers(const struct pk_label_set *labels, const struct pk_declared_service *d)
{
	if (*d->tenant_name &&
	    (!labels->tenant_name || strcmp(labels->tenant_name, d->tenant_name) != 0))
		return false;
	for (size_t i = 0; i < labels->n_known; i++)
		if (strcmp(labels->known[i].key, "consul:service") == 0 &&
		    strcmp(labels->known[i].value, d->name) == 0)
			return true;
	return false;
}

/*
 * Returns whether there is an endpoint with that address; *tied: Nomad's record says that it
 * registers the service d.
 */
static bool is_endpoint(const struct pk_services *s, const struct pk_declared_service *d,
			const struct pk_instance *said, const union pk_addr *addr, bool *tied)
{
	const struct pk_local_endpoint *local = pk_model_by_address(s->args.model, addr);
	const struct pk_remote_endpoint *remote =
		pk_remotes_by_address(pk_model_remotes(s->args.model), addr);
	const char *slash = remote ? strchr(remote->key, '/') : NULL;

	*tied = false;
	if (local) {
		const struct pk_world_endpoint *ep =
			pk_world_get(pk_engine_world(pk_model_engine(s->args.model)), local->key);

		*tied = ep && registers(ep->labels, d) &&
			is_id_of(said->id, local->container_id, strlen(local->container_id));
	} else if (slash)
		*tied = registers(remote->ep->labels, d) &&
			is_id_of(said->id, slash + 1, strcspn(slash + 1, "@"));
	return local || remote;
}

static enum pk_instance_state where(void *arg, const struct pk_declared_service *d,
				    const struct pk_instance *said, const union pk_addr *addr,
				    char *why, size_t room)
{
	const struct pk_services *s = arg;
	bool tied;

	if (is_endpoint(s, d, said, addr, &tied)) {
		snprintf(why, room, "%s",
			 tied ? "an endpoint: it counts by Nomad's record of its alloc"
			      : "the address of an endpoint whose alloc doesn't register it");
		return tied ? PK_INSTANCE_ENDPOINT : PK_INSTANCE_REFUSED;
	}
	if (is_of_cluster(s, addr))
		snprintf(why, room, "an address of the cluster's pools");
	else if (s->args.is_own(s->args.arg, addr))
		snprintf(why, room, "this node's own address: a policy names the entity host");
	else
		return PK_INSTANCE_COUNTS;
	return PK_INSTANCE_REFUSED;
}

static void tell(const struct service *one, const char *event, const struct pk_instance_row *row)
{
	const char *source = one->declared.nomad ? "nomad/services" : "consul/services";
	char text[PK_ADDR_TEXT];
	const char *address =
		*row->said.address ? row->said.address : pk_addr_format(&row->addr, text);
	const struct pk_doc_change change = { .event = event,
					      .source = (char *)source,
					      .name = (char *)one->declared.name,
					      .path = (char *)address,
					      .why = *row->why ? (char *)row->why : NULL };

	pk_journal_instance(one->all->args.journal, &change);
}

/*
 * Returns the row with the same address. Several ports of one address are one, in the best of their
 * states.
 */
static const struct pk_instance_row *same_row(const struct pk_instance_table *t,
					      const struct pk_instance_row *row)
{
	const struct pk_instance_row *best = NULL;

	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->row[i].said.address, row->said.address) == 0 &&
		    (!best || t->row[i].state < best->state))
			best = &t->row[i];
	return best;
}

static const char *event_of(const struct pk_instance_row *before, const struct pk_instance_row *now)
{
	static const char *const events[] = { "came", "held", "went", "went", "refused" };

	if (before && before->state == now->state)
		return NULL;
	if (now->state == PK_INSTANCE_COUNTS && before && before->state == PK_INSTANCE_HELD)
		return "back";
	if (now->state == PK_INSTANCE_CRITICAL || now->state == PK_INSTANCE_ENDPOINT)
		return before && before->state != PK_INSTANCE_REFUSED ? "went" : NULL;
	return events[now->state];
}

static void tell_changes(const struct service *one, const struct pk_instance_table *before)
{
	const struct pk_instance_table *now = &one->table;

	for (size_t i = 0; i < now->n; i++) {
		const struct pk_instance_row *row = &now->row[i];
		const char *event =
			same_row(now, row) == row ? event_of(same_row(before, row), row) : NULL;

		if (event)
			tell(one, event, row);
	}
	for (size_t i = 0; i < before->n; i++)
		if (!same_row(now, &before->row[i]) &&
		    same_row(before, &before->row[i]) == &before->row[i] &&
		    before->row[i].state <= PK_INSTANCE_HELD)
			tell(one, "went", &before->row[i]);
}

static struct pk_instance_look look_of(const struct service *one)
{
	return (struct pk_instance_look){ .declared = &one->declared,
					  .where = where,
					  .arg = one->all };
}

typedef void take_fn(struct pk_instance_table *table, const struct pk_instance_look *look);

/* Takes an answer by fn and reports what changed; returns whether other addresses count now. */
static bool take(struct service *one, take_fn *fn, const struct pk_instance_look *look)
{
	struct pk_declared_service *d = declared_of(one);
	struct pk_instance_table *before = pk_alloc(sizeof(*before));

	*before = one->table;
	fn(&one->table, look);
	tell_changes(one, before);
	free(before);
	return d && pk_instance_table_fill(&one->table, d);
}

static void on_answer(void *arg, const struct pk_catalog_answer *answer)
{
	struct service *one = arg;
	struct pk_services *s = one->all;
	struct pk_instance_look look = look_of(one);

	look.instances = answer->instances;
	look.first = answer->first;
	look.behind = answer->behind;
	look.now_ms = pk_loop_now(s->args.loop);
	if (take(one, pk_instance_table_take, &look))
		s->args.changed(s->args.arg);
}

static void service_free(struct service *one)
{
	pk_catalog_watch_free(one->watch);
	free(one);
}

static void add_named(struct pk_services *s, const struct pk_document *doc)
{
	for (size_t i = 0; i < doc->n_rules; i++) {
		const struct pk_rule *rule = &doc->rules[i];

		for (size_t j = 0; j < rule->n_entries[PK_EGRESS]; j++) {
			const struct pk_entry *e = &rule->entries[PK_EGRESS][j];

			for (size_t k = 0; k < e->n_services; k++)
				pk_name_set_add(&s->named, e->services[k].name);
		}
	}
}

/*
 * Returns whether a document names the service; reads the names again once the documents changed.
 */
static bool is_named(struct pk_services *s, const struct pk_declared_service *d)
{
	uint64_t number = pk_docs_number(s->args.docs);

	if (number != s->named_of) {
		pk_name_set_free(PK_MOVE(s->named, NULL));
		for (size_t i = 0; i < pk_docs_count(s->args.docs); i++) {
			const struct pk_doc_entry *e = pk_docs_at(s->args.docs, i);

			if (e->doc)
				add_named(s, e->doc);
		}
		s->named_of = number;
	}
	return pk_name_set_has(s->named, d->name);
}

static bool is_asked(const struct pk_services *s, const struct pk_declared_service *d)
{
	return d->nomad ? s->args.config->nomad.on : s->args.config->consul.on;
}

/* Returns whether its catalogue was taken out of the configuration. */
static bool is_off(const struct pk_services *s, const struct pk_declared_service *d)
{
	const struct pk_config *c = s->args.config;

	return d->nomad ? !c->nomad.on : !c->consul.on && c->consul.said;
}

static struct service *find(const struct pk_services *s, const struct pk_declared_service *d)
{
	for (size_t i = 0; i < s->n; i++)
		if (pk_declared_service_same(&s->list[i]->declared, d))
			return s->list[i];
	return NULL;
}

static bool same_within(const struct pk_declared_service *a, const struct pk_declared_service *b)
{
	return a->n_within == b->n_within &&
	       memcmp(a->within, b->within, a->n_within * sizeof(*a->within)) == 0;
}

/* Ends the watches of services whose declaration changed or that no document names any more. */
static void drop(struct pk_services *s)
{
	for (size_t i = s->n; i-- > 0;) {
		struct service *one = s->list[i];
		const struct pk_declared_service *d = declared_of(one);

		if (d && same_within(d, &one->declared) && is_asked(s, d) && is_named(s, d))
			continue;
		service_free(one);
		s->list[i] = s->list[--s->n];
	}
}

static void begin(struct pk_services *s, const struct pk_declared_service *d)
{
	struct service *one = pk_alloc(sizeof(*one));
	struct pk_catalog_watch_args args = { .loop = s->args.loop,
					      .http = s->args.http,
					      .service = d->nomad ? &s->args.config->nomad
								  : &s->args.config->consul,
					      .nomad = d->nomad,
					      .name = d->name,
					      .tenant_name = d->tenant_name,
					      .fn = on_answer,
					      .arg = one };

	one->all = s;
	one->declared = *d;
	pk_instance_table_init(&one->table, d);
	one->watch = pk_catalog_watch_new(&args);
	s->list[s->n++] = one;
}

/*
 * A service that no document names has no instances, and is asked for once one does; nor has one
 * whose catalogue was taken out of the configuration.
 */
void pk_services_follow(struct pk_services *s)
{
	struct pk_settings *settings = settings_of(s);
	bool changed = false;

	drop(s);
	/* An address may be an endpoint's by now, or no longer. */
	for (size_t i = 0; i < s->n; i++) {
		const struct pk_instance_look look = look_of(s->list[i]);

		changed |= take(s->list[i], pk_instance_table_again, &look);
	}
	for (size_t i = 0; i < settings->n_services; i++) {
		struct pk_declared_service *d = &settings->services[i];

		if (!is_named(s, d) || is_off(s, d)) {
			changed |= d->n_instances != 0;
			d->n_instances = 0;
		} else if (is_asked(s, d) && !find(s, d)) {
			begin(s, d);
		}
	}
	if (changed)
		s->args.changed(s->args.arg);
}

void pk_services_anew(struct pk_services *s, bool nomad)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i]->declared.nomad == nomad)
			pk_catalog_watch_anew(s->list[i]->watch);
}

bool pk_services_release(struct pk_services *s)
{
	bool changed = false;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct pk_declared_service *d = declared_of(s->list[i]);

		n += pk_instance_table_release(&s->list[i]->table);
		changed |= d && pk_instance_table_fill(&s->list[i]->table, d);
	}
	if (changed)
		s->args.changed(s->args.arg);
	return n;
}

bool pk_services_view(struct pk_services *s, size_t i, struct pk_service_view *view)
{
	const struct pk_settings *settings = settings_of(s);
	const struct service *one;

	if (i >= settings->n_services)
		return false;
	*view = (struct pk_service_view){ .declared = &settings->services[i] };
	view->named = is_named(s, view->declared);
	one = find(s, view->declared);
	if (one) {
		view->source = pk_catalog_watch_source(one->watch);
		view->table = &one->table;
	}
	return true;
}

struct pk_services *pk_services_new(const struct pk_services_args *args)
{
	struct pk_services *s = pk_alloc(sizeof(*s));

	s->args = *args;
	return s;
}

void pk_services_free(struct pk_services *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		service_free(s->list[i]);
	pk_name_set_free(s->named);
	free(s);
}

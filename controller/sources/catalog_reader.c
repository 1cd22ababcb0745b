/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_stream.h"
#include "own.h"

enum node { ALL, ONE, ID, ADDRESS, PORT, NODE_ADDRESS, STATUS };

static const struct pk_stream_node nomad_nodes[] = {
	{ 0, NULL, PK_STREAM_ARRAY }, { 0, PK_STREAM_EACH, PK_STREAM_OBJECT },
	{ 1, "ID", PK_STREAM_TEXT },  { 1, "Address", PK_STREAM_TEXT },
	{ 1, "Port", PK_STREAM_INT },
};
static const enum node nomad_means[] = { ALL, ONE, ID, ADDRESS, PORT };
static const struct pk_stream_table nomad_table = { .name = "Nomad's service",
						    .nodes = nomad_nodes,
						    .n = PK_ARRAY_LEN(nomad_nodes),
						    .text_max = PK_INSTANCE_TEXT };

/*
 * The nodes of the answer that are read; a parent stands before its children. 2 is "Service", 6 is
 * "Node", 8 and 9 are the checks.
 */
static const struct pk_stream_node consul_nodes[] = {
	{ 0, NULL, PK_STREAM_ARRAY },	    { 0, PK_STREAM_EACH, PK_STREAM_OBJECT },
	{ 1, "Service", PK_STREAM_OBJECT }, { 2, "ID", PK_STREAM_TEXT },
	{ 2, "Address", PK_STREAM_TEXT },   { 2, "Port", PK_STREAM_INT },
	{ 1, "Node", PK_STREAM_OBJECT },    { 6, "Address", PK_STREAM_TEXT },
	{ 1, "Checks", PK_STREAM_ARRAY },   { 8, PK_STREAM_EACH, PK_STREAM_OBJECT },
	{ 9, "Status", PK_STREAM_TEXT },
};
static const enum node consul_means[] = { ALL, ONE,	     ALL, ID,  ADDRESS, PORT,
					  ALL, NODE_ADDRESS, ALL, ALL, STATUS };
static const struct pk_stream_table consul_table = { .name = "Consul's service",
						     .nodes = consul_nodes,
						     .n = PK_ARRAY_LEN(consul_nodes),
						     .text_max = PK_INSTANCE_TEXT };
_Static_assert(PK_ARRAY_LEN(nomad_means) == PK_ARRAY_LEN(nomad_nodes), "one meaning a node");
_Static_assert(PK_ARRAY_LEN(consul_means) == PK_ARRAY_LEN(consul_nodes), "one meaning a node");

struct pk_catalog_reader {
	struct pk_stream *stream;
	const enum node *means;
	bool nomad;
	struct pk_instances got;
	size_t room;
	struct pk_instance one; /* the instance that is being read */
	char node_address[PK_INSTANCE_TEXT];
	bool bad; /* what it says of its address can't be used */
	struct pk_err *err;
};

static const char *const health_names[] = { "unknown", "passing", "warning", "critical" };

const char *pk_health_name(enum pk_health health)
{
	return health_names[health];
}

/* A status that is none of Consul's three words counts as critical. */
static enum pk_health health_of(const char *status)
{
	for (size_t i = PK_HEALTH_PASSING; i < PK_ARRAY_LEN(health_names) && status; i++)
		if (strcmp(status, health_names[i]) == 0)
			return (enum pk_health)i;
	return PK_HEALTH_CRITICAL;
}

void pk_instances_done(struct pk_instances *instances)
{
	free(instances->list);
	*instances = (struct pk_instances){ 0 };
}

static void begin(struct pk_catalog_reader *r)
{
	r->one = (struct pk_instance){ .health = r->nomad ? PK_HEALTH_UNKNOWN : PK_HEALTH_PASSING };
	r->node_address[0] = '\0';
	r->bad = false;
}

/*
 * Takes the instance that was read. One of Consul's without an address of its own has its node's.
 */
static int take(struct pk_catalog_reader *r)
{
	if (r->got.n == PK_INSTANCES_MAX) {
		pk_fail(r->err, 0, "the service has more than %d instances", PK_INSTANCES_MAX);
		return pk_fix(r->err, -E2BIG, "declare several services of fewer instances each");
	}
	if (r->bad)
		r->one.address[0] = '\0';
	else if (!*r->one.address)
		strcpy(r->one.address, r->node_address);
	if (r->got.n == r->room) {
		r->room = r->room ? r->room * 2 : 8;
		r->got.list = realloc(r->got.list, r->room * sizeof(*r->got.list));
		if (!r->got.list)
			abort();
	}
	r->got.list[r->got.n++] = r->one;
	return 0;
}

static void put(char to[PK_INSTANCE_TEXT], const struct pk_stream_event *e)
{
	if (e->text && e->len < PK_INSTANCE_TEXT)
		memcpy(to, e->text, e->len + 1);
}

static void worsen(struct pk_instance *one, enum pk_health health)
{
	if (health > one->health)
		one->health = health;
}

static void on_value(struct pk_catalog_reader *r, const struct pk_stream_event *e)
{
	const bool bad = e->what == PK_STREAM_BAD || (!e->text && e->len);

	switch (r->means[e->node]) {
	case ID:
		put(r->one.id, e);
		break;
	case ADDRESS:
		r->bad |= bad;
		put(r->one.address, e);
		break;
	case NODE_ADDRESS:
		r->bad |= bad;
		put(r->node_address, e);
		break;
	case PORT:
		if (!bad && e->number > 0 && e->number <= UINT16_MAX)
			r->one.port = (uint16_t)e->number;
		break;
	case STATUS:
		worsen(&r->one, health_of(bad ? NULL : e->text));
		break;
	case ALL:
	case ONE:
		r->bad |= bad; /* a "Service" that is no object, or "Checks" that are no list */
		break;
	}
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_catalog_reader *r = arg;

	if (e->node <= 1 && e->what == PK_STREAM_BAD)
		return pk_fail(r->err, 0, "the catalogue's answer is no list of instances");
	if (e->node == 1 && e->what == PK_STREAM_BEGIN)
		begin(r);
	else if (e->node == 1 && e->what == PK_STREAM_END)
		return take(r);
	else if (e->what == PK_STREAM_VALUE || e->what == PK_STREAM_BAD)
		on_value(r, e);
	return 0;
}

struct pk_catalog_reader *pk_catalog_reader_new(bool nomad)
{
	struct pk_catalog_reader *r = pk_alloc(sizeof(*r));

	r->nomad = nomad;
	r->means = nomad ? nomad_means : consul_means;
	r->stream = pk_stream_new(nomad ? &nomad_table : &consul_table, on_event, r);
	return r;
}

void pk_catalog_reader_free(struct pk_catalog_reader *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	pk_instances_done(&r->got);
	free(r);
}

int pk_catalog_reader_feed(struct pk_catalog_reader *r, const char *bytes, size_t n,
			   struct pk_err *err)
{
	r->err = err;
	return pk_stream_feed(r->stream, bytes, n, err);
}

int pk_catalog_reader_end(struct pk_catalog_reader *r, struct pk_instances *out, struct pk_err *err)
{
	int result;

	r->err = err;
	result = pk_stream_end(r->stream, err);
	if (result == 0)
		*out = PK_MOVE(r->got, (struct pk_instances){ 0 });
	return result;
}

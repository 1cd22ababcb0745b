/* SPDX-License-Identifier: Apache-2.0 */
#include "nomad_reader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "nomad_reader_private.h"
#include "own.h"

#define TEXT_MAX 8192

enum node {
	ALLOCS,
	ALLOC,
	ID,
	NAMESPACE,
	NODE_ID,
	JOB_ID,
	TASK_GROUP,
	CLIENT_STATUS,
	LABELS_REFUSED,
	RESOURCES,
	SHARED,
	PORTS,
	PORT,
	PORT_LABEL,
	PORT_VALUE,
	PORT_TO,
	JOB,
	PARENT_ID,
	REGION,
	JOB_META,
	JOB_META_VALUE,
	GROUPS,
	GROUP,
	GROUP_NAME,
	GROUP_META,
	GROUP_META_VALUE,
	SERVICES,
	SERVICE,
	SERVICE_NAME,
	SERVICE_PORT,
	CHECKS,
	CHECK,
	CHECK_TYPE,
	CHECK_PORT,
	NETWORKS,
	NETWORK,
	HOSTNAME,
	DNS,
	DNS_SERVERS,
	DNS_SERVER,
	DNS_SEARCHES,
	DNS_SEARCH,
	TASKS,
	TASK,
	TASK_SERVICES,
	TASK_SERVICE,
	TASK_SERVICE_NAME,
	TASK_SERVICE_PORT,
	TASK_CHECKS,
	TASK_CHECK,
	TASK_CHECK_TYPE,
	TASK_CHECK_PORT,
};

static const struct pk_stream_node nodes[] = {
	[ALLOCS] = { ALLOCS, NULL, PK_STREAM_ARRAY },
	[ALLOC] = { ALLOCS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[ID] = { ALLOC, "ID", PK_STREAM_TEXT },
	[NAMESPACE] = { ALLOC, "Namespace", PK_STREAM_TEXT },
	[NODE_ID] = { ALLOC, "NodeID", PK_STREAM_TEXT },
	[JOB_ID] = { ALLOC, "JobID", PK_STREAM_TEXT },
	[TASK_GROUP] = { ALLOC, "TaskGroup", PK_STREAM_TEXT },
	[CLIENT_STATUS] = { ALLOC, "ClientStatus", PK_STREAM_TEXT },
	[LABELS_REFUSED] = { ALLOC, PK_ALLOC_LABELS_REFUSED, PK_STREAM_TEXT },
	[RESOURCES] = { ALLOC, "AllocatedResources", PK_STREAM_OBJECT },
	[SHARED] = { RESOURCES, "Shared", PK_STREAM_OBJECT },
	[PORTS] = { SHARED, "Ports", PK_STREAM_ARRAY },
	[PORT] = { PORTS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[PORT_LABEL] = { PORT, "Label", PK_STREAM_TEXT },
	[PORT_VALUE] = { PORT, "Value", PK_STREAM_INT },
	[PORT_TO] = { PORT, "To", PK_STREAM_INT },
	[JOB] = { ALLOC, "Job", PK_STREAM_OBJECT },
	[PARENT_ID] = { JOB, "ParentID", PK_STREAM_TEXT },
	[REGION] = { JOB, "Region", PK_STREAM_TEXT },
	[JOB_META] = { JOB, "Meta", PK_STREAM_OBJECT },
	[JOB_META_VALUE] = { JOB_META, PK_STREAM_EACH, PK_STREAM_TEXT },
	[GROUPS] = { JOB, "TaskGroups", PK_STREAM_ARRAY },
	[GROUP] = { GROUPS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[GROUP_NAME] = { GROUP, "Name", PK_STREAM_TEXT },
	[GROUP_META] = { GROUP, "Meta", PK_STREAM_OBJECT },
	[GROUP_META_VALUE] = { GROUP_META, PK_STREAM_EACH, PK_STREAM_TEXT },
	[SERVICES] = { GROUP, "Services", PK_STREAM_ARRAY },
	[SERVICE] = { SERVICES, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[SERVICE_NAME] = { SERVICE, "Name", PK_STREAM_TEXT },
	[SERVICE_PORT] = { SERVICE, "PortLabel", PK_STREAM_TEXT },
	[CHECKS] = { SERVICE, "Checks", PK_STREAM_ARRAY },
	[CHECK] = { CHECKS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[CHECK_TYPE] = { CHECK, "Type", PK_STREAM_TEXT },
	[CHECK_PORT] = { CHECK, "PortLabel", PK_STREAM_TEXT },
	[NETWORKS] = { GROUP, "Networks", PK_STREAM_ARRAY },
	[NETWORK] = { NETWORKS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[HOSTNAME] = { NETWORK, "Hostname", PK_STREAM_TEXT },
	[DNS] = { NETWORK, "DNS", PK_STREAM_OBJECT },
	[DNS_SERVERS] = { DNS, "Servers", PK_STREAM_ARRAY },
	[DNS_SERVER] = { DNS_SERVERS, PK_STREAM_EACH, PK_STREAM_TEXT },
	[DNS_SEARCHES] = { DNS, "Searches", PK_STREAM_ARRAY },
	[DNS_SEARCH] = { DNS_SEARCHES, PK_STREAM_EACH, PK_STREAM_TEXT },
	[TASKS] = { GROUP, "Tasks", PK_STREAM_ARRAY },
	[TASK] = { TASKS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[TASK_SERVICES] = { TASK, "Services", PK_STREAM_ARRAY },
	[TASK_SERVICE] = { TASK_SERVICES, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[TASK_SERVICE_NAME] = { TASK_SERVICE, "Name", PK_STREAM_TEXT },
	[TASK_SERVICE_PORT] = { TASK_SERVICE, "PortLabel", PK_STREAM_TEXT },
	[TASK_CHECKS] = { TASK_SERVICE, "Checks", PK_STREAM_ARRAY },
	[TASK_CHECK] = { TASK_CHECKS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[TASK_CHECK_TYPE] = { TASK_CHECK, "Type", PK_STREAM_TEXT },
	[TASK_CHECK_PORT] = { TASK_CHECK, "PortLabel", PK_STREAM_TEXT },
};

static const struct pk_stream_table table = {
	.name = "Nomad's allocs", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = TEXT_MAX
};

/* Offset + 1 of the member that a plain text is put into; 0: none. */
#define TO(member) (offsetof(struct reading, member) + 1)
static const size_t text_to[PK_ARRAY_LEN(nodes)] = {
	[ID] = TO(a.id),
	[NAMESPACE] = TO(a.tenant_name),
	[NODE_ID] = TO(a.node),
	[JOB_ID] = TO(a.job_id),
	[TASK_GROUP] = TO(a.group),
	[LABELS_REFUSED] = TO(a.labels_refused),
	[PORT_LABEL] = TO(port.label),
	[PARENT_ID] = TO(a.job),
	[REGION] = TO(a.region),
	[GROUP_NAME] = TO(group.name),
	[SERVICE_NAME] = TO(service.name),
	[SERVICE_PORT] = TO(service.port),
	[CHECK_TYPE] = TO(service.type),
	[CHECK_PORT] = TO(service.check_port),
	[TASK_SERVICE_NAME] = TO(service.name),
	[TASK_SERVICE_PORT] = TO(service.port),
	[TASK_CHECK_TYPE] = TO(service.type),
	[TASK_CHECK_PORT] = TO(service.check_port),
};

struct pk_alloc_reader {
	enum pk_alloc_reader_kind kind;
	struct pk_stream *stream;
	struct reading r;
	struct pk_allocs out;
	bool begun;
};

static uint16_t port_of(int64_t number)
{
	return number >= 1 && number <= 65535 ? (uint16_t)number : 0;
}

static void take_value(struct reading *r, const struct pk_stream_event *e)
{
	size_t to = text_to[e->node];

	if (r->a.refused && e->node != ID && e->node != CLIENT_STATUS)
		return;
	if (to)
		reading_text(r, (char **)(void *)((char *)r + to - 1), nodes[e->node].key, e);
	else if (e->node == CLIENT_STATUS)
		reading_status(r, e);
	else if (e->node == PORT_VALUE)
		r->port.host = port_of(e->number);
	else if (e->node == PORT_TO)
		r->port.own = port_of(e->number);
	else if (e->node == JOB_META_VALUE)
		reading_meta(r, &r->meta, e);
	else if (e->node == GROUP_META_VALUE)
		reading_meta(r, &r->group.meta, e);
	else if (e->node == HOSTNAME)
		reading_hostname(r, e);
	else if (e->node == DNS_SERVER)
		reading_word(r, &r->group.dns_servers, e);
	else if (e->node == DNS_SEARCH)
		reading_word(r, &r->group.dns_search, e);
}

/* Forgets all but the id of a refused alloc: all that counts is that it exists. */
static void forget_facts(struct pk_alloc *a)
{
	struct pk_alloc bare = { .id = PK_MOVE(a->id, NULL),
				 .refused = PK_MOVE(a->refused, NULL),
				 .terminal = a->terminal };

	pk_alloc_done(a);
	*a = bare;
}

/*
 * Returns whether the alloc is over. Thousands of these may wait to be collected, and no policy is
 * about them.
 */
static bool is_over(const struct pk_alloc_reader *reader)
{
	return reader->kind == PK_READ_ALLOCS && reader->r.a.terminal;
}

static int alloc_end(struct pk_alloc_reader *reader)
{
	struct pk_allocs *out = &reader->out;
	struct pk_alloc *a = &reader->r.a;

	reading_alloc_end(&reader->r);
	if (is_over(reader)) {
		out->n_terminal++;
		reading_done(&reader->r);
		return 0;
	}
	if (a->refused) {
		forget_facts(a);
		out->n_refused++;
		out->nameless |= !a->id;
	}
	if (out->n == PK_ALLOCS_MAX)
		return -E2BIG;
	a->id = a->id ?: strdup("");
	if (!a->id)
		abort();
	out->list = reading_grow(out->list, &out->n, sizeof(*out->list));
	out->list[out->n - 1] = PK_MOVE(*a, (struct pk_alloc){ 0 });
	return 0;
}

/* Refuses the alloc with a text as "Meta.tier: a value of another type". */
static void refuse_bad(struct reading *r, const struct pk_stream_event *e)
{
	const struct pk_stream_node *node = &nodes[e->node];
	const char *of = nodes[node->parent].key;

	if (e->key)
		reading_refuse(r, "%s.%.100s: %s", of, e->key, e->why);
	else if (strcmp(node->key, PK_STREAM_EACH) != 0)
		reading_refuse(r, "%s: %s", node->key, e->why);
	else
		reading_refuse(r, "%s: %s", of ?: "an alloc", e->why);
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_alloc_reader *reader = arg;
	struct reading *r = &reader->r;

	if (e->what == PK_STREAM_VALUE)
		take_value(r, e);
	if (e->what == PK_STREAM_BAD)
		refuse_bad(r, e);
	/* an alloc that is no object has no end event */
	if (e->what == PK_STREAM_BAD && e->node == ALLOC)
		return alloc_end(reader);
	if (e->what != PK_STREAM_END)
		return 0;
	switch (e->node) {
	case ALLOC:
		return alloc_end(reader);
	case PORT:
		reading_port_end(r);
		break;
	case CHECK:
	case TASK_CHECK:
		reading_check_end(r);
		break;
	case SERVICE:
	case TASK_SERVICE:
		reading_service_end(r);
		break;
	case GROUP:
		reading_group_end(r);
		break;
	default:
		break;
	}
	return 0;
}

struct pk_alloc_reader *pk_alloc_reader_new(enum pk_alloc_reader_kind kind)
{
	struct pk_alloc_reader *reader = pk_alloc(sizeof(*reader));

	reader->kind = kind;
	reader->stream = pk_stream_new(&table, on_event, reader);
	return reader;
}

void pk_alloc_reader_free(struct pk_alloc_reader *reader)
{
	if (!reader)
		return;
	pk_stream_free(reader->stream);
	reading_done(&reader->r);
	pk_allocs_done(&reader->out);
	free(reader);
}

int pk_alloc_reader_feed(struct pk_alloc_reader *reader, const char *bytes, size_t n,
			 struct pk_err *err)
{
	int r = 0;

	/* A single alloc is read as a list of one. */
	if (!reader->begun && reader->kind == PK_READ_ALLOC)
		r = pk_stream_feed(reader->stream, "[", 1, err);
	reader->begun = true;
	if (r == 0)
		r = pk_stream_feed(reader->stream, bytes, n, err);
	if (r == -E2BIG)
		pk_fail(err, 0, "Nomad's allocs: more than %u of one node", PK_ALLOCS_MAX);
	return r;
}

int pk_alloc_reader_end(struct pk_alloc_reader *reader, struct pk_allocs *out, struct pk_err *err)
{
	bool one = reader->kind == PK_READ_ALLOC;
	int r = one ? pk_alloc_reader_feed(reader, "]", 1, err) : 0;

	if (r == 0)
		r = pk_stream_end(reader->stream, err);
	if (r == 0 && one && reader->out.n != 1)
		r = pk_fail(err, 0, "Nomad's alloc: no alloc");
	if (r == 0)
		*out = PK_MOVE(reader->out, (struct pk_allocs){ 0 });
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json_stream.h"
#include "nomad_reader.h"
#include "own.h"

enum node { NODES, NODE, ID, NAME, DATACENTER, POOL, STATUS, VERSION };

static const struct pk_stream_node nodes[] = {
	[NODES] = { NODES, NULL, PK_STREAM_ARRAY },
	[NODE] = { NODES, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[ID] = { NODE, "ID", PK_STREAM_TEXT },
	[NAME] = { NODE, "Name", PK_STREAM_TEXT },
	[DATACENTER] = { NODE, "Datacenter", PK_STREAM_TEXT },
	[POOL] = { NODE, "NodePool", PK_STREAM_TEXT },
	[STATUS] = { NODE, "Status", PK_STREAM_TEXT },
	[VERSION] = { NODE, "Version", PK_STREAM_TEXT },
};

static const struct pk_stream_table table = {
	.name = "Nomad's nodes", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 256
};

struct pk_node_reader {
	struct pk_stream *stream;
	char *name;
	struct pk_nomad_node now, best;
	/* why the node that is being read, or the best one, can't be taken */
	const char *now_bad, *best_bad;
	bool now_ready, found;
	unsigned int ready;
};

static void take_text(struct pk_node_reader *r, const struct pk_stream_event *e)
{
	struct pk_nomad_node *n = &r->now;
	const struct {
		char *to;
		size_t room;
	} part[] = { [ID] = { n->id, sizeof(n->id) },
		     [NAME] = { n->name, sizeof(n->name) },
		     [DATACENTER] = { n->datacenter, sizeof(n->datacenter) },
		     [POOL] = { n->pool, sizeof(n->pool) },
		     [VERSION] = { n->version, sizeof(n->version) } };

	if (!e->text || (e->node != STATUS && e->len >= part[e->node].room))
		r->now_bad = nodes[e->node].key;
	else if (e->node == STATUS)
		r->now_ready = strcmp(e->text, "ready") == 0;
	else
		strcpy(part[e->node].to, e->text);
}

static void take_node(struct pk_node_reader *r)
{
	if (strcmp(r->now.name, r->name) == 0 || strcmp(r->now.id, r->name) == 0) {
		if (!r->found || (r->now_ready && r->ready == 0)) {
			r->best = r->now;
			r->best_bad = r->now_bad;
		}
		r->found = true;
		r->ready += r->now_ready;
	}
	r->now = (struct pk_nomad_node){ 0 };
	r->now_bad = NULL;
	r->now_ready = false;
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_node_reader *r = arg;

	if (e->what == PK_STREAM_VALUE)
		take_text(r, e);
	else if (e->what == PK_STREAM_BAD)
		r->now_bad = nodes[e->node].key;
	else if (e->what == PK_STREAM_END && e->node == NODE)
		take_node(r);
	return 0;
}

struct pk_node_reader *pk_node_reader_new(const char *name)
{
	struct pk_node_reader *r = pk_alloc(sizeof(*r));

	r->name = pk_strdup(name);
	r->stream = pk_stream_new(&table, on_event, r);
	return r;
}

void pk_node_reader_free(struct pk_node_reader *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	free(r->name);
	free(r);
}

int pk_node_reader_feed(struct pk_node_reader *r, const char *bytes, size_t n, struct pk_err *err)
{
	return pk_stream_feed(r->stream, bytes, n, err);
}

int pk_node_reader_end(struct pk_node_reader *r, struct pk_nomad_node *out, struct pk_err *err)
{
	int result = pk_stream_end(r->stream, err);

	if (result < 0)
		return result;
	if (!r->found)
		return pk_fix(err, pk_fail(err, ENOENT, "Nomad knows no node \"%s\"", r->name),
			      "set \"nomad\": { \"node\": … } to this client's name or id, and "
			      "\"region\" to its own where \"address\" is another one's");
	if (r->ready > 1)
		return pk_fix(
			err,
			pk_fail(err, 0, "Nomad has %u ready nodes named \"%s\"", r->ready, r->name),
			"set \"nomad\": { \"node\": … } to this client's id");
	if (r->best_bad)
		return pk_fail(err, 0, "Nomad's node \"%s\": %s can't be taken", r->name,
			       r->best_bad);
	*out = r->best;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "json_stream.h"
#include "nomad_reader.h"
#include "own.h"

enum node { ALLOCS, ALLOC, NAME, ID };

static const struct pk_stream_node nodes[] = {
	[ALLOCS] = { ALLOCS, NULL, PK_STREAM_ARRAY },
	[ALLOC] = { ALLOCS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[NAME] = { ALLOC, "NodeName", PK_STREAM_TEXT },
	[ID] = { ALLOC, "NodeID", PK_STREAM_TEXT },
};

static const struct pk_stream_table table = {
	.name = "Nomad's allocs", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 256
};

struct pk_placement_reader {
	struct pk_stream *stream;
	void (*fn)(void *arg, const char *node);
	void *arg;
};

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_placement_reader *r = arg;

	if (e->what == PK_STREAM_VALUE && e->text)
		r->fn(r->arg, e->text);
	return 0;
}

struct pk_placement_reader *pk_placement_reader_new(void (*fn)(void *arg, const char *node),
						    void *arg)
{
	struct pk_placement_reader *r = pk_alloc(sizeof(*r));

	r->fn = fn;
	r->arg = arg;
	r->stream = pk_stream_new(&table, on_event, r);
	return r;
}

void pk_placement_reader_free(struct pk_placement_reader *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	free(r);
}

int pk_placement_reader_feed(struct pk_placement_reader *r, const char *bytes, size_t n,
			     struct pk_err *err)
{
	return pk_stream_feed(r->stream, bytes, n, err);
}

int pk_placement_reader_end(struct pk_placement_reader *r, struct pk_err *err)
{
	return pk_stream_end(r->stream, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/nodes/remove: the operator says that a node is gone for good. */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "api.h"
#include "json.h"
#include "log.h"
#include "own.h"
#include "parts.h"

struct question {
	LIST_ENTRY(question) link;
	struct pk_exchange *x; /* NULL: who asked is gone */
	char *name;	       /* of the node */
	struct pk_removal *removal;
};

static LIST_HEAD(questions, question) all;

static void question_free(struct question *q)
{
	LIST_REMOVE(q, link);
	free(q->name);
	free(q);
}

/* A removal that was begun is ended: half a removal helps nobody. */
static void on_gone(void *arg)
{
	struct question *q = arg;

	q->x = NULL;
}

/* Tells the log how a removal ended: who asked may be gone by then. */
static void log_end(const char *name, const struct pk_removed *removed)
{
	if (removed->why)
		log_warn("op=remove node=\"%s\" keys=%zu blocks=%zu err=\"%s\" fix=\"picket node "
			 "remove %s, which goes on where it stopped\"",
			 name, removed->keys, removed->blocks, removed->why, name);
	else
		log_info("op=remove node=\"%s\" keys=%zu blocks=%zu", name, removed->keys,
			 removed->blocks);
}

static void on_removed(void *arg, const struct pk_removed *removed)
{
	struct question *q = arg;
	struct pk_exchange *x = q->x;
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	log_end(q->name, removed);
	question_free(q);
	if (!x)
		return;
	if (removed->why) {
		pk_exchange_error(x, 503, removed->why, "do it again once that is mended");
		return;
	}
	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "keys", removed->keys);
	pk_jw_uint(&w, "blocks", removed->blocks);
	pk_jw_string(&w, "left", removed->left);
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

static int read_body(const struct pk_json_doc *doc, const char **name, bool *force,
		     struct pk_err *err)
{
	const struct pk_json *root = pk_json_root(doc);
	int r = pk_json_get_string(doc, root, "name", name, err);

	if (r == 0)
		r = pk_json_get_bool(doc, root, "force", force, err);
	if (r == 0 && (!*name || !**name))
		r = pk_fix(err, pk_fail(err, 0, "\"name\" is needed"), "picket node list");
	return r;
}

static bool is_under_way(const char *name)
{
	const struct question *q;

	LIST_FOREACH (q, &all, link)
		if (strcmp(q->name, name) == 0)
			return true;
	return false;
}

static void ask(const struct pk_parts *p, struct pk_exchange *x, const char *name, bool force)
{
	struct question *q;
	struct pk_err err = { 0 };

	if (is_under_way(name)) {
		pk_exchange_error(
			x, 409, "its removal is under way already",
			"wait: picket node list doesn't show it any more once it is done");
		return;
	}
	q = pk_alloc(sizeof(*q));
	*q = (struct question){ .x = x, .name = pk_strdup(name) };
	LIST_INSERT_HEAD(&all, q, link);
	q->removal = pk_cluster_remove(p->cluster, &(struct pk_cluster_gone){ name, force },
				       on_removed, q, &err);
	if (q->removal) {
		pk_exchange_on_close(x, on_gone, q);
		return;
	}
	question_free(q);
	pk_exchange_error(x, 409, err.text, err.fix);
}

void pk_api_node_remove(const struct pk_parts *p, struct pk_exchange *x)
{
	static const char *const keys[] = { "name", "force", NULL };
	const char *name = NULL;
	struct pk_err err = { 0 };
	own_json *doc = NULL;
	bool force = false;

	if (pk_api_read_body(x, keys, &doc, &err) < 0 || read_body(doc, &name, &force, &err) < 0)
		pk_exchange_error(x, 400, err.text, err.fix);
	else if (!p->cluster)
		pk_exchange_error(x, 409, "this node is alone: it knows no others",
				  "say \"fabric\" and \"consul\" in picketd.json");
	else
		ask(p, x, name, force);
}

void pk_api_node_remove_stop(void)
{
	while (!LIST_EMPTY(&all)) {
		struct question *q = LIST_FIRST(&all);
		struct pk_exchange *x = q->x;

		log_warn(
			"op=remove node=\"%s\" err=\"picketd is ending, or asks another store from "
			"now on\" fix=\"picket node remove %s, which goes on where it stopped\"",
			q->name, q->name);
		pk_removal_cancel(q->removal);
		question_free(q);
		if (x)
			pk_exchange_error(x, 503,
					  "picketd is ending, or asks another store from now on",
					  "do it again");
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "vars.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_stream.h"
#include "own.h"
#include "service_call.h"

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/";

int pk_vars_path(const char *key, struct pk_str *path, struct pk_err *err)
{
	size_t before = path->len;

	for (const char *c = key; *c; c++) {
		if (strchr(plain, *c))
			pk_str_addn(path, c, 1);
		else
			pk_str_addf(path, "~%02x", (unsigned char)*c);
	}
	if (path->len - before <= PK_VARS_PATH_MAX)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0, "the path of %.200s has %zu bytes, and Nomad takes %d", key,
			      path->len - before, PK_VARS_PATH_MAX),
		      "shorten the names of cluster, namespace, node or document; each character "
		      "but letters, digits, - and _ has three bytes");
}

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int pk_vars_key(const char *path, struct pk_str *key)
{
	for (const char *c = path; *c; c++) {
		bool escaped = *c == '~';
		char one = *c;

		if (escaped) {
			int high = hex(c[1]), low = high < 0 ? -1 : hex(c[2]);

			if (low < 0)
				return -EINVAL;
			one = (char)(high << 4 | low);
			c += 2;
		}
		/* Each key has one path, or two variables would be one key. */
		if (!one || escaped == (strchr(plain, one) != NULL))
			return -EINVAL;
		pk_str_addn(key, &one, 1);
	}
	return 0;
}

/* Returns what is behind that of key's beginning; NULL: it begins otherwise. */
static const char *behind(const char *key, const char *prefix, const char *folder)
{
	size_t n = strlen(prefix), m = strlen(folder);

	if (strncmp(key, prefix, n) != 0 || strncmp(key + n, folder, m) != 0)
		return NULL;
	return key + n + m;
}

void pk_vars_namespace(const char *prefix, const char *key, const char *home, struct pk_str *out)
{
	static const char *const folders[] = { "policies/tenants/", "status/tenants/",
					       "history/tenants/" };
	const char *tenant = NULL;
	size_t n;

	for (size_t i = 0; i < PK_ARRAY_LEN(folders) && !tenant; i++)
		tenant = behind(key, prefix, folders[i]);
	n = tenant ? strcspn(tenant, "/") : 0;

	if (n)
		pk_str_addn(out, tenant, n);
	else
		pk_str_add(out, home);
}

int pk_vars_url(const char *prefix, const char *key, const char *home, struct pk_str *url,
		struct pk_err *err)
{
	own_str namespace = { 0 };

	pk_vars_namespace(prefix, key, home, &namespace);
	pk_str_add(url, "/v1/var/");
	if (pk_vars_path(key, url, err) < 0)
		return -EINVAL;
	pk_str_add(url, "?namespace=");
	pk_url_add(url, namespace.text, NULL);
	return 0;
}

const char *pk_vars_item(const char *prefix, const char *key)
{
	return behind(key, prefix, "policies/") ? PK_VARS_DOCUMENT : PK_VARS_VALUE;
}

enum node { VARS, VAR, NAMESPACE, PATH, CREATED, MODIFIED };

static const struct pk_stream_node nodes[] = {
	[VARS] = { VARS, NULL, PK_STREAM_ARRAY },
	[VAR] = { VARS, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[NAMESPACE] = { VAR, "Namespace", PK_STREAM_TEXT },
	[PATH] = { VAR, "Path", PK_STREAM_TEXT },
	[CREATED] = { VAR, "CreateIndex", PK_STREAM_INT },
	[MODIFIED] = { VAR, "ModifyIndex", PK_STREAM_INT },
};
static const struct pk_stream_table table = {
	.name = "Nomad's variables", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 1024
};

struct pk_vars_reader {
	struct pk_stream *stream;
	pk_var_name_fn *fn;
	void *arg;
	char *namespace, *path;
	struct pk_var_name now;
};

static void next(struct pk_vars_reader *r)
{
	free(PK_MOVE(r->namespace, NULL));
	free(PK_MOVE(r->path, NULL));
	r->now = (struct pk_var_name){ 0 };
}

static void take(struct pk_vars_reader *r, const struct pk_stream_event *e)
{
	uint64_t number = e->number > 0 ? (uint64_t)e->number : 0;

	if (e->node == CREATED)
		r->now.created = number;
	else if (e->node == MODIFIED)
		r->now.modified = number;
	else if (e->node == NAMESPACE && e->text)
		r->namespace = pk_strdup(e->text);
	else if (e->node == PATH && e->text)
		r->path = pk_strdup(e->text);
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_vars_reader *r = arg;

	if (e->what == PK_STREAM_BAD)
		return -EINVAL;
	if (e->what == PK_STREAM_VALUE)
		take(r, e);
	if (e->what != PK_STREAM_END || e->node != VAR)
		return 0;
	r->now.namespace = r->namespace;
	r->now.path = r->path;
	if (!r->namespace || !r->path || !r->now.modified)
		return -EINVAL;
	r->fn(r->arg, &r->now);
	next(r);
	return 0;
}

struct pk_vars_reader *pk_vars_reader_new(pk_var_name_fn *fn, void *arg)
{
	struct pk_vars_reader *r = pk_alloc(sizeof(*r));

	r->fn = fn;
	r->arg = arg;
	r->stream = pk_stream_new(&table, on_event, r);
	return r;
}

void pk_vars_reader_free(struct pk_vars_reader *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	next(r);
	free(r);
}

int pk_vars_reader_feed(struct pk_vars_reader *r, const char *bytes, size_t n, struct pk_err *err)
{
	int result = pk_stream_feed(r->stream, bytes, n, err);

	return result < 0 ? pk_fail(err, 0, "Nomad's list of variables can't be read") : 0;
}

int pk_vars_reader_end(struct pk_vars_reader *r, struct pk_err *err)
{
	int result = pk_stream_end(r->stream, err);

	return result < 0 ? pk_fail(err, 0, "Nomad's list of variables can't be read") : 0;
}

static char *item_of(const struct pk_json *items, const char *name)
{
	const char *text = items ? pk_json_string(pk_json_get(items, name)) : NULL;

	return text ? pk_strdup(text) : NULL;
}

int pk_var_decode(const char *body, size_t len, const char *item, struct pk_var *out,
		  struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *root, *items;
	int64_t created = 0, modified = 0;

	*out = (struct pk_var){ 0 };
	if (pk_json_parse("Nomad's variable", body, len, PK_JSON_RELAXED, &doc, err) < 0)
		return -EINVAL;
	root = pk_json_root(doc);
	if (pk_json_type(root) != PK_JSON_OBJECT ||
	    pk_json_int(pk_json_get(root, "ModifyIndex"), 1, INT64_MAX, &modified) < 0 ||
	    pk_json_int(pk_json_get(root, "CreateIndex"), 0, INT64_MAX, &created) < 0)
		return pk_fail(err, 0, "Nomad's variable: no index");
	items = pk_json_get(root, "Items");
	if (items && pk_json_type(items) != PK_JSON_OBJECT)
		items = NULL;
	out->created = (uint64_t)created;
	out->modified = (uint64_t)modified;
	out->value = item_of(items, item);
	out->node = item_of(items, PK_VARS_NODE);
	return 0;
}

void pk_var_done(struct pk_var *var)
{
	free(var->value);
	free(var->node);
	*var = (struct pk_var){ 0 };
}

void pk_var_encode(const char *item, const char *value, const char *node, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "Items", '{');
	pk_jw_string(&w, item, value);
	if (node)
		pk_jw_string(&w, PK_VARS_NODE, node);
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
}

enum { NODES, NODE, NODE_ID, NODE_STATUS };

static const struct pk_stream_node node_nodes[] = {
	[NODES] = { NODES, NULL, PK_STREAM_ARRAY },
	[NODE] = { NODES, PK_STREAM_EACH, PK_STREAM_OBJECT },
	[NODE_ID] = { NODE, "ID", PK_STREAM_TEXT },
	[NODE_STATUS] = { NODE, "Status", PK_STREAM_TEXT },
};
static const struct pk_stream_table node_table = {
	.name = "Nomad's nodes", .nodes = node_nodes, .n = PK_ARRAY_LEN(node_nodes), .text_max = 64
};

struct pk_vars_nodes {
	struct pk_stream *stream;
	pk_vars_node_fn *fn;
	void *arg;
	char id[64];
	bool known, ready;
};

static int on_node_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_vars_nodes *r = arg;

	if (e->what == PK_STREAM_VALUE && e->node == NODE_ID && e->text)
		snprintf(r->id, sizeof(r->id), "%s", e->text);
	if (e->what == PK_STREAM_VALUE && e->node == NODE_STATUS && e->text) {
		r->known = true;
		r->ready = strcmp(e->text, "ready") == 0;
	}
	if (e->what != PK_STREAM_END || e->node != NODE)
		return 0;
	if (r->known && *r->id)
		r->fn(r->arg, r->id, r->ready);
	*r->id = '\0';
	r->known = false;
	return 0;
}

struct pk_vars_nodes *pk_vars_nodes_new(pk_vars_node_fn *fn, void *arg)
{
	struct pk_vars_nodes *r = pk_alloc(sizeof(*r));

	r->fn = fn;
	r->arg = arg;
	r->stream = pk_stream_new(&node_table, on_node_event, r);
	return r;
}

void pk_vars_nodes_free(struct pk_vars_nodes *r)
{
	if (!r)
		return;
	pk_stream_free(r->stream);
	free(r);
}

int pk_vars_nodes_feed(struct pk_vars_nodes *r, const char *bytes, size_t n, struct pk_err *err)
{
	return pk_stream_feed(r->stream, bytes, n, err);
}

int pk_vars_nodes_end(struct pk_vars_nodes *r, struct pk_err *err)
{
	return pk_stream_end(r->stream, err);
}

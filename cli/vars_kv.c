/* SPDX-License-Identifier: Apache-2.0 */
#include "vars_kv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "curl_late.h"
#include "own.h"
#include "vars.h"

#define TIMEOUT_MS 20000
#define LIST_MAX   (64u << 20)
#define VAR_MAX	   (1u << 20)
#define NODES_MAX  (16u << 20)

int cli_vars_open(const struct cli *cli, struct cli_consul *consul, struct pk_err *err)
{
	own_mem char *cluster = NULL;
	own_str prefix = { 0 };

	if (pk_service_nomad(&consul->service, (pk_service_env_fn *)getenv, err) < 0 ||
	    cli_config_string(cli, "nomad", "storeNamespace", &consul->home, err) < 0)
		return -EINVAL;
	consul->home = consul->home ?: pk_strdup("default");
	if (cli_get(cli, "prefix"))
		return pk_fix(err, pk_fail(err, 0, "-prefix is of keys in Consul"),
			      "leave it out: the path of a variable begins with " PK_VARS_PREFIX);
	if (cli_get(cli, "cluster"))
		cluster = pk_strdup(cli_get(cli, "cluster"));
	else if (cli_config_string(cli, NULL, "cluster", &cluster, err) < 0)
		return -EINVAL;
	pk_str_addf(&prefix, PK_VARS_PREFIX "%s/", cluster ?: "default");
	consul->prefix = pk_str_take(&prefix);
	if (!consul->prefix)
		abort();
	return 0;
}

static int ask(struct cli_consul *consul, struct pk_http_request *request, const char *path,
	       void *arg, struct pk_curl_answer *answer, struct pk_err *err)
{
	PK_OWN(pk_service_parts_done) struct pk_service_parts parts = { 0 };

	request->token_header = "X-Nomad-Token";
	request->timeout_ms = TIMEOUT_MS;
	if (pk_service_request(&consul->service, path, 0, &parts, request, err) < 0)
		return -EINVAL;
	return cli_curl(request, arg, answer, err);
}

static int fail(struct pk_err *err, const struct pk_http_reply *reply, const char *why)
{
	pk_fail(err, 0, "Nomad: %s", why);
	if (reply->status == 403)
		return pk_fix(err, -EACCES,
			      "set NOMAD_TOKEN to a token with the rights of examples/acl");
	if (!reply->status)
		return pk_fix(err, -EIO, "set NOMAD_ADDR to an agent that answers");
	return -EIO;
}

struct listing {
	struct pk_vars_reader *reader;
	const char *below; /* the whole key that those listed begin with */
	struct pk_kvs *out;
	int result;
	struct pk_err err;
};

static void listing_done(struct listing *l)
{
	pk_vars_reader_free(l->reader);
}

static void on_name(void *arg, const struct pk_var_name *name)
{
	struct listing *l = arg;
	struct pk_kvs *out = l->out;
	own_str key = { 0 };

	if (pk_vars_key(name->path, &key) < 0 || !key.text ||
	    strncmp(key.text, l->below, strlen(l->below)) != 0)
		return;
	if ((out->n & (out->n - 1)) == 0)
		out->list = realloc(out->list, (out->n ? 2 * out->n : 1) * sizeof(*out->list));
	if (!out->list)
		abort();
	out->list[out->n++] = (struct pk_kv){ .key = pk_str_take(&key),
					      .value = pk_strdup(""),
					      .created = name->created,
					      .modified = name->modified };
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct listing *l = arg;

	l->result = pk_vars_reader_feed(l->reader, bytes, n, &l->err);
	return l->result == 0;
}

static int list_keys(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		     struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	PK_OWN(listing_done) struct listing listing = { .below = below, .out = out };
	struct pk_http_request request = { .cap = LIST_MAX, .sink = on_bytes };
	own_str path = { 0 }, namespace = { 0 };
	char why[300];
	int r;

	pk_vars_namespace(consul->prefix, below, consul->home, &namespace);
	pk_str_add(&path, "/v1/vars?namespace=");
	pk_url_add(&path, namespace.text, NULL);
	pk_str_add(&path, "&prefix=");
	if (pk_vars_path(below, &path, err) < 0)
		return -EINVAL;
	listing.reader = pk_vars_reader_new(on_name, &listing);
	r = ask(consul, &request, path.text, &listing, &answer, err);
	if (r < 0)
		return r;
	if (listing.result < 0)
		return pk_fail(err, 0, "%s", listing.err.text);
	if (pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	if (pk_vars_reader_end(listing.reader, err) < 0)
		return -EINVAL;
	consul->index = answer.reply.index;
	pk_kvs_sort(out);
	return 0;
}

/* Notes where the token may not read: a list lacks that without a sign. */
static int note_hidden(struct cli_consul *consul, const char *below, struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	struct pk_http_request request = { .cap = VAR_MAX };
	own_str path = { 0 }, key = { 0 };
	char why[300];

	pk_str_addf(&key, "%s" PK_VARS_NOBODYS, below);
	if (pk_vars_url(consul->prefix, key.text, consul->home, &path, err) < 0 ||
	    ask(consul, &request, path.text, NULL, &answer, err) < 0)
		return -EINVAL;
	if (answer.reply.status == 403) {
		free(consul->hidden);
		consul->hidden = pk_strdup(below);
		return 0;
	}
	if (pk_service_failed(&answer.reply, true, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	return 0;
}

struct ready {
	struct pk_kvs *kvs; /* keys, whose values are read one after another */
	char **holders;	    /* the node that holds each key; NULL: none does */
};

static void on_node(void *arg, const char *id, bool is_ready)
{
	const struct ready *r = arg;

	for (size_t i = 0; i < r->kvs->n; i++)
		if (r->holders[i] && strcmp(r->holders[i], id) == 0)
			r->kvs->list[i].held = is_ready;
}

/* Reads a value. One that went since the list was made is empty. */
static int read_value(struct cli_consul *consul, struct pk_kv *kv, char **holder,
		      struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	PK_OWN(pk_var_done) struct pk_var var = { 0 };
	struct pk_http_request request = { .cap = VAR_MAX };
	const char *item = pk_vars_item(consul->prefix, kv->key);
	own_str path = { 0 };
	char why[300];

	if (pk_vars_url(consul->prefix, kv->key, consul->home, &path, err) < 0 ||
	    ask(consul, &request, path.text, NULL, &answer, err) < 0)
		return -EINVAL;
	if (pk_service_failed(&answer.reply, true, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	if (answer.reply.status == 404)
		return 0;
	if (pk_var_decode(answer.reply.body, answer.reply.len, item, &var, err) < 0)
		return -EINVAL;
	*holder = PK_MOVE(var.node, NULL);
	kv->modified = var.modified;
	if (!var.value) {
		kv->unreadable = strcmp(item, PK_VARS_DOCUMENT) == 0
					 ? "its variable has no item \"" PK_VARS_DOCUMENT "\""
					 : "its variable has no item \"" PK_VARS_VALUE "\"";
		return 0;
	}
	free(kv->value);
	kv->value = PK_MOVE(var.value, NULL);
	kv->len = strlen(kv->value);
	return 0;
}

static int read_nodes(const struct pk_http_reply *reply, struct ready *ready, struct pk_err *err)
{
	struct pk_vars_nodes *nodes = pk_vars_nodes_new(on_node, ready);
	int r = pk_vars_nodes_feed(nodes, reply->body, reply->len, err);

	if (r == 0)
		r = pk_vars_nodes_end(nodes, err);
	pk_vars_nodes_free(nodes);
	return r;
}

/* Asks which of the holders are ready, where there are any. */
static int find_ready(struct cli_consul *consul, struct ready *ready, struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	struct pk_http_request request = { .cap = NODES_MAX };
	char why[300];
	size_t i = 0;

	while (i < ready->kvs->n && !ready->holders[i])
		i++;
	if (i == ready->kvs->n)
		return 0;
	if (ask(consul, &request, "/v1/nodes", NULL, &answer, err) < 0)
		return -EINVAL;
	if (pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	if (!answer.reply.index)
		return pk_fail(err, 0, PK_SERVICE_NO_INDEX);
	return read_nodes(&answer.reply, ready, err);
}

int cli_vars_read(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		  struct pk_err *err)
{
	struct ready ready = { .kvs = out };
	own_str whole = { 0 };
	int r;

	*out = (struct pk_kvs){ 0 };
	pk_str_addf(&whole, "%s%s", consul->prefix, below);
	r = list_keys(consul, whole.text, out, err);
	if (r == 0)
		r = note_hidden(consul, whole.text, err);
	ready.holders = pk_alloc((out->n + 1) * sizeof(*ready.holders));
	for (size_t i = 0; i < out->n && r == 0; i++)
		r = read_value(consul, &out->list[i], &ready.holders[i], err);
	if (r == 0)
		r = find_ready(consul, &ready, err);
	for (size_t i = 0; i < out->n; i++)
		free(ready.holders[i]);
	free(ready.holders);
	if (r < 0)
		pk_kvs_done(out);
	return r;
}

int cli_vars_names(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		   struct pk_err *err)
{
	own_str whole = { 0 };
	int r;

	*out = (struct pk_kvs){ 0 };
	pk_str_addf(&whole, "%s%s", consul->prefix, below);
	r = list_keys(consul, whole.text, out, err);
	if (r < 0)
		pk_kvs_done(out);
	return r;
}

static enum cli_consul_end write_one(struct cli_consul *consul,
				     const struct cli_consul_change *change, struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	struct pk_http_request request = { .method = change->value ? "PUT" : "DELETE",
					   .cap = VAR_MAX };
	own_str path = { 0 }, body = { 0 };
	char why[300];

	if (pk_vars_url(consul->prefix, change->key, consul->home, &path, err) < 0)
		return CLI_CONSUL_REFUSED;
	if (strcmp(change->verb, "delete") != 0)
		pk_str_addf(&path, "&cas=%lu", change->index);
	pk_var_encode(pk_vars_item(consul->prefix, change->key), change->value ?: "", NULL, &body);
	request.body = change->value ? body.text : NULL;
	if (ask(consul, &request, path.text, NULL, &answer, err) < 0)
		return CLI_CONSUL_REFUSED;
	if (answer.reply.status == 409) {
		pk_fail(err, 0, "%.150s: its index is another one", change->key);
		return CLI_CONSUL_STALE;
	}
	if (answer.reply.status == 204 ||
	    !pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return CLI_CONSUL_DONE;
	fail(err, &answer.reply, why);
	if (answer.reply.status && answer.reply.status < 500)
		return CLI_CONSUL_REFUSED;
	return CLI_CONSUL_UNKNOWN;
}

enum cli_consul_end cli_vars_write(struct cli_consul *consul,
				   const struct cli_consul_change *changes, size_t n,
				   struct pk_err *err)
{
	enum cli_consul_end end = CLI_CONSUL_DONE;

	for (size_t i = 0; i < n && end == CLI_CONSUL_DONE; i++)
		end = write_one(consul, &changes[i], err);
	return end;
}

int cli_vars_self(struct cli_consul *consul, struct cli_consul_who *who, struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	struct pk_http_request request = { .cap = VAR_MAX };
	char why[300];
	int r = ask(consul, &request, "/v1/acl/token/self", NULL, &answer, err);

	/* 400: it has no ACLs. The others: an identity that is no token, or one that it refuses. */
	if (r < 0 || (answer.reply.status >= 400 && answer.reply.status <= 404))
		return r;
	if (pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	return cli_consul_read_self(&answer, "Name", who, err);
}

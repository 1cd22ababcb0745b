/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_kv.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "curl_late.h"
#include "docsource.h"
#include "own.h"
#include "vars_kv.h"

#define TIMEOUT_MS 20000
#define ANSWER_MAX (1u << 20) /* bytes of the answer to a write */
#define FIX_MARK   "; fix: "

/* Returns whether the text is names of keys with slashes between them. */
static bool is_key_path(const char *text)
{
	return *text && *text != '/' && text[strlen(text) - 1] != '/' && !strstr(text, "//");
}

/* Finds a part of the prefix: the option, else picketd.json's word, else the default. */
static int find_part(const struct cli *cli, const char *option, const char *section,
		     const char *usual, char **out, struct pk_err *err)
{
	own_mem char *said = NULL;

	if (cli_get(cli, option))
		said = pk_strdup(cli_get(cli, option));
	else if (cli_config_string(cli, section, option, &said, err) < 0)
		return -EINVAL;
	*out = said ? PK_MOVE(said, NULL) : pk_strdup(usual);
	if (is_key_path(*out))
		return 0;
	return pk_fix(err, pk_fail(err, 0, "%s \"%.100s\"", option, *out),
		      "give names with slashes between them");
}

/* Refuses to ask a store that this node doesn't ask, where picketd.json says which one it does. */
static int check_store(const struct cli *cli, struct pk_err *err)
{
	bool vars = cli_has(cli, "nomad");
	own_mem char *store = NULL;

	if (cli_has(cli, "consul") && vars)
		return pk_fix(err, pk_fail(err, 0, "-consul and -nomad are two stores"),
			      "say the one that \"store\" of picketd.json names");
	if (cli_config_string(cli, NULL, "store", &store, err) < 0)
		return -EINVAL;
	if (vars || !store || strcmp(store, PK_ORIGIN_NOMAD) != 0)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0,
			      "\"store\" of picketd.json is \"nomad\": no node here reads "
			      "Consul's keys"),
		      "say -nomad");
}

int cli_consul_open(const struct cli *cli, struct cli_consul *consul, struct pk_err *err)
{
	own_mem char *prefix = NULL, *cluster = NULL;
	own_str text = { 0 };

	*consul = (struct cli_consul){ .origin = PK_ORIGIN_CONSUL };
	if (check_store(cli, err) < 0)
		return -EINVAL;
	if (cli_has(cli, "nomad")) {
		consul->origin = PK_ORIGIN_NOMAD;
		return cli_vars_open(cli, consul, err);
	}
	if (pk_service_consul(&consul->service, (pk_service_env_fn *)getenv, err) < 0 ||
	    find_part(cli, "prefix", "consul", "picket", &prefix, err) < 0 ||
	    find_part(cli, "cluster", NULL, "default", &cluster, err) < 0)
		return -EINVAL;
	pk_str_addf(&text, "%s/v1/%s/", prefix, cluster);
	consul->prefix = pk_str_take(&text);
	if (!consul->prefix)
		abort();
	return 0;
}

void cli_consul_done(struct cli_consul *consul)
{
	explicit_bzero(consul->service.token, sizeof(consul->service.token));
	free(PK_MOVE(consul->prefix, NULL));
	free(PK_MOVE(consul->home, NULL));
	free(PK_MOVE(consul->hidden, NULL));
}

/* Fails with "what; fix: how" in two parts, and with what is known of refusals. */
static int fail(struct pk_err *err, const struct pk_http_reply *reply, const char *why)
{
	const char *fix = strstr(why, FIX_MARK);
	int n = fix ? (int)(fix - why) : (int)strlen(why);

	pk_fail(err, 0, "Consul: %.*s", n, why);
	if (fix)
		return pk_fix(err, -EIO, "%s", fix + strlen(FIX_MARK));
	if (reply->status == 401 || reply->status == 403)
		return pk_fix(err, -EACCES,
			      "set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE to a token with the "
			      "rights of examples/acl");
	if (!reply->status)
		return pk_fix(err, -EIO, "set CONSUL_HTTP_ADDR to an agent that answers");
	return -EIO;
}

static int ask(struct cli_consul *consul, struct pk_http_request *request, const char *path,
	       void *arg, struct pk_curl_answer *answer, struct pk_err *err)
{
	PK_OWN(pk_service_parts_done) struct pk_service_parts parts = { 0 };

	request->token_header = "X-Consul-Token";
	request->timeout_ms = TIMEOUT_MS;
	if (pk_service_request(&consul->service, path, 0, &parts, request, err) < 0)
		return -EINVAL;
	return cli_curl(request, arg, answer, err);
}

struct reading {
	struct pk_kv_reader *reader;
	int result;
	struct pk_err err;
};

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct reading *r = arg;

	r->result = pk_kv_reader_feed(r->reader, bytes, n, &r->err);
	return r->result == 0;
}

static void reading_done(struct reading *r)
{
	pk_kv_reader_free(r->reader);
}

/*
 * Notes keys that Consul hides. It says so of an answer that it filtered, but not to a question
 * without a token: there it answers as for a prefix without keys.
 */
static void note_hidden(struct cli_consul *consul, const struct pk_http_reply *reply,
			const char *prefix)
{
	const struct pk_service *s = &consul->service;
	bool unsure = reply->status == 404 && reply->denies && !*s->token && !*s->token_file;

	if ((!reply->filtered && !unsure) || (consul->hidden && !consul->unsure))
		return;
	free(consul->hidden);
	consul->hidden = pk_strdup(prefix);
	consul->unsure = !reply->filtered;
}

int cli_consul_say_hidden(const struct cli *cli, const struct cli_consul *consul, bool shown)
{
	struct pk_err err = { 0 };

	if (!consul->hidden || (consul->unsure && shown))
		return CLI_OK;
	if (consul->unsure) {
		pk_fail(&err, 0, "Consul may hide keys below %.150s: it was asked without a token",
			consul->hidden);
		pk_fix(&err, 0, "set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE");
		return cli_fail(cli, &err, CLI_OK);
	}
	pk_fail(&err, 0, "%s hides keys below %.150s from this token",
		consul->home ? "Nomad" : "Consul", consul->hidden);
	if (consul->home)
		pk_fix(&err, 0, "give it the rights of examples/acl in that namespace");
	else
		pk_fix(&err, 0,
		       "give it key_prefix \"%.150s\" { policy = \"read\" } (examples/acl)",
		       consul->hidden);
	return cli_fail(cli, &err, shown ? CLI_OK : CLI_CANNOT);
}

int cli_consul_read(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		    struct pk_err *err)
{
	static const struct pk_kv_budget budget = { PK_CONSUL_KEYS_MAX, PK_CONSUL_BODY_MAX };
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	PK_OWN(reading_done) struct reading reading = { 0 };
	struct pk_http_request request = { .cap = PK_CONSUL_BODY_MAX * 2, .sink = on_bytes };
	own_str prefix = { 0 }, path = { 0 };
	char why[300];
	int r;

	if (consul->home)
		return cli_vars_read(consul, below, out, err);
	*out = (struct pk_kvs){ 0 };
	pk_str_addf(&prefix, "%s%s", consul->prefix, below);
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, prefix.text, "/");
	pk_str_add(&path, "?recurse=true&consistent=true");
	reading.reader = pk_kv_reader_new(prefix.text, &budget);
	r = ask(consul, &request, path.text, &reading, &answer, err);
	if (r < 0)
		return r;
	if (reading.result < 0)
		return pk_fail(err, 0, "%s", reading.err.text);
	if (pk_service_failed(&answer.reply, true, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	if (!answer.reply.index)
		return pk_fix(err,
			      pk_fail(err, 0, "what answers has no index: it is not Consul's KV"),
			      "set CONSUL_HTTP_ADDR to Consul's agent");
	consul->index = answer.reply.index;
	note_hidden(consul, &answer.reply, prefix.text);
	return answer.reply.status == 404 ? 0 : pk_kv_reader_end(reading.reader, out, err);
}

int cli_consul_names(struct cli_consul *consul, const char *below, struct pk_kvs *out,
		     struct pk_err *err)
{
	if (consul->home)
		return cli_vars_names(consul, below, out, err);
	return cli_consul_read(consul, below, out, err);
}

static void claim(struct cli_consul_who *who)
{
	const char *user = getenv("SUDO_USER");
	const struct passwd *entry = user ? NULL : getpwuid(getuid());
	char host[65] = "";

	gethostname(host, sizeof(host) - 1);
	*who = (struct cli_consul_who){ 0 };
	if (user || entry)
		snprintf(who->name, sizeof(who->name), "%.100s@%s", user ?: entry->pw_name, host);
	else
		snprintf(who->name, sizeof(who->name), "%u@%s", getuid(), host);
}

static int read_self(const struct pk_http_reply *reply, const char *name_of,
		     struct cli_consul_who *who, struct pk_err *err)
{
	own_json *doc = NULL;
	const char *accessor, *name;

	if (pk_json_parse("the token", reply->body, reply->len, PK_JSON_RELAXED, &doc, err) < 0)
		return -EINVAL;
	accessor = pk_json_string(pk_json_get(pk_json_root(doc), "AccessorID"));
	name = pk_json_string(pk_json_get(pk_json_root(doc), name_of));
	if (!accessor)
		return pk_fail(err, 0, "the token has no AccessorID");
	/* Nomad calls so whoever asks without a token. */
	if (strcmp(accessor, "anonymous") == 0)
		return 0;
	snprintf(who->accessor, sizeof(who->accessor), "%s", accessor);
	snprintf(who->name, sizeof(who->name), "%s", name && *name ? name : accessor);
	return 0;
}

int cli_consul_read_self(struct pk_curl_answer *answer, const char *name_of,
			 struct cli_consul_who *who, struct pk_err *err)
{
	int r = read_self(&answer->reply, name_of, who, err);

	if (answer->body)
		explicit_bzero(answer->body, answer->reply.len);
	return r;
}

int cli_consul_self(struct cli_consul *consul, struct cli_consul_who *who, struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	struct pk_http_request request = { .cap = ANSWER_MAX };
	char why[300];
	int r;

	claim(who);
	if (consul->home)
		return cli_vars_self(consul, who, err);
	r = ask(consul, &request, "/v1/acl/token/self", NULL, &answer, err);
	/* 401: it has no ACLs. 403: the anonymous token, or one whose writes it refuses, too. */
	if (r < 0 || answer.reply.status == 401 || answer.reply.status == 403)
		return r;
	if (pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return fail(err, &answer.reply, why);
	return cli_consul_read_self(&answer, "Description", who, err);
}

static void add_change(struct pk_jw *w, const struct cli_consul_change *change)
{
	own_str value = { 0 };

	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, "KV", '{');
	pk_jw_string(w, "Verb", change->verb);
	pk_jw_string(w, "Key", change->key);
	if (change->value) {
		pk_base64_add(&value, change->value, change->len);
		pk_jw_string(w, "Value", value.text ?: "");
	}
	if (strcmp(change->verb, "set") != 0 && strcmp(change->verb, "delete") != 0)
		pk_jw_uint(w, "Index", change->index);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

/* Says why a transaction was not made: it names the first change that stood in its way. */
static enum cli_consul_end refused(const struct pk_http_reply *reply,
				   const struct cli_consul_change *changes, size_t n,
				   struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *errors = NULL, *what;
	int64_t at = 0;

	if (pk_json_parse("Consul's answer", reply->body, reply->len, PK_JSON_RELAXED, &doc,
			  NULL) == 0)
		errors = pk_json_get(pk_json_root(doc), "Errors");
	what = errors ? pk_json_first(errors) : NULL;
	if (!what || pk_json_int(pk_json_get(what, "OpIndex"), 0, (int64_t)n - 1, &at) < 0) {
		pk_fail(err, 0, "Consul: status 409: %.200s", reply->body);
		return CLI_CONSUL_REFUSED;
	}
	pk_fail(err, 0, "%.150s: %.200s", changes[at].key,
		pk_json_string(pk_json_get(what, "What")) ?: "refused");
	if (!strstr(err->text, "Permission denied"))
		return CLI_CONSUL_STALE;
	pk_fix(err, 0, "give the token key_prefix \"%.150s\" { policy = \"write\" } (examples/acl)",
	       changes[at].key);
	return CLI_CONSUL_REFUSED;
}

enum cli_consul_end cli_consul_write(struct cli_consul *consul,
				     const struct cli_consul_change *changes, size_t n,
				     struct pk_err *err)
{
	PK_OWN(pk_curl_answer_done) struct pk_curl_answer answer = { 0 };
	own_str body = { 0 };
	struct pk_jw w = { .out = &body };
	struct pk_http_request request = { .method = "PUT", .cap = ANSWER_MAX };
	char why[300];

	if (consul->home)
		return cli_vars_write(consul, changes, n, err);
	pk_jw_open(&w, NULL, '[');
	for (size_t i = 0; i < n; i++)
		add_change(&w, &changes[i]);
	pk_jw_close(&w, ']');
	if (body.failed)
		abort();
	request.body = body.text;
	if (ask(consul, &request, "/v1/txn", NULL, &answer, err) < 0)
		return CLI_CONSUL_REFUSED;
	if (answer.reply.status == 409)
		return refused(&answer.reply, changes, n, err);
	if (!pk_service_failed(&answer.reply, false, why, sizeof(why)))
		return CLI_CONSUL_DONE;
	fail(err, &answer.reply, why);
	if (answer.reply.status && answer.reply.status < 500)
		return CLI_CONSUL_REFUSED;
	return CLI_CONSUL_UNKNOWN;
}

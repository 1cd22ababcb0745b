/* SPDX-License-Identifier: Apache-2.0 */
#include "cni_conf.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "own.h"
#include "picket/limits.h"
#include "settings_forms.h"
#include "str.h"

static const char *const version_names[] = { "0.3.1", "0.4.0", "1.0.0", "1.1.0", NULL };
_Static_assert(PK_ARRAY_LEN(version_names) == CNI_1_1_0 + 2, "one name per version");

static const char *const verb_names[] = { "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION" };
_Static_assert(PK_ARRAY_LEN(verb_names) == CNI_VERSION + 1, "one name per verb");

const char *cni_verb_name(enum cni_verb verb)
{
	return verb_names[verb];
}

bool cni_id_ok(const char *id)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	if (!*id || !strchr(first, *id) || strlen(id) > PK_CNI_ID_MAX)
		return false;
	for (; *id; id++)
		if (!strchr(first, *id) && !strchr("_.-", *id))
			return false;
	return true;
}

bool cni_ifname_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > PK_IFNAME_MAX || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name >= 0x7f || *name == '/' || *name == ':')
			return false;
	return true;
}

const char *cni_version_name(enum cni_version version)
{
	return version_names[version];
}

/* The specification's name, and the one that it had by mistake: libcni writes both. */
const char *const cni_attachment_keys[2] = { "cni.dev/valid-attachments", "cni.dev/attachments" };

static int bad(const struct cni_conf *conf, const struct pk_json *value, struct pk_err *err,
	       const char *expected)
{
	return pk_json_fail(err, conf->doc, value, false, "expected %s", expected);
}

static int parse_root(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	conf->root = pk_json_string(value);
	if (!conf->root || conf->root[0] != '/') {
		conf->root = "/";
		return bad(conf, value, err, "an absolute path");
	}
	return 0;
}

/*
 * Reads runtimeConfig. A runtime fills only what `capabilities` declares: what we would ignore is
 * refused.
 */
int cni_runtime_read(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	for (const struct pk_json *m = pk_json_first(value); m; m = pk_json_next(m)) {
		const char *key = pk_json_key(m);
		bool ports = !strcasecmp(key, "portMappings");
		int r = 0;

		if (ports || !strcasecmp(key, "bandwidth")) {
			r = ports ? cni_ports_parse(conf, m, err)
				  : cni_bandwidth_parse(conf, m, err);
			if (r < 0)
				return r;
			continue;
		}
		if (pk_json_type(m) == PK_JSON_NULL || strchr(key, '.') || strchr(key, '/'))
			continue;
		pk_json_fail(err, conf->doc, m, true, "runtimeConfig \"%.40s\" is not supported",
			     key);
		pk_fix(err, 0, "remove \"%.40s\" from the conflist's \"capabilities\"", key);
		if (err)
			err->code = PK_CODE_UNSUPPORTED;
		return -ENOTSUP;
	}
	return 0;
}

static bool is_name(const char *name)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	if (!*name || !strchr(set, *name) || strlen(name) > 255)
		return false;
	for (; *name; name++)
		if (!strchr(set, *name) && !strchr("_.-", *name))
			return false;
	return true;
}

static int parse_version(struct cni_conf *conf, const struct pk_json *v, struct pk_err *err)
{
	const char *text = v ? pk_json_string(v) : "0.1.0";

	for (unsigned int i = 0; text && version_names[i]; i++) {
		if (!strcmp(text, version_names[i])) {
			conf->version = (enum cni_version)i;
			return 0;
		}
	}
	pk_fail(err, 0, v ? "cniVersion \"%.20s\" is not supported" : "cniVersion is absent",
		text ? text : "");
	pk_fix(err, 0,
	       "say \"cniVersion\": \"1.0.0\"; 0.3.1, 0.4.0, 1.0.0 and 1.1.0 are supported");
	return pk_code(err, -EINVAL, PK_CODE_VERSION);
}

static int check_verb(const struct cni_conf *conf, enum cni_verb verb, struct pk_err *err)
{
	enum cni_version since = CNI_0_3_1;

	if (verb == CNI_CHECK)
		since = CNI_0_4_0;
	else if (verb == CNI_GC || verb == CNI_STATUS)
		since = CNI_1_1_0;
	if (conf->version >= since)
		return 0;
	pk_fail(err, 0, "cniVersion %s has no %s", version_names[conf->version],
		cni_verb_name(verb));
	pk_fix(err, 0, "say \"cniVersion\": \"%s\", or later", version_names[since]);
	return pk_code(err, -EINVAL, PK_CODE_VERSION);
}

/*
 * Returns whether the verb asks for neither version nor name: both may have been edited since ADD.
 */
static bool is_lenient(enum cni_verb verb)
{
	return verb == CNI_DEL || verb == CNI_CHECK;
}

static int parse_head(struct cni_conf *conf, const struct cni_conf_text *in, enum cni_verb verb,
		      struct pk_err *err)
{
	struct pk_err ignored = { 0 };
	const struct pk_json *v;
	int r;

	if (pk_json_type(in->plugin) != PK_JSON_OBJECT)
		return bad(conf, in->plugin, err, "an object");
	r = parse_version(conf, in->version, is_lenient(verb) ? &ignored : err);
	if (r == 0)
		r = check_verb(conf, verb, err);
	else if (is_lenient(verb))
		r = 0;
	if (r < 0)
		return r;
	v = in->name;
	conf->name = v ? pk_json_string(v) : NULL;
	if (!is_lenient(verb) && (!conf->name || !is_name(conf->name))) {
		pk_json_fail(err, conf->doc, v ? v : in->plugin, false,
			     v ? "the network's name is not of a-z A-Z 0-9 _ . -"
			       : "the network's \"name\" is missing");
		return pk_fix(err, -EINVAL, "say \"name\": \"picket\"");
	}
	v = pk_json_get(in->plugin, "root");
	return v ? parse_root(conf, v, err) : 0;
}

static int parse_all(struct cni_conf *conf, const struct pk_json *root, enum cni_verb verb,
		     struct pk_err *err)
{
	bool strict = verb == CNI_ADD || verb == CNI_STATUS;

	for (const struct pk_json *m = pk_json_first(root); m; m = pk_json_next(m)) {
		struct pk_err ignored = { 0 };
		int r = pk_schema_read_member(&cni_form_conf, conf->doc, m, conf,
					      strict ? err : &ignored);

		if (r < 0 && strict)
			return r;
	}
	return 0;
}

/* Checks the gateway against the pool, which may stand behind it in the text. */
static int check_gateway(const struct cni_conf *conf, const struct pk_json *plugin,
			 struct pk_err *err)
{
	const struct pk_json *v = pk_json_get(plugin, "gateway");

	if (pk_addr_is_zero(&conf->gateway))
		return 0;
	for (size_t i = 0; i < conf->n_pools; i++)
		if (pk_prefix_has(&conf->pool[i], &conf->gateway))
			return 0;
	pk_json_fail(err, conf->doc, v, false, "the gateway is not in the \"pool\"");
	return pk_fix(err, -EINVAL, "take an address of the pool, or drop \"gateway\"");
}

/* Makes an error one of meaning: the text was JSON, whatever the getters said. */
static int well_formed(struct pk_err *err, int r)
{
	if (err && (err->code == PK_CODE_DECODE || err->code == PK_CODE_NONE))
		err->code = PK_CODE_CONFIG;
	return pk_fix(err, r, "correct the conflist; docs/cni.md lists its keys");
}

uint32_t cni_deadline_default(enum cni_verb verb)
{
	return verb == CNI_DEL ? 5000 : 2000;
}

int cni_conf_take(const struct cni_conf_text *in, enum cni_verb verb, struct cni_conf *out,
		  struct pk_err *err)
{
	PK_OWN(cni_conf_done)
	struct cni_conf conf = {
		.doc = in->doc,
		.version = CNI_1_0_0,
		.root = "/",
		.owner = -1,
		.group = -1,
		.queues = 1,
		.masquerade = { .ipv4 = true,
				.low = PK_MASQUERADE_LOW,
				.high = PK_MASQUERADE_HIGH },
		.baseline = PK_BASELINE_TENANT,
		.wait_ms = 500,
		.log_level = PK_LOG_WARN,
		.deadline_ms = cni_deadline_default(verb),
	};
	int r = parse_head(&conf, in, verb, err);

	if (r == 0)
		r = parse_all(&conf, in->plugin, verb, err);
	if (r == 0 && verb == CNI_ADD)
		r = check_gateway(&conf, in->plugin, err);
	if (r == 0 && verb == CNI_ADD)
		r = cni_attach_check(&conf, in->plugin, err);
	conf.doc = NULL; /* still the caller's */
	if (r < 0) {
		out->version = conf.version; /* of the error object */
		return well_formed(err, r);
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(cni_attachment_keys); i++)
		conf.attachments[i] = pk_json_get(in->plugin, cni_attachment_keys[i]);
	*out = conf;
	memset(&conf, 0, sizeof(conf));
	return 0;
}

int cni_conf_parse(const char *text, size_t len, enum cni_verb verb, struct cni_conf *conf,
		   struct pk_err *err)
{
	struct cni_conf_text in = { 0 };
	own_json *doc = NULL;
	int r = pk_json_parse("conflist", text, len, 0, &doc, err);

	if (r < 0) {
		pk_fix(err, r, "look at the conflist in the runtime's CNI configuration directory");
		return pk_code(err, r, PK_CODE_DECODE);
	}
	in.doc = doc;
	in.plugin = pk_json_root(doc);
	in.name = pk_json_get(in.plugin, "name");
	in.version = pk_json_get(in.plugin, "cniVersion");
	r = cni_conf_take(&in, verb, conf, err);
	if (r == 0)
		conf->doc = PK_MOVE(doc, NULL);
	return r;
}

void cni_conf_done(struct cni_conf *conf)
{
	for (size_t i = 0; i < conf->dns.n_search; i++)
		free(conf->dns.search[i]);
	conf->dns.n_search = 0;
	free(conf->ports);
	conf->ports = NULL;
	pk_json_free(PK_MOVE(conf->doc, NULL));
}

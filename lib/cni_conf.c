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

#define ID_MAX	     4294967294
#define DEADLINE_MIN 50
#define DEADLINE_MAX 60000

static const char *const version_names[] = { "0.3.1", "0.4.0", "1.0.0", "1.1.0", NULL };
_Static_assert(PK_ARRAY_LEN(version_names) == CNI_1_1_0 + 2, "one name per version");

static const char *const verb_names[] = { "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION" };
_Static_assert(PK_ARRAY_LEN(verb_names) == CNI_VERSION + 1, "one name per verb");

const char *cni_verb_name(enum cni_verb verb)
{
	return verb_names[verb];
}

const char *const cni_job_arg_names[] = { "picket.mac", "picket.ip", "picket.limits", NULL };

unsigned int cni_job_arg_bit(const char *name)
{
	for (unsigned int i = 0; cni_job_arg_names[i]; i++)
		if (!strcmp(name, cni_job_arg_names[i]))
			return 1u << i;
	return 0;
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

/* One key of the conflist: how its value gets into the struct. */
struct key {
	const char *name;
	int (*parse)(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err);
};

static int bad(const struct cni_conf *conf, const struct pk_json *value, struct pk_err *err,
	       const char *expected)
{
	return pk_json_fail(err, conf->doc, value, false, "expected %s", expected);
}

static int whole(const struct cni_conf *conf, const struct pk_json *value, int64_t lo, int64_t hi,
		 int64_t *out, struct pk_err *err)
{
	if (pk_json_type(value) == PK_JSON_NUMBER && pk_json_int(value, lo, hi, out) == 0)
		return 0;
	return pk_json_fail(err, conf->doc, value, false, "expected a whole number, %lld to %lld",
			    (long long)lo, (long long)hi);
}

static int flag(const struct cni_conf *conf, const struct pk_json *value, bool *out,
		struct pk_err *err)
{
	if (pk_json_type(value) != PK_JSON_BOOL)
		return bad(conf, value, err, "true or false");
	*out = pk_json_true(value);
	return 0;
}

/* A string out of names (ends with NULL) -> its index. */
static int choice(const struct cni_conf *conf, const struct pk_json *value,
		  const char *const *names, struct pk_err *err)
{
	const char *text = pk_json_string(value);
	const char *near = text ? pk_nearest(text, names) : NULL;
	char list[160] = "";
	int i = 0;

	for (; names[i]; i++) {
		if (text && !strcmp(text, names[i]))
			return i;
		strncat(list, i ? ", \"" : "\"", sizeof(list) - strlen(list) - 1);
		strncat(list, names[i], sizeof(list) - strlen(list) - 1);
		strncat(list, "\"", sizeof(list) - strlen(list) - 1);
	}
	pk_json_fail(err, conf->doc, value, false, "expected one of %s", list);
	return near ? pk_fix(err, -EINVAL, "did you mean \"%s\"?", near) : -EINVAL;
}

static int parse_mode(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "vm", "process", NULL };
	int r = choice(conf, value, names, err);

	conf->process = r == 1;
	return r < 0 ? r : 0;
}

static int parse_attach(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "netns-tap", "host-tap", NULL };
	int r = choice(conf, value, names, err);

	conf->host_tap = r == 1;
	return r < 0 ? r : 0;
}

static int parse_hook(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "clsact", "tcx", NULL };
	int r = choice(conf, value, names, err);

	conf->tcx = r == 1;
	return r < 0 ? r : 0;
}

static int parse_baseline(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "tenant", "deny", "open", NULL };
	int r = choice(conf, value, names, err);

	if (r < 0)
		return r;
	conf->has_baseline = true;
	return pk_baseline_parse(names[r], &conf->baseline);
}

static int parse_log_level(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "error", "warn", "info", "debug", NULL };
	static const int levels[] = { PK_LOG_ERROR, PK_LOG_WARN, PK_LOG_INFO, PK_LOG_DEBUG };
	int r = choice(conf, value, names, err);

	if (r >= 0)
		conf->log_level = levels[r];
	return r < 0 ? r : 0;
}

static int parse_owner(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return whole(conf, value, 0, ID_MAX, &conf->owner, err);
}

static int parse_group(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return whole(conf, value, 0, ID_MAX, &conf->group, err);
}

static int parse_mtu(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	int64_t n = 0;
	int r = whole(conf, value, PK_MTU_MIN, PK_MTU_MAX, &n, err);

	conf->mtu = (uint32_t)n;
	return r;
}

static int parse_queues(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	int64_t n = 1;
	int r = whole(conf, value, 1, CNI_QUEUES_MAX, &n, err);

	conf->queues = (uint32_t)n;
	return r;
}

static int parse_uplinks(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	if (pk_json_type(value) == PK_JSON_NULL)
		return bad(conf, value, err, "a network device's name");
	return pk_schema_read(&pk_form_uplinks, conf->doc, value, &conf->uplinks, err);
}

static int parse_masquerade(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return pk_schema_read(&pk_form_masquerade, conf->doc, value, &conf->masquerade, err);
}

/* The key's name before a node could have several. */
static int parse_uplink(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	const char *text = pk_json_string(value);

	if (!text || !cni_ifname_ok(text))
		return bad(conf, value, err, "a network device's name");
	strcpy(conf->uplinks.name[0], text);
	conf->uplinks.n = 1;
	return 0;
}

static int parse_strict(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return flag(conf, value, &conf->strict_status, err);
}

int cni_duration_parse(const char *text, uint32_t *ms)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };
	size_t digits = strspn(text, "0123456789");
	char number[16];
	uint64_t n;

	if (digits == 0 || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (pk_parse_u64(number, 3600000, &n) < 0)
		return -EINVAL;
	for (size_t i = 0; i < PK_ARRAY_LEN(units); i++) {
		if (strcmp(text + digits, units[i].unit) || n * units[i].ms > 3600000)
			continue;
		*ms = (uint32_t)(n * units[i].ms);
		return 0;
	}
	return -EINVAL;
}

static int duration(const struct cni_conf *conf, const struct pk_json *value, uint32_t lo,
		    uint32_t *out, struct pk_err *err)
{
	const char *text = pk_json_string(value);
	int64_t zero;
	uint32_t ms = 0;

	if (text ? cni_duration_parse(text, &ms) < 0 : pk_json_int(value, 0, 0, &zero) < 0)
		return bad(conf, value, err, "a duration such as \"500ms\" or \"2s\"");
	if (ms < lo || ms > DEADLINE_MAX)
		return pk_json_fail(err, conf->doc, value, false, "expected %ums to %us", lo,
				    DEADLINE_MAX / 1000);
	*out = ms;
	return 0;
}

static int parse_wait(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return duration(conf, value, 0, &conf->wait_ms, err);
}

static int parse_deadline(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return duration(conf, value, DEADLINE_MIN, &conf->deadline_ms, err);
}

static int parse_limits(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return pk_limits_read(conf->doc, value, &conf->limits, err);
}

static int parse_job_args(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	if (pk_json_type(value) != PK_JSON_ARRAY)
		return bad(conf, value, err,
			   "an array of \"picket.mac\", \"picket.ip\", "
			   "\"picket.limits\"");
	for (const struct pk_json *v = pk_json_first(value); v; v = pk_json_next(v)) {
		int r = choice(conf, v, cni_job_arg_names, err);

		if (r < 0)
			return r;
		conf->job_args |= 1u << r;
	}
	return 0;
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

static int refuse_ipam(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	pk_json_fail(err, conf->doc, value, true,
		     "\"ipam\" is not used: addresses are Picket's own");
	return pk_fix(err, -EINVAL, "remove it and say \"pool\": \"10.40.7.0/24\"");
}

/* A runtime fills only what `capabilities` declares: what we would ignore is refused. */
static int parse_runtime(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	if (pk_json_type(value) != PK_JSON_OBJECT)
		return bad(conf, value, err, "an object");
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

static int parse_object(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	return pk_json_type(value) == PK_JSON_OBJECT ? 0 : bad(conf, value, err, "an object");
}

static int parse_prev_result(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	if (pk_json_type(value) == PK_JSON_NULL)
		return 0;
	conf->prev_result = value;
	return parse_object(conf, value, err);
}

/* cniVersion, name and root are read before these, whatever the verb. */
static int parse_nothing(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	(void)conf, (void)value, (void)err;
	return 0;
}

static const struct key keys[] = {
	{ "cniVersion", parse_nothing },
	{ "name", parse_nothing },
	{ "type", parse_nothing },
	{ "root", parse_nothing },
	{ "args", parse_nothing },
	{ "capabilities", parse_object },
	{ "runtimeConfig", parse_runtime },
	{ "prevResult", parse_prev_result },
	{ "dns", cni_dns_parse },
	{ "ipam", refuse_ipam },
	{ "pool", cni_pool_parse },
	{ "gateway", cni_gateway_parse },
	{ "mode", parse_mode },
	{ "attach", parse_attach },
	{ "owner", parse_owner },
	{ "group", parse_group },
	{ "mtu", parse_mtu },
	{ "queues", parse_queues },
	{ "uplink", parse_uplink },
	{ "baseline", parse_baseline },
	{ "uplinks", parse_uplinks },
	{ "masquerade", parse_masquerade },
	{ "waitForController", parse_wait },
	{ "deadline", parse_deadline },
	{ "limits", parse_limits },
	{ "allowJobArgs", parse_job_args },
	{ "hook", parse_hook },
	{ "strictStatus", parse_strict },
	{ "logLevel", parse_log_level },
};

static int unknown_key(const struct cni_conf *conf, const struct pk_json *member,
		       struct pk_err *err)
{
	const char *names[PK_ARRAY_LEN(keys) + 1] = { NULL };
	const char *key = pk_json_key(member), *near;

	if (strchr(key, '.') || strchr(key, '/'))
		return 0;
	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++)
		names[i] = keys[i].name;
	near = pk_nearest(key, names);
	pk_json_fail(err, conf->doc, member, true, "unknown key \"%.40s\"", key);
	return near ? pk_fix(err, -EINVAL, "did you mean \"%s\"?", near)
		    : pk_fix(err, -EINVAL, "remove it; docs/cni.md lists the keys");
}

static int parse_member(struct cni_conf *conf, const struct pk_json *member, struct pk_err *err)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++)
		if (!strcmp(pk_json_key(member), keys[i].name))
			return keys[i].parse(conf, member, err);
	return unknown_key(conf, member, err);
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
	return pk_code(err, -EINVAL, PK_CODE_VERSION);
}

/* DEL and CHECK ask for neither version nor name: both may have been edited since ADD. */
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
		int r = parse_member(conf, m, strict ? err : &ignored);

		if (r < 0 && strict)
			return r;
	}
	return 0;
}

/* What needs two keys. The gateway may stand before the pool in the text. */
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

/* The text was JSON: what is wrong is its meaning, whatever the getters said. */
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

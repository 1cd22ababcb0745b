/* SPDX-License-Identifier: Apache-2.0 */
/* The conflist's table: every key of our plugin's object, once (schema.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cni_conf.h"
#include "log.h"
#include "own.h"
#include "picket/limits.h"
#include "settings_forms.h"

#define ID_MAX	     4294967294
#define DEADLINE_MIN 50
#define DEADLINE_MAX 60000
#define AT(name, form, member, help)                                                               \
	{ name, &(form), help, false, offsetof(struct cni_conf, member) }
#define WHOLE(name, form, help) { name, &(form), help, false, 0 }
#define END			{ .name = NULL }

/* Reads one of two words into a bool that says whether it is the second one. */
static int read_second(const struct pk_schema *s, const struct pk_json_doc *doc,
		       const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)doc, (void)err;
	*(bool *)at = strcmp(pk_json_string(v), s->format->words[1]) == 0;
	return 0;
}
static const struct pk_kept kept_second = { .read = read_second };

#define WORDS(name, expected_, usual_, kept_, ...)                                                 \
	static const char *const name##_words[] = { __VA_ARGS__, NULL };                           \
	static const struct pk_format name##_format = { .expected = (expected_),                   \
							.words = name##_words };                   \
	static const struct pk_schema name = {                                                     \
		.form = PK_FORM_STRING,                                                            \
		.format = &name##_format,                                                          \
		.kept = (kept_),                                                                   \
		.usual = (usual_),                                                                 \
	}
WORDS(mode, "\"vm\" or \"process\"", "\"vm\"", &kept_second, "vm", "process");
WORDS(hook, "\"clsact\" or \"tcx\"", "\"clsact\"", &kept_second, "clsact", "tcx");

WORDS(attach, "\"netns-tap\" or \"host-tap\"", "\"netns-tap\"", &kept_second, "netns-tap",
      "host-tap");

static int read_level(const struct pk_schema *s, const struct pk_json_doc *doc,
		      const struct pk_json *v, void *at, struct pk_err *err)
{
	static const int levels[] = { PK_LOG_ERROR, PK_LOG_WARN, PK_LOG_INFO, PK_LOG_DEBUG };
	int i = 0;
	int r = pk_kept_word.read(s, doc, v, &i, err);

	*(int *)at = levels[i];
	return r;
}
static const struct pk_kept kept_level = { .read = read_level };
WORDS(log_level, "one of error, warn, info, debug", "\"warn\"", &kept_level, "error", "warn",
      "info", "debug");

static int read_baseline(const struct pk_schema *s, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	struct cni_conf *conf = at;

	(void)s, (void)doc, (void)err;
	conf->has_baseline = true;
	return pk_baseline_parse(pk_json_string(v), &conf->baseline);
}
static const struct pk_kept kept_baseline = { .read = read_baseline };
static const struct pk_schema baseline = {
	.form = PK_FORM_STRING,
	.format = &pk_format_baseline,
	.kept = &kept_baseline,
	.usual = "\"tenant\"",
};

#define COUNT(name, least, most_, kept_, usual_)                                                   \
	static const struct pk_schema name = {                                                     \
		.form = PK_FORM_INT,                                                               \
		.lo = (least),                                                                     \
		.hi = (most_),                                                                     \
		.kept = (kept_),                                                                   \
		.usual = (usual_),                                                                 \
	}
COUNT(id, 0, ID_MAX, &pk_kept_i64, NULL);
COUNT(mtu, PK_MTU_MIN, PK_MTU_MAX, &pk_kept_u32, NULL);
COUNT(queues, 1, CNI_QUEUES_MAX, &pk_kept_u32, "1");

/* The key's name before a node could have several. */
static int read_uplink(const struct pk_schema *s, const struct pk_json_doc *doc,
		       const struct pk_json *v, void *at, struct pk_err *err)
{
	struct pk_uplink_names *uplinks = at;

	(void)s, (void)doc, (void)err;
	strcpy(uplinks->name[0], pk_json_string(v));
	uplinks->n = 1;
	return 0;
}
static const struct pk_kept kept_uplink = { .read = read_uplink };
static const struct pk_schema uplink = { .form = PK_FORM_STRING,
					 .format = &pk_format_device,
					 .kept = &kept_uplink };

/* Durations. */

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

static bool fits_duration(const char *text)
{
	uint32_t ms;

	return cni_duration_parse(text, &ms) == 0;
}
static const struct pk_format duration_format = {
	.expected = "a duration such as \"500ms\" or \"2s\"",
	.pattern = "^[0-9]+(ms|s|m)$",
	.fits = fits_duration,
};

static int read_duration(const struct pk_json_doc *doc, const struct pk_json *v, uint32_t least,
			 uint32_t *out, struct pk_err *err)
{
	uint32_t ms = 0;

	if (pk_json_string(v))
		cni_duration_parse(pk_json_string(v), &ms);
	if (ms < least || ms > DEADLINE_MAX)
		return pk_json_fail(err, doc, v, false, "expected %ums to %us", least,
				    DEADLINE_MAX / 1000);
	*out = ms;
	return 0;
}

static int read_wait(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s;
	return read_duration(doc, v, 0, at, err);
}

static int read_deadline(const struct pk_schema *s, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s;
	return read_duration(doc, v, DEADLINE_MIN, at, err);
}
static const struct pk_kept kept_wait = { .read = read_wait };
static const struct pk_kept kept_deadline = { .read = read_deadline };
/* A duration, or the number 0, which means not to wait at all. */
static const struct pk_schema wait_for = {
	.form = PK_FORM_WORD,
	.format = &duration_format,
	.kept = &kept_wait,
	.usual = "\"500ms\"",
};
static const struct pk_schema deadline = {
	.form = PK_FORM_STRING,
	.format = &duration_format,
	.kept = &kept_deadline,
	.usual = "\"2s\"",
};

/* Limits, and what a job may say for itself. */

static const struct pk_schema limits = { .form = PK_FORM_OBJECT, .keys = pk_limits_keys };

const char *const cni_job_arg_names[] = { "picket.mac", "picket.ip", "picket.limits", NULL };

unsigned int cni_job_arg_bit(const char *name)
{
	for (unsigned int i = 0; cni_job_arg_names[i]; i++)
		if (!strcmp(name, cni_job_arg_names[i]))
			return 1u << i;
	return 0;
}

static int read_job_args(const struct pk_schema *s, const struct pk_json_doc *doc,
			 const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	for (const struct pk_json *e = pk_json_first(v); e; e = pk_json_next(e))
		*(unsigned int *)at |= cni_job_arg_bit(pk_json_string(e));
	return 0;
}
static const struct pk_kept kept_job_args = { .read = read_job_args };
static const struct pk_format job_arg_format = {
	.expected = "\"picket.mac\", \"picket.ip\" or \"picket.limits\"",
	.words = cni_job_arg_names,
};
static const struct pk_schema job_arg = { .form = PK_FORM_STRING, .format = &job_arg_format };
static const struct pk_schema job_args = {
	.form = PK_FORM_LIST, .item = &job_arg, .kept = &kept_job_args, .usual = "[]"
};

/* "root" is read before the table, whatever the verb. */
static const struct pk_schema root = { .form = PK_FORM_STRING,
				       .format = &pk_format_path,
				       .usual = "\"/\"" };

/* Values of the runtime's. */

static int read_runtime(const struct pk_schema *s, const struct pk_json_doc *doc,
			const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc;
	return cni_runtime_read(at, v, err);
}

static int read_prev_result(const struct pk_schema *s, const struct pk_json_doc *doc,
			    const struct pk_json *v, void *at, struct pk_err *err)
{
	(void)s, (void)doc, (void)err;
	if (pk_json_type(v) == PK_JSON_OBJECT)
		*(const struct pk_json **)at = v;
	return 0;
}
static const struct pk_kept kept_runtime = { .read = read_runtime };
static const struct pk_kept kept_prev_result = { .read = read_prev_result };
static const struct pk_schema object = { .form = PK_FORM_OBJECT };
static const struct pk_schema runtime = { .form = PK_FORM_OBJECT, .kept = &kept_runtime };
static const struct pk_schema prev_result = { .form = PK_FORM_OBJECT,
					      .null_ok = true,
					      .kept = &kept_prev_result };
static const struct pk_schema ipam = {
	.form = PK_FORM_REFUSED,
	.why = "\"ipam\" is not used: addresses are Picket's own",
	.fix = "remove it and say \"pool\": \"10.40.7.0/24\"",
};

static const struct pk_schema_key keys[] = {
	WHOLE("cniVersion", pk_form_any, NULL),
	WHOLE("name", pk_form_any, NULL),
	WHOLE("type", pk_form_any, NULL),
	WHOLE("args", pk_form_any, NULL),
	WHOLE("capabilities", object, "\"portMappings\": true, or Nomad passes no ports"),
	WHOLE("runtimeConfig", runtime, NULL),
	AT("prevResult", prev_result, prev_result, NULL),
	WHOLE("ipam", ipam, NULL),
	WHOLE("pool", cni_form_pool, "this node's address blocks, IPv4 and IPv6"),
	WHOLE("gateway", cni_form_gateway,
	      "the IPv4 gateway that the guard answers for; absent: the block's first address"),
	AT("mode", mode, process, "what the endpoint is; vm: a tap in its netns"),
	AT("attach", attach, host_tap, "where the tap is: beside the VMM, or handed over to it"),
	AT("owner", id, owner, "user id that may open the tap"),
	AT("group", id, group, "group id that may open the tap"),
	AT("mtu", mtu, mtu, "absent: the uplink's"),
	AT("queues", queues, queues, "of the tap; as many as the VMM attaches"),
	WHOLE("dns", cni_form_dns, "what guests are told; absent: what resolv.conf says"),
	AT("uplink", uplink, uplinks, "one of uplinks"),
	AT("uplinks", pk_form_uplinks, uplinks, "absent: the devices of the default routes"),
	WHOLE("baseline", baseline, "what holds where no policy says more"),
	AT("masquerade", pk_form_masquerade, masquerade,
	   "false: endpoints leave with their own addresses"),
	AT("waitForController", wait_for, wait_ms, "how long ADD waits for the job's claims"),
	AT("deadline", deadline, deadline_ms, "the whole verb's time; of DEL 5s unless said"),
	AT("limits", limits, limits, "of each endpoint"),
	AT("allowJobArgs", job_args, job_args, "what a job may set for itself"),
	WHOLE("root", root, "below which all files of Picket are"),
	AT("hook", hook, tcx, "where the programs are attached"),
	AT("strictStatus", pk_form_bool, strict_status, "STATUS fails where ADD might"),
	AT("logLevel", log_level, log_level, NULL),
	END,
};
const struct pk_schema cni_form_conf = {
	.form = PK_FORM_OBJECT,
	.id = "picket",
	.keys = keys,
	.foreign = "./",
};

void cni_conf_schema(struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	pk_jw_string(&w, "title", "CNI network list with Picket's plugin");
	pk_jw_string(&w, "type", "object");
	pk_schema_print_raw(&w, "required", "[\"cniVersion\",\"name\",\"plugins\"]");
	pk_schema_print_raw(
		&w, "properties",
		"{\"cniVersion\":{\"enum\":[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]},"
		"\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9][a-z0-9_.-]*$\","
		"\"description\":\"Lower case: Nomad looks names up in lower case.\"},"
		"\"plugins\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\","
		"\"required\":[\"type\"],\"properties\":{\"type\":{\"type\":\"string\"}},"
		"\"if\":{\"properties\":{\"type\":{\"const\":\"picket\"}}},"
		"\"then\":{\"$ref\":\"#/$defs/picket\"}}}}");
	pk_schema_print_defs(&w, &cni_form_conf);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}

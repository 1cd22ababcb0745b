/* SPDX-License-Identifier: Apache-2.0 */
#include "doc_schema.h"

#include <string.h>

#include "icmp.h"
#include "string_forms.h"

#define STRING(f)	      { .form = PK_FORM_STRING, .format = &(f) }
#define LIST(i)		      { .form = PK_FORM_LIST, .item = &(i) }
#define FULL_LIST(i)	      { .form = PK_FORM_LIST, .item = &(i), .not_empty = true }
#define END		      { .name = NULL }
#define MAY(key, form, help)  { key, form, help, false, 0 }
#define MUST(key, form, help) { key, form, help, true, 0 }
#define REFUSED(key, why)     MAY(key, &refused, why)

/* "toEntities" where "fromEntities" is known, and the other way round. */
static const char *other_way(const struct pk_schema *s, const char *name)
{
	const char *rest = NULL;

	if (strncmp(name, "to", 2) == 0)
		rest = name + 2;
	else if (strncmp(name, "from", 4) == 0)
		rest = name + 4;
	for (const struct pk_schema_key *k = s->keys; rest && k->name; k++) {
		size_t skip = strncmp(k->name, "from", 4) == 0 ? 4 : 2;

		if (k->form->form != PK_FORM_REFUSED && strcmp(k->name, name) != 0 &&
		    (strncmp(k->name, "from", 4) == 0 || strncmp(k->name, "to", 2) == 0) &&
		    strcmp(k->name + skip, rest) == 0)
			return k->name;
	}
	return NULL;
}

static const struct pk_schema refused = { .form = PK_FORM_REFUSED };
static const struct pk_schema any_text = { .form = PK_FORM_STRING };
static const struct pk_schema boolean = { .form = PK_FORM_BOOL };

/* Selectors. */

static const struct pk_schema operator_word = STRING(pk_format_operator);
static const struct pk_schema expression_key = STRING(pk_format_expression_key);
static const struct pk_schema values = LIST(any_text);
static const struct pk_schema_key expression_keys[] = {
	MUST("key", &expression_key, "label, like \"nomad:job\""),
	MUST("operator", &operator_word, "In, NotIn, Exists or DoesNotExist"),
	MAY("values", &values, "for In and NotIn"),
	END,
};
static const struct pk_schema expression = {
	.form = PK_FORM_OBJECT,
	.id = "expression",
	.keys = expression_keys,
	.extra =
		"{\"if\":{\"properties\":{\"operator\":{\"enum\":[\"In\",\"NotIn\"]}}},"
		"\"then\":{\"required\":[\"values\"],\"properties\":{\"values\":{\"minItems\":1}}},"
		"\"else\":{\"properties\":{\"values\":{\"maxItems\":0}}}}",
};
static const struct pk_schema match_labels = { .form = PK_FORM_LABELS,
					       .format = &pk_format_label_key };
static const struct pk_schema match_expressions = LIST(expression);
static const struct pk_schema_key selector_keys[] = {
	MAY("matchLabels", &match_labels, "labels that must all be there with these values"),
	MAY("matchExpressions", &match_expressions, "requirements that must all hold"),
	END,
};
static const struct pk_schema selector = {
	.form = PK_FORM_OBJECT,
	.id = "selector",
	.keys = selector_keys,
	.extra = "{\"if\":{\"properties\":{\"matchLabels\":{\"propertyNames\":"
		 "{\"not\":{\"pattern\":\"^reserved:\"}}}}},\"else\":{\"properties\":{"
		 "\"matchLabels\":{\"maxProperties\":1,\"additionalProperties\":{\"const\":\"\"}},"
		 "\"matchExpressions\":{\"maxItems\":0}}}}",
};
static const struct pk_schema selectors = LIST(selector);

/* Peers. */

static const struct pk_schema cidr = STRING(pk_format_cidr);
static const struct pk_schema cidrs = LIST(cidr);
static const struct pk_schema_key cidr_set_keys[] = {
	MUST("cidr", &cidr, "the prefix"),
	MAY("except", &cidrs, "holes in it"),
	REFUSED("cidrGroupRef", "CIDR groups are Kubernetes objects: write the prefixes"),
	REFUSED("cidrGroupSelector", "CIDR groups are Kubernetes objects: write the prefixes"),
	END,
};
static const struct pk_schema cidr_set = {
	.form = PK_FORM_OBJECT,
	.id = "cidrSet",
	.keys = cidr_set_keys,
};
static const struct pk_schema cidr_sets = LIST(cidr_set);
static const struct pk_schema entity = STRING(pk_format_entity);
static const struct pk_schema entities = LIST(entity);
static const struct pk_schema service_name = STRING(pk_format_service);
static const struct pk_schema namespace_form = STRING(pk_format_namespace);
static const struct pk_schema_key service_keys[] = {
	MUST("name", &service_name, "as the job registers it"),
	MAY("namespace", &namespace_form, "the document's unless given"),
	REFUSED("k8sService", "Kubernetes only: write {\"name\": \"...\", \"namespace\": \"...\"}"),
	REFUSED("k8sServiceSelector", "Kubernetes only: write {\"name\": \"...\"}"),
	END,
};
static const struct pk_schema service = { .form = PK_FORM_OBJECT,
					  .id = "service",
					  .keys = service_keys };
static const struct pk_schema services = LIST(service);
static const struct pk_schema fqdn_name = STRING(pk_format_fqdn_name);
static const struct pk_schema fqdn_pattern = STRING(pk_format_fqdn_pattern);
static const struct pk_schema_key fqdn_keys[] = {
	MAY("matchName", &fqdn_name, "a DNS name"),
	MAY("matchPattern", &fqdn_pattern, "a DNS name with '*'"),
	END,
};
static const char *const fqdn_either[] = { "matchName", "matchPattern", NULL };
static const struct pk_schema fqdn = {
	.form = PK_FORM_OBJECT,
	.id = "fqdn",
	.keys = fqdn_keys,
	.either = fqdn_either,
	.too_many = "write two elements",
	.extra = "{\"minProperties\":1}",
};
static const struct pk_schema fqdns = LIST(fqdn);

/* Ports. */

static const struct pk_schema port = {
	.form = PK_FORM_WORD, .format = &pk_format_port, .lo = 0, .hi = 65535
};
static const struct pk_schema end_port = { .form = PK_FORM_INT, .lo = 1, .hi = 65535 };
static const struct pk_schema protocol = {
	.form = PK_FORM_WORD, .format = &pk_format_protocol, .lo = 1, .hi = 254
};
static const struct pk_schema_key port_keys[] = {
	MAY("port", &port, "a number, a Nomad port label, or 0 for all"),
	MAY("endPort", &end_port, "last port of a range"),
	MAY("protocol", &protocol, "TCP, UDP, SCTP; ANY (default): these three"),
	END,
};
static const struct pk_schema port_form = {
	.form = PK_FORM_OBJECT,
	.id = "port",
	.keys = port_keys,
	.extra = "{\"if\":{\"required\":[\"endPort\"]},\"then\":{\"required\":[\"port\"],"
		 "\"properties\":{\"port\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1},"
		 "{\"type\":\"string\",\"pattern\":\"^[1-9][0-9]*$\"}]}}}},"
		 "{\"if\":{\"properties\":{\"protocol\":{\"anyOf\":[{\"type\":\"integer\"},"
		 "{\"type\":\"string\",\"not\":{\"pattern\":"
		 "\"^([Tt][Cc][Pp]|[Uu][Dd][Pp]|[Ss][Cc][Tt][Pp]|[Aa][Nn][Yy])$\"}}]}},"
		 "\"required\":[\"protocol\"]},\"then\":{\"properties\":{\"port\":"
		 "{\"enum\":[0,\"0\"]}}}}",
};
static const struct pk_schema ports = FULL_LIST(port_form);
static const struct pk_schema_key port_rule_keys[] = {
	MUST("ports", &ports, "any of these"),
	REFUSED("rules", "L7 rules need a proxy: Picket judges addresses, ports and names"),
	REFUSED("serverNames", "TLS names need a proxy: use toFQDNs"),
	REFUSED("terminatingTLS", "TLS interception is not supported"),
	REFUSED("originatingTLS", "TLS interception is not supported"),
	REFUSED("listener", "proxy listeners are not supported"),
	END,
};
static const struct pk_schema port_rule = { .form = PK_FORM_OBJECT,
					    .id = "portRule",
					    .keys = port_rule_keys };
static const struct pk_schema port_rules = FULL_LIST(port_rule);
static const struct pk_schema family = STRING(pk_format_family);
static const struct pk_schema icmp_type = {
	.form = PK_FORM_WORD, .format = &pk_format_icmp_type, .lo = 0, .hi = 255
};
#define QUOTED(nr, name) ",\"" name "\""
/* Strings that macros make pieces of, and lists of keys, are laid out by hand. */
/* clang-format off */
#define TYPE_OF(types)                                                                          \
	"{\"anyOf\":[{\"type\":\"integer\"},{\"pattern\":\"^[0-9]+$\"},"                         \
	"{\"enum\":[\"\"" types(QUOTED) "]}]}"
/* clang-format on */
static const struct pk_schema icmp_code = { .form = PK_FORM_INT, .lo = 0, .hi = 255 };
static const struct pk_schema_key icmp_keys[] = {
	MAY("family", &family, "IPv4 unless said"),
	MUST("type", &icmp_type, "a number, or a name like EchoRequest"),
	MAY("code", &icmp_code, "any unless said"),
	END,
};
static const struct pk_schema icmp_field = {
	.form = PK_FORM_OBJECT,
	.id = "icmpField",
	.keys = icmp_keys,
	/* clang-format off */
	.extra = "{\"if\":{\"required\":[\"family\"],"
		 "\"properties\":{\"family\":{\"const\":\"IPv6\"}}},"
		 "\"then\":{\"properties\":{\"type\":" TYPE_OF(PK_ICMP6_TYPES) "}},"
		 "\"else\":{\"properties\":{\"type\":" TYPE_OF(PK_ICMP4_TYPES) "}}}",
	/* clang-format on */
};
static const struct pk_schema icmp_fields = FULL_LIST(icmp_field);
static const struct pk_schema_key icmp_rule_keys[] = {
	MUST("fields", &icmp_fields, "any of these"),
	END,
};
static const struct pk_schema icmp_rule = { .form = PK_FORM_OBJECT,
					    .id = "icmpRule",
					    .keys = icmp_rule_keys };
static const struct pk_schema icmp_rules = FULL_LIST(icmp_rule);

/* Entries. */

/* clang-format off */
#define PORT_KEYS                                                                               \
	MAY("toPorts", &port_rules, "and any of these ports"),                            \
	MAY("icmps", &icmp_rules, "or any of these ICMP types, instead of toPorts")
#define FROM_KEYS                                                                               \
	MAY("fromEndpoints", &selectors, "any endpoint that one of these selects"),       \
	MAY("fromCIDR", &cidrs, "the world's addresses in these prefixes"),               \
	MAY("fromCIDRSet", &cidr_sets, "the same with holes"),                            \
	MAY("fromEntities", &entities, "kinds of peers")
#define TO_KEYS                                                                                 \
	MAY("toEndpoints", &selectors, "any endpoint that one of these selects"),         \
	MAY("toCIDR", &cidrs, "the world's addresses in these prefixes"),                 \
	MAY("toCIDRSet", &cidr_sets, "the same with holes"),                              \
	MAY("toEntities", &entities, "kinds of peers"),                                   \
	MAY("toServices", &services, "the endpoints that register a service")
#define PASS_KEY MAY("pass", &boolean, "operator tier: leave the decision to the next tier")
#define REFUSED_FROM                                                                            \
	REFUSED("fromRequires", "deprecated in Cilium: write a deny rule"),                     \
	REFUSED("fromGroups", "cloud groups are not supported: write the prefixes"),            \
	REFUSED("fromNodes", "node selectors are not supported: use fromEntities"),             \
	REFUSED("authentication", "mutual authentication is not supported")
#define REFUSED_TO                                                                              \
	REFUSED("toRequires", "deprecated in Cilium: write a deny rule"),                       \
	REFUSED("toGroups", "cloud groups are not supported: write the prefixes"),              \
	REFUSED("toNodes", "node selectors are not supported: use toEntities"),                 \
	REFUSED("authentication", "mutual authentication is not supported")

static const char *const from_either[] = {
	"fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities", NULL
};
static const char *const to_either[] = {
	"toEndpoints", "toCIDR", "toCIDRSet", "toEntities", "toServices", "toFQDNs", NULL
};
static const char *const ports_either[] = { "toPorts", "icmps", NULL };

#define ENTRY(name, list, kinds, more)                                                          \
	static const struct pk_schema name = {                                                  \
		.form = PK_FORM_OBJECT,                                                         \
		.id = #name,                                                                    \
		.keys = list,                                                                   \
		.meant = other_way,                                                             \
		.either = kinds,                                                                \
		.either2 = ports_either,                                                        \
		.too_many = "write two entries",                                                \
		.extra = more,                                                                  \
	};                                                                                      \
	static const struct pk_schema name##_list = LIST(name)
#define HAS(key) "{\"required\":[\"" key "\"]}"

static const struct pk_schema_key ingress_keys[] = {
	FROM_KEYS, PORT_KEYS, PASS_KEY, REFUSED_FROM, END,
};
static const struct pk_schema_key egress_keys[] = {
	TO_KEYS,
	MAY("toFQDNs", &fqdns, "addresses that these names resolved to"),
	PORT_KEYS, PASS_KEY, REFUSED_TO, END,
};
static const struct pk_schema_key ingress_deny_keys[] = {
	FROM_KEYS, PORT_KEYS, REFUSED("pass", "a deny can't pass"), REFUSED_FROM, END,
};
static const struct pk_schema_key egress_deny_keys[] = {
	TO_KEYS,
	REFUSED("toFQDNs", "a deny can't name DNS names: what isn't resolved would pass"),
	PORT_KEYS, REFUSED("pass", "a deny can't pass"), REFUSED_TO, END,
};
ENTRY(ingress, ingress_keys, from_either,
      "{\"if\":" HAS("pass") ",\"then\":{\"anyOf\":[" HAS("fromEndpoints") ","
      HAS("fromCIDR") "," HAS("fromCIDRSet") "," HAS("fromEntities") ","
      HAS("toPorts") "," HAS("icmps") "]}}");
ENTRY(egress, egress_keys, to_either,
      "{\"if\":" HAS("pass") ",\"then\":{\"anyOf\":[" HAS("toEndpoints") ","
      HAS("toCIDR") "," HAS("toCIDRSet") "," HAS("toEntities") ","
      HAS("toServices") "," HAS("toFQDNs") "," HAS("toPorts") "," HAS("icmps") "]}},"
      "{\"if\":{\"required\":[\"pass\",\"toFQDNs\"]},"
      "\"then\":{\"properties\":{\"pass\":{\"const\":false}}}}");
ENTRY(ingress_deny, ingress_deny_keys, from_either, NULL);
ENTRY(egress_deny, egress_deny_keys, to_either, NULL);
/* clang-format on */

/* Rules and documents. */

static const struct pk_schema_key default_deny_keys[] = {
	MAY("ingress", &boolean, "what no rule of this tier allows into these endpoints is denied"),
	MAY("egress", &boolean, "what no rule of this tier allows out of them is denied"),
	END,
};
static const struct pk_schema default_deny = { .form = PK_FORM_OBJECT,
					       .id = "enableDefaultDeny",
					       .keys = default_deny_keys };
static const struct pk_schema_key log_keys[] = {
	MAY("value", &any_text, "shown with the flows that this rule decides"),
	END,
};
static const struct pk_schema log_form = { .form = PK_FORM_OBJECT, .id = "log", .keys = log_keys };
static const struct pk_schema_key rule_keys[] = {
	MAY("description", &any_text, "what the rule is for"),
	MUST("endpointSelector", &selector, "whom the rule is about; {} is everyone"),
	MAY("ingress", &ingress_list, "who may connect to them"),
	MAY("egress", &egress_list, "whom they may connect to"),
	MAY("ingressDeny", &ingress_deny_list, "who may not, whatever is allowed"),
	MAY("egressDeny", &egress_deny_list, "whom they may not connect to"),
	MAY("enableDefaultDeny", &default_deny, "is what no rule allows denied?"),
	MAY("log", &log_form, "a note for the flows"),
	REFUSED("nodeSelector", "host policies are not supported: rules select endpoints"),
	REFUSED("labels", "rules have no labels: use \"name\" and \"description\""),
	REFUSED("authentication", "mutual authentication is not supported"),
	END,
};
/* clang-format off */
#define ANY_ENTRY(dir) "{\"required\":[\"" dir "\"],\"properties\":{\"" dir "\":{\"minItems\":1}}}"
#define DEFAULT_DENY_NEEDS(dir)                                                                 \
	"{\"if\":{\"required\":[\"enableDefaultDeny\"],\"properties\":{\"enableDefaultDeny\":"  \
	"{\"required\":[\"" dir "\"],\"properties\":{\"" dir "\":{\"const\":true}}}}},"         \
	"\"then\":{\"anyOf\":[" ANY_ENTRY(dir) "," ANY_ENTRY(dir "Deny") "]}}"
const struct pk_schema pk_schema_rule = {
	.form = PK_FORM_OBJECT,
	.id = "rule",
	.keys = rule_keys,
	.extra = "{\"anyOf\":[" ANY_ENTRY("ingress") "," ANY_ENTRY("egress") ","
		 ANY_ENTRY("ingressDeny") "," ANY_ENTRY("egressDeny") "]},"
		 DEFAULT_DENY_NEEDS("ingress") "," DEFAULT_DENY_NEEDS("egress") ","
		 "{\"properties\":{\"endpointSelector\":{\"properties\":{\"matchLabels\":"
		 "{\"propertyNames\":{\"not\":{\"enum\":[\"reserved:host\",\"reserved:world\","
		 "\"reserved:remote-node\"]}}}}}}}",
};
/* clang-format on */
const struct pk_schema pk_schema_rules = LIST(pk_schema_rule);

static const struct pk_schema document_name = STRING(pk_format_name);
static const struct pk_schema tier = STRING(pk_format_tier);
static const struct pk_schema_key document_keys[] = {
	MAY("$schema", &any_text, "for editors"),
	MAY("name", &document_name, "the file's or key's name unless given"),
	MAY("namespace", &namespace_form, "a tenant's policy; absent: the operator's"),
	MAY("tier", &tier, "tenant unless given"),
	MAY("audit", &boolean, "true: judge and report, change no verdict"),
	MUST("rules", &pk_schema_rules, "the rules"),
	END,
};
static const struct pk_schema_belongs rule_key = {
	.to = &pk_schema_rule,
	.what = "it belongs to a rule",
	.fix = "put it into an element of \"rules\"",
};
const struct pk_schema pk_schema_document = {
	.form = PK_FORM_OBJECT,
	.id = "document",
	.keys = document_keys,
	.belongs = &rule_key,
	.extra = "{\"if\":{\"required\":[\"namespace\"]},"
		 "\"then\":{\"properties\":{\"tier\":{\"enum\":[\"tenant\",\"baseline\"]}}}},"
		 "{\"if\":{\"required\":[\"tier\"],\"properties\":{\"tier\":{\"const\":"
		 "\"operator\"}}},"
		 "\"else\":{\"properties\":{\"rules\":{\"items\":" PK_SCHEMA_NO_PASS "}}}}",
};

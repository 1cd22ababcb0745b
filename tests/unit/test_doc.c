/* SPDX-License-Identifier: GPL-2.0-only */
/* docs/policy.md, "A document", "Labels" and "A rule": what is taken, what it means, what is
 * refused. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "doc.h"
#include "icmp.h"
#include "own.h"

/* A document around one rule's, one selector's or one entry's text. */
#define RULE(s)	    "{\"endpointSelector\":{}," s "}"
#define OPERATOR(s) "{\"tier\":\"operator\",\"rules\":[" RULE(s) "]}"
#define TENANT(s)   "{\"namespace\":\"acme\",\"rules\":[" RULE(s) "]}"
#define EGRESS(s)   TENANT("\"egress\":[" s "]")
#define INGRESS(s)  TENANT("\"ingress\":[" s "]")
#define PORT(s)	    EGRESS("{\"toPorts\":[{\"ports\":[" s "]}]}")
#define ICMP(s)	    EGRESS("{\"icmps\":[{\"fields\":[" s "]}]}")
#define SUBJECT(s)                                                                                 \
	"{\"namespace\":\"acme\",\"rules\":[{\"endpointSelector\":" s ",\"egress\":[{}]}]}"
#define PEER(s)		 EGRESS("{\"toEndpoints\":[" s "]}")
#define OPERATOR_PEER(s) RULE("\"egress\":[{\"toEndpoints\":[" s "]}]")

static int parse(const char *text, const struct pk_doc_source *src, struct pk_document **doc,
		 struct pk_doc_notes *notes)
{
	static const struct pk_doc_source plain = { .source = "file", .path = "d/web.json" };

	return pk_document_parse(src ? src : &plain, text, strlen(text), doc, notes);
}

struct refusal {
	const char *sentence;
	const char *text;
	const char *want; /* of the first error: ".path: text; fix: fix", a part */
};

static const struct refusal refusals[] = {
	/* the text */
	{ "nothing", "", ".: the text is empty" },
	{ "a key twice", "{\"rules\":[],\"rules\":[]}", ".rules: this key appears twice" },
	{ "a string", "\"x\"",
	  ".: found a string, expected a rule, an array of rules or a document" },
	{ "an empty object", "{}", ".: \"rules\" is missing" },
	/* the document */
	{ "an unknown key", "{\"name\":\"x\",\"ruels\":[]}",
	  ".ruels: unknown key; fix: did you mean \"rules\"?" },
	{ "a rule's key in a document", "{\"rules\":[],\"egress\":[]}",
	  ".egress: unknown key: it belongs to a rule; fix: put it into an element" },
	{ "a wrong type", "{\"rules\":{}}", ".rules: found an object, expected an array" },
	{ "null", "{\"rules\":null}", ".rules: found null, expected an array" },
	{ "audit by word", "{\"audit\":\"true\",\"rules\":[]}",
	  ".audit: found \"true\", expected true or false" },
	{ "a namespace that Nomad refuses", "{\"namespace\":\"a b\",\"rules\":[]}",
	  ".namespace: found \"a b\"" },
	{ "an empty namespace", "{\"namespace\":\"\",\"rules\":[]}", ".namespace: found \"\"" },
	{ "an unknown tier", "{\"tier\":\"admin\",\"rules\":[]}",
	  ".tier: found \"admin\", expected operator" },
	{ "a tenant in the operator tier",
	  "{\"tier\":\"operator\",\"namespace\":\"acme\",\"rules\":[]}",
	  ".tier: a policy of the namespace \"acme\" can't be of the operator tier" },
	{ "a name that is a path", "{\"name\":\"../x\",\"rules\":[]}", ".name: found \"../x\"" },
	{ "an empty name", "{\"name\":\"\",\"rules\":[]}", ".name: found \"\"" },
	/* the rule */
	{ "no subject", "[{\"ingress\":[{}]}]", ".[0]: \"endpointSelector\" is missing" },
	{ "no entry", "[" RULE("\"ingress\":[]") "]",
	  ".[0]: a rule without any entry says nothing" },
	{ "no entry in a bare rule", "{\"endpointSelector\":{}}", ".: a rule without any entry" },
	{ "default deny true, no entries",
	  RULE("\"ingress\":[{}],\"enableDefaultDeny\":{\"egress\":true}"),
	  ".enableDefaultDeny.egress: default deny without an entry" },
	{ "default deny true, an empty list",
	  RULE("\"ingress\":[],\"egress\":[{}],\"enableDefaultDeny\":{\"ingress\":true}"),
	  ".enableDefaultDeny.ingress: default deny without an entry" },
	{ "nodeSelector", "[" RULE("\"nodeSelector\":{},\"ingress\":[{}]") "]",
	  ".[0].nodeSelector: not supported: host policies" },
	{ "rule labels", "[" RULE("\"labels\":[],\"ingress\":[{}]") "]",
	  ".[0].labels: not supported" },
	{ "log as text", RULE("\"ingress\":[{}],\"log\":\"x\""),
	  ".log: found \"x\", expected an object" },
	/* the entry */
	{ "an unknown key near another", EGRESS("{\"toEntity\":[\"host\"]}"),
	  ".rules[0].egress[0].toEntity: unknown key; fix: did you mean \"toEntities\"?" },
	{ "the other direction's key", INGRESS("{\"toEndpoints\":[{}]}"),
	  ".toEndpoints: unknown key; fix: did you mean \"fromEndpoints\"?" },
	{ "two kinds of peers", EGRESS("{\"toCIDR\":[],\"toEndpoints\":[{}]}"),
	  ".toEndpoints: beside \"toCIDR\": one of them only; fix: write two entries" },
	{ "CIDR and CIDRSet",
	  INGRESS("{\"fromCIDR\":[\"1.0.0.0/8\"],\"fromCIDRSet\":[{\"cidr\":\"2.0.0.0/8\"}]}"),
	  ".fromCIDRSet: beside \"fromCIDR\"" },
	{ "names and entities",
	  EGRESS("{\"toFQDNs\":[{\"matchName\":\"a.b\"}],\"toEntities\":[\"world\"]}"),
	  ".toEntities: beside \"toFQDNs\"" },
	{ "toPorts and icmps",
	  EGRESS("{\"icmps\":[{\"fields\":[{\"type\":8}]}],\"toPorts\":[{\"ports\":[{\"port\":1}]}]"
		 "}"),
	  ".toPorts: beside \"icmps\"" },
	{ "a peer list that is null", EGRESS("{\"toEndpoints\":null}"),
	  ".toEndpoints: found null, expected an array" },
	{ "a peer that isn't in a list", EGRESS("{\"toEndpoints\":{}}"),
	  "expected an array; fix: put it in [ ]" },
	{ "services into", INGRESS("{\"fromServices\":[{\"name\":\"x\"}]}"),
	  ".fromServices: unknown key" },
	{ "names into", INGRESS("{\"fromFQDNs\":[{\"matchName\":\"x\"}]}"),
	  ".fromFQDNs: unknown key" },
	{ "names in a deny", TENANT("\"egressDeny\":[{\"toFQDNs\":[{\"matchName\":\"x.y\"}]}]"),
	  ".toFQDNs: not supported: a deny can't name DNS names" },
	{ "pass in a deny", OPERATOR("\"ingressDeny\":[{\"pass\":true}]"),
	  ".pass: not supported: a deny can't pass" },
	{ "pass in the tenant tier", TENANT("\"ingress\":[{\"fromEndpoints\":[{}],\"pass\":true}]"),
	  ".pass: only the operator tier can pass" },
	{ "pass with names",
	  OPERATOR("\"egress\":[{\"toFQDNs\":[{\"matchName\":\"x.y\"}],\"pass\":true}]"),
	  ".pass: pass doesn't go with toFQDNs" },
	{ "pass alone", OPERATOR("\"egress\":[{\"pass\":true}]"),
	  ".egress[0]: neither peers nor ports" },
	{ "fromRequires", INGRESS("{\"fromRequires\":[{}]}"), ".fromRequires: not supported" },
	{ "toGroups", EGRESS("{\"toGroups\":[{}]}"), ".toGroups: not supported" },
	{ "toNodes", EGRESS("{\"toNodes\":[{}]}"), ".toNodes: not supported" },
	{ "authentication", INGRESS("{\"authentication\":{\"mode\":\"required\"}}"),
	  ".authentication: not supported" },
	/* CIDRs */
	{ "a prefix too long", EGRESS("{\"toCIDR\":[\"10.0.0.0/33\"]}"),
	  ".toCIDR[0]: found \"10.0.0.0/33\"" },
	{ "an octet too large", EGRESS("{\"toCIDR\":[\"10.0.0.256/8\"]}"),
	  ".toCIDR[0]: found \"10.0.0.256/8\"" },
	{ "a leading zero", EGRESS("{\"toCIDR\":[\"10.0.0.01\"]}"),
	  ".toCIDR[0]: found \"10.0.0.01\"" },
	{ "three parts", EGRESS("{\"toCIDR\":[\"10.0.0/8\"]}"), ".toCIDR[0]: found" },
	{ "a zone", EGRESS("{\"toCIDR\":[\"fe80::1%eth0\"]}"), ".toCIDR[0]: found" },
	{ "an object among CIDRs", EGRESS("{\"toCIDR\":[{\"cidr\":\"10.0.0.0/8\"}]}"),
	  ".toCIDR[0]: found an object" },
	{ "a text among CIDR sets", EGRESS("{\"toCIDRSet\":[\"10.0.0.0/8\"]}"),
	  ".toCIDRSet[0]: found \"10.0.0.0/8\"" },
	{ "an except outside",
	  EGRESS("{\"toCIDRSet\":[{\"cidr\":\"10.0.0.0/8\",\"except\":[\"11.0.0.0/16\"]}]}"),
	  ".except[0]: \"11.0.0.0/16\" is not inside its cidr, 10.0.0.0/8" },
	{ "an except that is wider",
	  EGRESS("{\"toCIDRSet\":[{\"cidr\":\"10.0.0.0/8\",\"except\":[\"0.0.0.0/0\"]}]}"),
	  "is not inside its cidr" },
	{ "an except of the other family",
	  EGRESS("{\"toCIDRSet\":[{\"cidr\":\"::/0\",\"except\":[\"10.0.0.0/8\"]}]}"),
	  "is not inside its cidr" },
	{ "a CIDR set without cidr", EGRESS("{\"toCIDRSet\":[{\"except\":[]}]}"),
	  "\"cidr\" is missing" },
	{ "cidrGroupRef", EGRESS("{\"toCIDRSet\":[{\"cidrGroupRef\":\"x\"}]}"),
	  ".cidrGroupRef: not supported" },
	/* entities, services, names */
	{ "an unknown entity", EGRESS("{\"toEntities\":[\"wrold\"]}"),
	  "; fix: did you mean \"world\"?" },
	{ "an entity of Kubernetes", EGRESS("{\"toEntities\":[\"kube-apiserver\"]}"),
	  "only Kubernetes has this entity" },
	{ "an entity in capitals", EGRESS("{\"toEntities\":[\"World\"]}"), "found \"World\"" },
	{ "a service without name", EGRESS("{\"toServices\":[{\"namespace\":\"x\"}]}"),
	  "\"name\" is missing" },
	{ "k8sService", EGRESS("{\"toServices\":[{\"k8sService\":{}}]}"),
	  ".k8sService: not supported: Kubernetes only" },
	{ "a name and a pattern",
	  EGRESS("{\"toFQDNs\":[{\"matchName\":\"a\",\"matchPattern\":\"*\"}]}"),
	  ".matchPattern: beside \"matchName\"" },
	{ "neither", EGRESS("{\"toFQDNs\":[{}]}"), "neither matchName nor matchPattern" },
	{ "a star in a name", EGRESS("{\"toFQDNs\":[{\"matchName\":\"*.a\"}]}"),
	  ".matchName: found \"*.a\"" },
	{ "two dots", EGRESS("{\"toFQDNs\":[{\"matchName\":\"a..b\"}]}"),
	  ".matchName: found \"a..b\"" },
	/* selectors */
	{ "an unknown source", PEER("{\"matchLabels\":{\"k8s:app\":\"x\"}}"),
	  "fix: Kubernetes' labels don't exist here" },
	{ "a source mistyped", PEER("{\"matchLabels\":{\"nomda:job\":\"x\"}}"),
	  "did you mean \"nomad:job\"?" },
	{ "consul:name", PEER("{\"matchLabels\":{\"consul:name\":\"x\"}}"),
	  "expected a label like" },
	{ "nomad:service", PEER("{\"matchLabels\":{\"nomad:service\":\"x\"}}"),
	  "\"consul:service\" or \"meta:service\"" },
	{ "an empty key", PEER("{\"matchLabels\":{\"\":\"x\"}}"), "a label's key is empty" },
	{ "a source alone", PEER("{\"matchLabels\":{\"meta:\":\"x\"}}"), "a label's key is empty" },
	{ "a value that isn't text", PEER("{\"matchLabels\":{\"job\":1}}"),
	  "found a number (1), expected a string" },
	{ "an unknown operator",
	  PEER("{\"matchExpressions\":[{\"key\":\"job\",\"operator\":\"in\"}]}"),
	  ".operator: found \"in\", expected In, NotIn, Exists or DoesNotExist; fix: did you mean "
	  "\"In\"?" },
	{ "In without values",
	  PEER("{\"matchExpressions\":[{\"key\":\"job\",\"operator\":\"In\"}]}"),
	  "In needs \"values\"" },
	{ "NotIn of nothing",
	  PEER("{\"matchExpressions\":[{\"key\":\"job\",\"operator\":\"NotIn\",\"values\":[]}]}"),
	  ".values: NotIn needs \"values\"" },
	{ "Exists with values",
	  PEER("{\"matchExpressions\":[{\"key\":\"job\",\"operator\":\"Exists\",\"values\":[\"x\"]}"
	       "]}"),
	  ".values: Exists takes no values" },
	{ "a reserved key in an expression",
	  PEER("{\"matchExpressions\":[{\"key\":\"reserved:host\",\"operator\":\"Exists\"}]}"),
	  ".key: found \"reserved:host\"" },
	{ "a reserved key beside another",
	  PEER("{\"matchLabels\":{\"reserved:host\":\"\",\"job\":\"x\"}}"),
	  "\"reserved:host\" beside other requirements" },
	{ "a reserved key beside an expression",
	  PEER("{\"matchLabels\":{\"reserved:host\":\"\"},\"matchExpressions\":[{\"key\":\"job\","
	       "\"operator\":\"Exists\"}]}"),
	  "\"reserved:host\" beside other requirements" },
	{ "a reserved key with a value", PEER("{\"matchLabels\":{\"reserved:host\":\"x\"}}"),
	  "an entity has no value" },
	{ "reserved:all", PEER("{\"matchLabels\":{\"reserved:all\":\"\"}}"),
	  "expected a label like" },
	{ "a subject that is the host", SUBJECT("{\"matchLabels\":{\"reserved:host\":\"\"}}"),
	  "rules select endpoints: of the entities only \"reserved:init\"" },
	{ "meta of any namespace as the operator's peer",
	  OPERATOR_PEER("{\"matchLabels\":{\"tier\":\"db\"}}"),
	  "reads \"meta:tier\" must name the namespace" },
	{ "meta of any namespace as the operator's subject",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"meta:x\":\"y\"}},\"ingress\":[{}]}]",
	  "must name the namespace" },
	{ "meta, the namespace by NotIn",
	  OPERATOR_PEER("{\"matchLabels\":{\"meta:x\":\"y\"},\"matchExpressions\":"
			"[{\"key\":\"namespace\",\"operator\":\"NotIn\",\"values\":[\"a\"]}]}"),
	  "must name the namespace" },
	/* ports */
	{ "empty toPorts", EGRESS("{\"toPorts\":[]}"), ".toPorts: an empty list" },
	{ "empty ports", EGRESS("{\"toPorts\":[{\"ports\":[]}]}"), ".ports: an empty list" },
	{ "toPorts without ports", EGRESS("{\"toPorts\":[{}]}"), "\"ports\" is missing" },
	{ "empty icmps", EGRESS("{\"icmps\":[]}"), ".icmps: an empty list" },
	{ "empty fields", EGRESS("{\"icmps\":[{\"fields\":[]}]}"), ".fields: an empty list" },
	{ "P54: port 80.9", PORT("{\"port\":80.9}"),
	  ".port: found a number (80.9), expected a port 0..65535" },
	{ "P54: port 65616", PORT("{\"port\":65616}"), ".port: found a number (65616)" },
	{ "P54: port 4294967376", PORT("{\"port\":4294967376}"),
	  ".port: found a number (4294967376)" },
	{ "P54: port -1", PORT("{\"port\":-1}"), ".port: found a number (-1)" },
	{ "port \"65536\"", PORT("{\"port\":\"65536\"}"), ".port: found \"65536\"" },
	{ "port \"080\"", PORT("{\"port\":\"080\"}"), ".port: found \"080\"" },
	{ "port \"-1\"", PORT("{\"port\":\"-1\"}"), ".port: found \"-1\"" },
	{ "port \"\"", PORT("{\"port\":\"\"}"), ".port: found \"\"" },
	{ "port \"80 \"", PORT("{\"port\":\"80 \"}"), ".port: found \"80 \"" },
	{ "a range backwards", PORT("{\"port\":\"80\",\"endPort\":79}"),
	  ".endPort: the range ends before it begins (80)" },
	{ "a range from a label", PORT("{\"port\":\"http\",\"endPort\":80}"),
	  "endPort goes with a port number only" },
	{ "a range from 0", PORT("{\"port\":0,\"endPort\":80}"),
	  "endPort goes with a port number only" },
	{ "a range from nothing", PORT("{\"endPort\":80}"),
	  "endPort goes with a port number only" },
	{ "a range to text", PORT("{\"port\":1,\"endPort\":\"80\"}"),
	  ".endPort: found \"80\", expected a whole number" },
	{ "an unknown protocol", PORT("{\"protocol\":\"TPC\"}"), ".protocol: found \"TPC\"" },
	{ "IGMP by name", PORT("{\"protocol\":\"IGMP\"}"), "write its number: 2" },
	{ "protocol 0", PORT("{\"protocol\":0}"), ".protocol: found" },
	{ "protocol 255", PORT("{\"protocol\":\"255\"}"), ".protocol: found \"255\"" },
	{ "a port of GRE", PORT("{\"port\":80,\"protocol\":\"GRE\"}"),
	  "this protocol has no ports here" },
	{ "a port of protocol 6", PORT("{\"port\":80,\"protocol\":6}"),
	  "fix: write the protocol as \"TCP\"" },
	{ "a port of ICMP", PORT("{\"port\":8,\"protocol\":\"ICMP\"}"),
	  "fix: types of ICMP go under \"icmps\"" },
	{ "a label of ESP", PORT("{\"port\":\"http\",\"protocol\":\"ESP\"}"),
	  "this protocol has no ports here" },
	{ "L7 rules",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":80}],\"rules\":{\"http\":[{}]}}]}"),
	  ".rules: not supported: L7 rules need a proxy" },
	{ "serverNames",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":80}],\"serverNames\":[\"x\"]}]}"),
	  ".serverNames: not supported" },
	/* ICMP */
	{ "an ICMP type too large", ICMP("{\"type\":256}"), ".type: found a number (256)" },
	{ "no ICMP type", ICMP("{\"family\":\"IPv4\"}"), "\"type\" is missing" },
	{ "an unknown name", ICMP("{\"type\":\"Ping\"}"), ".type: found \"Ping\"" },
	{ "a name in other letters", ICMP("{\"type\":\"echo-request\"}"),
	  "did you mean \"EchoRequest\"?" },
	{ "a name of the other family", ICMP("{\"type\":\"PacketTooBig\"}"),
	  "say \"family\": \"IPv6\"" },
	{ "a name of the other family again", ICMP("{\"family\":\"IPv6\",\"type\":\"Redirect\"}"),
	  "say \"family\": \"IPv4\"" },
	{ "an unknown family", ICMP("{\"family\":\"v6\",\"type\":1}"), ".family: found \"v6\"" },
	{ "a code too large", ICMP("{\"type\":3,\"code\":256}"), ".code: found a number (256)" },
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(refusals); i++) {
		own_document *doc = NULL;
		own_notes notes = { 0 };
		own_str line = { 0 };
		int r = parse(refusals[i].text, NULL, &doc, &notes);

		pk_doc_notes_line(&notes, &line);
		if (r != -EINVAL || doc || !line.text || !strstr(line.text, refusals[i].want))
			fail_msg("%s: returned %d, '%s'", refusals[i].sentence, r,
				 line.text ? line.text : "");
	}
}

static const struct refusal warnings[] = {
	{ "no rules", "[]", "no rules" },
	{ "no rules in a document", "{\"rules\":[]}", "no rules" },
	{ "the author's words alone", OPERATOR_PEER("{\"matchLabels\":{\"job\":\"api\"}}"),
	  "author's words alone" },
	{ "a service of anyone", RULE("\"egress\":[{\"toServices\":[{\"name\":\"x\"}]}]"),
	  "this service of every namespace" },
	{ "bits beyond the prefix", EGRESS("{\"toCIDR\":[\"1.2.3.4/8\"]}"), "write \"1.0.0.0/8\"" },
	{ "nothing left",
	  EGRESS("{\"toCIDRSet\":[{\"cidr\":\"1.0.0.0/8\",\"except\":[\"1.0.0.0/8\"]}]}"),
	  "leaves nothing" },
	{ "an empty peer list", EGRESS("{\"toEndpoints\":[]}"), "an empty list matches nothing" },
	{ "a tenant that names the host", EGRESS("{\"toEntities\":[\"host\"]}"),
	  "\"tenantReach\" must list it" },
	{ "the same by selector", PEER("{\"matchLabels\":{\"reserved:remote-node\":\"\"}}"),
	  "to \"remote-node\" by itself" },
	{ "a slip of the pen", PEER("{\"matchLabels\":{\"nomad:jobb\":\"x\"}}"),
	  "did you mean \"nomad:job\"?" },
	{ "two jobs at once", PEER("{\"matchLabels\":{\"job\":\"a\",\"nomad:job\":\"b\"}}"),
	  "can't have two values" },
	{ "a tenant about init", SUBJECT("{\"matchLabels\":{\"reserved:init\":\"\"}}"),
	  "selects nothing" },
	{ "names", EGRESS("{\"toFQDNs\":[{\"matchName\":\"a.b\"}]}"),
	  "picketd refuses a document with toFQDNs" },
};

static void test_warnings(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(warnings); i++) {
		own_document *doc = NULL;
		own_notes notes = { 0 };
		own_str text = { 0 };
		int r = parse(warnings[i].text, NULL, &doc, &notes);

		pk_doc_notes_text(&notes, &text);
		if (r != 0 || notes.n_warnings != 1 || !strstr(text.text, warnings[i].want))
			fail_msg("%s: returned %d, '%s'", warnings[i].sentence, r,
				 text.text ? text.text : "");
	}
}

/* Taken without a word. */
static const char *const silent[] = {
	RULE("\"ingress\":[{}]"),
	"// a comment\n[" RULE("\"egress\":[{}]") "]",
	"{\"$schema\":\"x\",\"rules\":[" RULE("\"egress\":[{}]") "]}",
	"{\"tier\":\"baseline\",\"namespace\":\"acme\",\"rules\":[" RULE("\"egress\":[{}]") "]}",
	RULE("\"egress\":[{}],\"ingress\":[],\"enableDefaultDeny\":{\"egress\":true,\"ingress\":"
	     "false}"),
	INGRESS("{\"fromEntities\":[\"host\",\"none\"]}"),
	TENANT("\"egressDeny\":[{\"toEntities\":[\"host\"]}]"),
	TENANT("\"ingressDeny\":[{}]"),
	EGRESS("{\"toServices\":[{\"name\":\"redis\"}],\"pass\":false}"),
	OPERATOR("\"egress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}],\"pass\":true}]"),
	OPERATOR_PEER("{\"matchLabels\":{\"namespace\":\"acme\",\"tier\":\"db\"}}"),
	OPERATOR_PEER("{\"matchExpressions\":[{\"key\":\"nomad:namespace\",\"operator\":\"In\","
		      "\"values\":[\"a\",\"b\"]},"
		      "{\"key\":\"meta:x\",\"operator\":\"DoesNotExist\"}]}"),
	OPERATOR_PEER("{\"matchLabels\":{\"nodepool\":\"db\",\"job\":\"x\"}}"),
	OPERATOR_PEER("{}"),
	"[{\"endpointSelector\":{\"matchLabels\":{\"reserved:init\":\"\"}},\"ingress\":[{}]}]",
	"[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"x\"}},\"ingress\":[{}]}]",
	PORT("{}"),
	PORT("{\"port\":\"0\",\"protocol\":\"GRE\"}"),
	PORT("{\"protocol\":253}"),
	PORT("{\"port\":1,\"endPort\":65535},{\"port\":\"http\",\"protocol\":\"tcp\"},{\"port\":"
	     "\"a-b_1\"}"),
	ICMP("{\"type\":\"8\"},{\"type\":\"Echo\",\"code\":0},{\"family\":\"IPv6\",\"type\":"
	     "\"PacketTooBig\"}"),
};

static void test_silent(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(silent); i++) {
		own_document *doc = NULL;
		own_notes notes = { 0 };
		own_str text = { 0 };
		int r = parse(silent[i], NULL, &doc, &notes);

		pk_doc_notes_text(&notes, &text);
		if (r != 0 || notes.n)
			fail_msg("%s: returned %d, '%s'", silent[i], r, text.text ? text.text : "");
	}
}

static struct pk_document *take(const char *text)
{
	struct pk_document *doc = NULL;
	own_notes notes = { 0 };
	own_str line = { 0 };

	if (parse(text, NULL, &doc, &notes) < 0) {
		pk_doc_notes_line(&notes, &line);
		fail_msg("%s", line.text);
	}
	return doc;
}

static const struct pk_entry *entry(const struct pk_document *doc, int dir, size_t i)
{
	assert_true(doc->n_rules >= 1 && doc->rules[0].n_entries[dir] > i);
	return &doc->rules[0].entries[dir][i];
}

static void test_document(void **state)
{
	own_document *doc =
		take("{\"name\":\"n\",\"namespace\":\"acme\",\"audit\":true,\n\"rules\":[\n"
		     "{\"endpointSelector\":{},\"description\":\"d\",\"log\":{\"value\":\"l\"},\n"
		     "\"ingressDeny\":[{}],\n\"ingress\":[{},\n{\"fromEntities\":[\"world\"]}]}]}");
	own_document *bare = take(RULE("\"egress\":[{}]"));
	const struct pk_rule *rule = &doc->rules[0];

	(void)state;
	assert_string_equal(doc->source, "file");
	assert_string_equal(doc->path, "d/web.json");
	assert_string_equal(doc->name, "n");
	assert_string_equal(doc->namespace, "acme");
	assert_int_equal(doc->tier, PK_TIER_TENANT);
	assert_true(doc->audit);
	assert_string_equal(rule->description, "d");
	assert_string_equal(rule->log, "l");
	assert_int_equal(rule->line, 3);
	assert_int_equal(rule->n_entries[PK_INGRESS], 3);
	assert_true(entry(doc, PK_INGRESS, 0)->empty && !entry(doc, PK_INGRESS, 0)->deny);
	assert_int_equal(entry(doc, PK_INGRESS, 1)->line, 6);
	assert_false(entry(doc, PK_INGRESS, 1)->empty);
	assert_true(entry(doc, PK_INGRESS, 2)->empty && entry(doc, PK_INGRESS, 2)->deny);
	assert_string_equal(bare->name, "web");
	assert_null(bare->namespace);
	assert_int_equal(bare->tier, PK_TIER_TENANT);
	assert_false(bare->audit);
}

/* What a Consul ACL hands to a tenant speaks of that tenant, or not at all. */
static void test_place(void **state)
{
	const struct pk_doc_source src = { .source = "tenant/acme",
					   .path = "p/tenants/acme/web",
					   .namespace = "acme" };
	static const char *const good[] = { RULE("\"ingress\":[{}]"),
					    "[" RULE("\"ingress\":[{}]") "]", INGRESS("{}"),
					    "{\"rules\":[" RULE("\"ingress\":[{}]") "]}" };
	static const char *const bad[] = { "{\"namespace\":\"beta\",\"rules\":[]}",
					   OPERATOR("\"ingress\":[{}]") };

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(good); i++) {
		own_document *doc = NULL;
		own_notes notes = { 0 };

		assert_int_equal(parse(good[i], &src, &doc, &notes), 0);
		assert_string_equal(doc->namespace, "acme");
		assert_string_equal(doc->name, "web");
		assert_string_equal(doc->source, "tenant/acme");
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(bad); i++) {
		own_document *doc = NULL;
		own_notes notes = { 0 };

		assert_int_equal(parse(bad[i], &src, &doc, &notes), -EINVAL);
	}
}

static void test_bad_file_name(void **state)
{
	const struct pk_doc_source src = { .path = "d/.json" },
				   named = { .path = "d/.json", .name = "x" };
	own_document *doc = NULL;
	own_notes notes = { 0 }, more = { 0 };

	(void)state;
	assert_int_equal(parse(RULE("\"ingress\":[{}]"), &src, &doc, &notes), -EINVAL);
	assert_int_equal(parse(RULE("\"ingress\":[{}]"), &named, &doc, &more), 0);
}

static const struct {
	const char *tier, *said;
	bool want;
} default_denies[] = {
	{ "tenant", "", true },
	{ "tenant", ",\"enableDefaultDeny\":{\"ingress\":true}", true },
	{ "tenant", ",\"enableDefaultDeny\":{\"ingress\":false}", false },
	{ "tenant", ",\"enableDefaultDeny\":{\"egress\":false}", true },
	{ "operator", "", false },
	{ "operator", ",\"enableDefaultDeny\":{\"ingress\":true}", true },
	{ "operator", ",\"enableDefaultDeny\":{\"ingress\":false}", false },
	{ "baseline", "", false },
	{ "baseline", ",\"enableDefaultDeny\":{\"ingress\":true}", true },
};

static void test_default_deny(void **state)
{
	static const char *const lists[] = { "ingress", "ingressDeny" };

	(void)state;
	for (size_t i = 0; i < 2 * PK_ARRAY_LEN(default_denies); i++) {
		char text[256];
		own_document *doc = NULL;

		snprintf(text, sizeof(text),
			 "{\"tier\":\"%s\",\"rules\":[{\"endpointSelector\":{},\"%s\":[{}]%s}]}",
			 default_denies[i / 2].tier, lists[i % 2], default_denies[i / 2].said);
		doc = take(text);
		if (doc->rules[0].default_deny[PK_INGRESS] != default_denies[i / 2].want)
			fail_msg("%s", text);
		assert_false(doc->rules[0].default_deny[PK_EGRESS]);
	}
}

static const struct {
	const char *written, *means;
} keys[] = {
	{ "nomad:namespace", "nomad:namespace" },
	{ "nomad:region", "nomad:region" },
	{ "nomad:node", "nomad:node" },
	{ "nomad:nodepool", "nomad:nodepool" },
	{ "nomad:datacenter", "nomad:datacenter" },
	{ "nomad:job", "nomad:job" },
	{ "nomad:group", "nomad:group" },
	{ "consul:service", "consul:service" },
	{ "meta:job", "meta:job" },
	{ "meta:a:b", "meta:a:b" },
	{ "job", "nomad:job" },
	{ "any:job", "nomad:job" },
	{ "namespace", "nomad:namespace" },
	{ "group", "nomad:group" },
	{ "service", "consul:service" },
	{ "any:service", "consul:service" },
	{ "nodepool", "nomad:nodepool" },
	{ "tier", "meta:tier" },
	{ "any:tier", "meta:tier" },
	{ "Job", "meta:Job" },
	{ "nomad:tier", "meta:tier" },
	{ "netreap:nomad.job_id", "nomad:job" },
	{ "netreap:nomad.namespace", "nomad:namespace" },
	{ "netreap:nomad.task_group_id", "nomad:group" },
	{ "reserved:host", "reserved:host" },
	{ "reserved:remote-node", "reserved:remote-node" },
	{ "netreap:nomad.job", NULL },
	{ "consul:tag", NULL },
	{ "reserved:none", NULL },
	{ "k8s:app", NULL },
	{ "", NULL },
	{ "any:", NULL },
	{ ":x", NULL },
	{ "a\nb", NULL },
};

static void test_label_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(keys); i++) {
		own_mem char *key = NULL;
		struct pk_err why = { 0 };
		int r = pk_doc_label_key(keys[i].written, &key, &why);

		if (keys[i].means ? r != 0 || strcmp(key, keys[i].means) != 0
				  : r != -EINVAL || !why.text[0])
			fail_msg("'%s' -> '%s'", keys[i].written, key ? key : why.text);
	}
}

static void test_selector(void **state)
{
	own_document *doc =
		take(PEER("{\"matchLabels\":{\"job\":\"api\",\"tier\":\"\"},\"matchExpressions\":["
			  "{\"key\":\"service\",\"operator\":\"NotIn\",\"values\":[\"a\",\"b\"]},"
			  "{\"key\":\"meta:x\",\"operator\":\"DoesNotExist\",\"values\":[]}]},"
			  "{\"matchLabels\":{\"reserved:world\":\"\"}},{}"));
	const struct pk_entry *e = entry(doc, PK_EGRESS, 0);
	const struct pk_requirement *req = e->selectors[0].req;

	(void)state;
	assert_int_equal(e->kind, PK_PEER_ENDPOINTS);
	assert_int_equal(e->n_selectors, 3);
	assert_int_equal(e->selectors[0].n_req, 4);
	assert_true(req[0].op == PK_OP_IN && req[0].from_labels && req[0].n_values == 1);
	assert_string_equal(req[0].key, "nomad:job");
	assert_string_equal(req[0].values[0], "api");
	assert_string_equal(req[1].key, "meta:tier");
	assert_string_equal(req[1].values[0], "");
	assert_true(req[2].op == PK_OP_NOT_IN && !req[2].from_labels && req[2].n_values == 2);
	assert_true(req[3].op == PK_OP_NOT_EXISTS && req[3].n_values == 0);
	assert_true(e->selectors[1].is_entity && e->selectors[1].entity == PK_ENTITY_WORLD);
	assert_true(!e->selectors[2].is_entity && e->selectors[2].n_req == 0);
}

static void test_ports(void **state)
{
	own_document *doc = take(EGRESS(
		"{\"toPorts\":[{\"ports\":[{\"port\":\"80\",\"protocol\":\"TCP\"},"
		"{\"port\":8000,\"endPort\":8080,\"protocol\":\"udp\"},{\"port\":\"http\"}]},"
		"{\"ports\":[{},{\"port\":0,\"protocol\":\"SCTP\"},{\"protocol\":\"ICMPv6\"},"
		"{\"protocol\":47}]}]}"));
	const struct pk_entry *e = entry(doc, PK_EGRESS, 0);
	const struct pk_port_rule *p = e->ports;

	(void)state;
	assert_int_equal(e->kind, PK_PEER_ABSENT);
	assert_true(e->has_ports && !e->empty);
	assert_int_equal(e->n_ports, 7);
	assert_true(p[0].proto == IPPROTO_TCP && p[0].port == 80 && p[0].end == 80 && !p[0].icmp);
	assert_true(p[1].proto == IPPROTO_UDP && p[1].port == 8000 && p[1].end == 8080);
	assert_true(p[2].proto == PK_PROTO_ANY && strcmp(p[2].label, "http") == 0);
	assert_true(p[3].proto == PK_PROTO_ANY && p[3].port == 0 && p[3].end == 65535 &&
		    !p[3].label);
	assert_true(p[4].proto == IPPROTO_SCTP && p[4].port == 0 && p[4].end == 65535);
	assert_true(p[5].proto == IPPROTO_ICMPV6 && !p[5].icmp && p[5].end == 65535);
	assert_true(p[6].proto == 47 && p[6].end == 65535);
}

static void test_icmp(void **state)
{
	own_document *doc =
		take(ICMP("{\"type\":8},{\"type\":\"Echo\",\"code\":0},"
			  "{\"family\":\"IPv6\",\"type\":\"EchoRequest\",\"code\":255}"));
	const struct pk_port_rule *p = entry(doc, PK_EGRESS, 0)->ports;

	(void)state;
	assert_true(p[0].icmp && p[0].proto == IPPROTO_ICMP && p[0].type == 8 && p[0].code == -1 &&
		    !p[0].v6);
	assert_true(p[1].icmp && p[1].type == 8 && p[1].code == 0);
	assert_true(p[2].icmp && p[2].proto == IPPROTO_ICMPV6 && p[2].type == 128 &&
		    p[2].code == 255 && p[2].v6);
}

static void test_peers(void **state)
{
	own_document *doc = take(EGRESS(
		"{\"toCIDR\":[\"10.1.2.3\",\"fd00::/8\"]},"
		"{\"toCIDRSet\":[{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]}]},"
		"{\"toServices\":[{\"name\":\"a\"},{\"name\":\"b\",\"namespace\":\"beta\"}]},"
		"{\"toFQDNs\":[{\"matchName\":\"Api.Example.COM.\"},{\"matchPattern\":\"*.X.\"}]},"
		"{\"toEntities\":[\"world-ipv6\",\"none\"]},{\"toCIDRSet\":[]}"));
	own_document *any = take(RULE("\"egress\":[{\"toServices\":[{\"name\":\"a\"}]}]"));
	const struct pk_entry *e = doc->rules[0].entries[PK_EGRESS];
	char text[PK_ADDR_TEXT];

	(void)state;
	assert_true(e[0].kind == PK_PEER_CIDR && e[0].n_cidrs == 2 && !e[0].has_ports);
	assert_string_equal(pk_prefix_format(&e[0].cidrs[0].cidr, text), "10.1.2.3/32");
	assert_true(e[1].kind == PK_PEER_CIDR && e[1].cidrs[0].n_except == 1);
	assert_string_equal(pk_prefix_format(&e[1].cidrs[0].except[0], text), "10.1.0.0/16");
	assert_string_equal(e[2].services[0].namespace, "acme");
	assert_string_equal(e[2].services[1].namespace, "beta");
	assert_null(entry(any, PK_EGRESS, 0)->services[0].namespace);
	assert_string_equal(e[3].fqdns[0].name, "api.example.com");
	assert_string_equal(e[3].fqdns[1].pattern, "*.x");
	assert_true(doc->uses_fqdn && !any->uses_fqdn);
	assert_true(e[4].entities[0] == PK_ENTITY_WORLD6 && e[4].entities[1] == PK_ENTITY_NONE);
	assert_true(e[5].kind == PK_PEER_CIDR && e[5].n_cidrs == 0 && !e[5].empty);
}

static void test_screen(void **state)
{
	own_document *doc = NULL;
	own_notes notes = { 0 };
	own_str text = { 0 }, count = { 0 }, json = { 0 };
	struct pk_jw w = { .out = &json };

	(void)state;
	parse("[{ \"endpointSelector\": {},\n\t\"description\": \"\xe2\x80\xae\xc3\xa9\", "
	      "\"egress\": "
	      "[{ \"toEntity\": [] }] }]",
	      NULL, &doc, &notes);
	pk_doc_notes_text(&notes, &text);
	assert_string_equal(
		text.text,
		"d/web.json:2:36: error: .[0].egress[0].toEntity: unknown key\n"
		"    2 |  \"description\": \"\\xe2\\x80\\xae\xc3\xa9\", \"egress\": [{ "
		"\"toEntity\": [] }] }]\n"
		"      |                                               ^~~~~~~~~~ did you mean "
		"\"toEntities\"?\n");
	pk_doc_notes_count(&notes, &count);
	assert_string_equal(count.text, "1 error");
	pk_doc_notes_json(&notes, &w, NULL);
	assert_string_equal(
		json.text,
		"[{\"severity\":\"error\",\"file\":\"d/web.json\",\"line\":2,\"column\":36,"
		"\"path\":\".[0].egress[0].toEntity\",\"text\":\"unknown key\","
		"\"fix\":\"did you mean \\\"toEntities\\\"?\"}]");
}

/* Warnings without end don't hide an error, and only a screenful is kept. */
static void test_many_notes(void **state)
{
	own_str text = { 0 }, line = { 0 }, shown = { 0 };
	own_document *doc = NULL;
	own_notes notes = { 0 };

	(void)state;
	pk_str_add(&text, "[");
	for (int i = 0; i < 200; i++)
		pk_str_add(&text, RULE("\"egress\":[{\"toEndpoints\":[]}]") ",\n");
	pk_str_add(&text, RULE("\"egress\":[]") "]");
	assert_int_equal(parse(text.text, NULL, &doc, &notes), -EINVAL);
	assert_int_equal(notes.n_errors, 1);
	assert_int_equal(notes.n_warnings, 200);
	assert_int_equal(notes.n, PK_DOC_NOTES_MAX);
	pk_doc_notes_line(&notes, &line);
	assert_non_null(strstr(line.text, ":201:1: error: .[200]: a rule without any entry"));
	pk_doc_notes_text(&notes, &shown);
	assert_non_null(strstr(shown.text, "... and 151 more\n"));
}

static void test_icmp_names(void **state)
{
	uint8_t type;

	(void)state;
	for (int v6 = 0; v6 <= 1; v6++)
		for (const char *const *name = pk_icmp_type_names(v6); *name; name++)
			assert_int_equal(pk_icmp_type(*name, v6, false, &type), 0);
	assert_int_equal(pk_icmp_type("echo-request", false, true, &type), 0);
	assert_int_equal(type, 8);
	assert_int_equal(pk_icmp_type("ECHOREPLY", true, true, &type), 0);
	assert_int_equal(type, 129);
	assert_int_equal(pk_icmp_type("echo-request", false, false, &type), -EINVAL);
	assert_int_equal(pk_icmp_type("256", false, true, &type), -EINVAL);
	assert_int_equal(pk_icmp_type("08", false, true, &type), -EINVAL);
	assert_int_equal(pk_icmp_type("", false, true, &type), -EINVAL);
	assert_string_equal(pk_icmp_type_name(false, 8), "EchoRequest");
	assert_null(pk_icmp_type_name(false, 200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),     cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_silent),	     cmocka_unit_test(test_document),
		cmocka_unit_test(test_place),	     cmocka_unit_test(test_bad_file_name),
		cmocka_unit_test(test_default_deny), cmocka_unit_test(test_label_keys),
		cmocka_unit_test(test_selector),     cmocka_unit_test(test_ports),
		cmocka_unit_test(test_icmp),	     cmocka_unit_test(test_peers),
		cmocka_unit_test(test_screen),	     cmocka_unit_test(test_many_notes),
		cmocka_unit_test(test_icmp_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

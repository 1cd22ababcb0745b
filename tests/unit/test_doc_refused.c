/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/policy.md: what is refused, with which error; what gets a warning; what is taken silently.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "doc.h"
#include "own.h"
#include "unit/doc_texts.h"

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
	  "fix: of \"reserved:\" there are host, world, remote-node and init" },
	{ "an object of Kubernetes",
	  "{\"apiVersion\":\"cilium.io/"
	  "v2\",\"kind\":\"CiliumNetworkPolicy\",\"metadata\":{},\"spec\":{}}",
	  ".apiVersion: an object of Kubernetes is no document here" },
	{ "a list of them", "[{\"kind\":\"CiliumNetworkPolicy\",\"spec\":{}}]",
	  ".[0].kind: an object of Kubernetes" },
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
	{ "port 80.9", PORT("{\"port\":80.9}"),
	  ".port: found a number (80.9), expected a port 0..65535" },
	{ "port 65616", PORT("{\"port\":65616}"), ".port: found a number (65616)" },
	{ "port 4294967376", PORT("{\"port\":4294967376}"), ".port: found a number (4294967376)" },
	{ "port -1", PORT("{\"port\":-1}"), ".port: found a number (-1)" },
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
	{ "a tenant that names protected addresses", EGRESS("{\"toCIDR\":[\"10.1.0.0/16\"]}"),
	  "protected addresses by itself" },
	{ "the same by a set", EGRESS("{\"toCIDRSet\":[{\"cidr\":\"fd00::/8\"}]}"),
	  "\"tenantReach\" must list it" },
	{ "a tenant about another's endpoints", SUBJECT("{\"matchLabels\":{\"namespace\":\"b\"}}"),
	  "selects nothing: a policy of the namespace \"acme\"" },
	{ "the same by an expression",
	  SUBJECT("{\"matchExpressions\":[{\"key\":\"namespace\",\"operator\":\"NotIn\",\"values\":"
		  "["
		  "\"b\",\"acme\"]}]}"),
	  "selects nothing" },
	{ "a tenant that allows others without naming them",
	  PEER("{\"matchExpressions\":[{\"key\":\"namespace\",\"operator\":\"NotIn\",\"values\":["
	       "\"acme\"]}]}"),
	  "name them by matchLabels or In" },
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
	INGRESS("{\"fromCIDR\":[\"10.0.0.0/8\"]}"),
	EGRESS("{\"toCIDR\":[\"0.0.0.0/0\",\"8.0.0.0/5\",\"::/0\"]}"),
	TENANT("\"egressDeny\":[{\"toCIDR\":[\"10.0.0.0/"
	       "8\"]},{\"toEndpoints\":[{\"matchExpressions\":["
	       "{\"key\":\"namespace\",\"operator\":\"NotIn\",\"values\":[\"acme\"]}]}]}]"),
	SUBJECT("{\"matchExpressions\":[{\"key\":\"namespace\",\"operator\":\"Exists\"}]}"),
	PEER("{\"matchExpressions\":[{\"key\":\"namespace\",\"operator\":\"In\",\"values\":[\"b\"]}"
	     ",{"
	     "\"key\":\"namespace\",\"operator\":\"NotIn\",\"values\":[\"c\"]}]}"),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Other programs' policies: what is carried over, what is repaired, and that nothing opens by it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "import.h"
#include "own.h"

#define RULE(s)	  "[{\"endpointSelector\":{}," s "}]"
#define EGRESS(s) RULE("\"egress\":[" s "]")
#define CNP(s)                                                                                     \
	"{\"kind\":\"CiliumNetworkPolicy\",\"metadata\":{\"name\":\"n\",\"namespace\":\"a\"},"     \
	"\"spec\":" s "}"

struct row {
	const char *sentence, *in;
	const char *out; /* part of the document, blanks and breaks left out */
	size_t repairs, losses;
	const char *said; /* part of the notes */
};

static const struct row rows[] = {
	{ "what is ours already is left alone",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"ingress\":[{}]}]",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"ingress\":[{}]}]", 0, 0, "" },
	{ "netreap's labels",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"netreap:nomad.job_id\":\"a\"}},\"ingress\":[{"
	  "}]}]",
	  "{\"nomad:job\":\"a\"}", 1, 0, "written as \"nomad:job\"" },
	{ "netreap's meta keys",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"nomad:tier\":\"a\"}},\"ingress\":[{}]}]",
	  "{\"meta:tier\":\"a\"}", 1, 0, "written as \"meta:tier\"" },
	{ "a key mistyped", EGRESS("{\"toEntity\":[\"host\"]}"), "[{\"toEntities\":[\"host\"]}]", 1,
	  0, "written as \"toEntities\"" },
	{ "a key of the other direction",
	  EGRESS("{\"fromEntities\":[\"world\"],\"toEntities\":[\"host\"]}"),
	  "[{\"toEntities\":[\"host\"]}]", 1, 0, "removed: it had no effect" },
	{ "rule labels", RULE("\"labels\":[],\"ingress\":[{}]"),
	  "{\"endpointSelector\":{},\"ingress\":[{}]}", 1, 0, "removed: it decides nothing" },
	{ "null", RULE("\"egress\":null,\"ingress\":[{}]"),
	  "{\"endpointSelector\":{},\"ingress\":[{}]}", 1, 0, "removed: it says nothing" },
	{ "an empty port list", EGRESS("{\"toEntities\":[\"host\"],\"toPorts\":[]}"),
	  "[{\"toEntities\":[\"host\"]}]", 1, 0, "removed: it says nothing" },
	{ "endPort 0", EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"1\",\"endPort\":0}]}]}"),
	  "[{\"port\":\"1\"}]", 1, 0, "it is no range" },
	{ "IGMP", EGRESS("{\"toPorts\":[{\"ports\":[{\"protocol\":\"IGMP\"}]}]}"),
	  "[{\"protocol\":2}]", 1, 0, "written as 2" },
	{ "open DNS rules",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"53\"}],\"rules\":{\"dns\":[{"
		 "\"matchPattern\":\"*\"}]}}]}"),
	  "\"egress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"53\"}]}]}]", 1, 0,
	  "DNS isn't looked into" },
	{ "DNS rules that close something",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"53\"}],\"rules\":{\"dns\":[{\"matchName\":"
		 "\"a.b\"}]}}]}"),
	  "\"egress\":[{}]", 0, 1, "L7 rules can't be carried over: the entry became {}" },
	{ "HTTP rules",
	  EGRESS("{\"toEntities\":[\"all\"]},{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}],"
		 "\"rules\":{\"http\":[{}]}}]}"),
	  "\"egress\":[{\"toEntities\":[\"all\"]},{}]", 0, 1, ".[0].egress[1]: L7 rules" },
	{ "names of TLS",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}],\"serverNames\":[\"x\"]}]}"),
	  "\"egress\":[{}]", 0, 1, "serverNames" },
	{ "requirements", RULE("\"ingress\":[{\"fromRequires\":[{}],\"fromEndpoints\":[{}]}]"),
	  "\"ingress\":[{}]", 0, 1, "fromRequires" },
	{ "authentication", RULE("\"ingress\":[{\"authentication\":{\"mode\":\"required\"}}]"),
	  "\"ingress\":[{}]", 0, 1, "authentication" },
	{ "no authentication",
	  RULE("\"ingress\":[{\"fromEndpoints\":[{}],\"authentication\":{\"mode\":\"disabled\"}}]"),
	  "\"ingress\":[{\"fromEndpoints\":[{}]}]", 1, 0, "removed: it had no effect" },
	{ "a deny that can't be said", RULE("\"egressDeny\":[{\"toGroups\":[{}]}]"),
	  "\"egressDeny\":[{}]", 0, 1, "this DENY is lost" },
	{ "an entity of Kubernetes", EGRESS("{\"toEntities\":[\"kube-apiserver\",\"world\"]}"),
	  "[\"world\"]", 0, 1, "this peer is removed" },
	{ "an entity of Kubernetes, denied", RULE("\"egressDeny\":[{\"toEntities\":[\"health\"]}]"),
	  "\"toEntities\":[]", 0, 1, "this DENY is lost" },
	{ "a service of Kubernetes",
	  EGRESS("{\"toServices\":[{\"k8sService\":{\"serviceName\":\"r\",\"namespace\":\"d\"}}]}"),
	  "[{\"name\":\"r\",\"namespace\":\"d\"}]", 1, 0, "written as \"name\" and \"namespace\"" },
	{ "a group of CIDRs",
	  EGRESS("{\"toCIDRSet\":[{\"cidrGroupRef\":\"x\"},{\"cidr\":\"1.0.0.0/8\"}]}"),
	  "[{\"cidr\":\"1.0.0.0/8\"}]", 0, 1, "cidrGroupRef" },
	{ "a rule about nodes",
	  "[{\"nodeSelector\":{},\"ingress\":[{}]},{\"endpointSelector\":{},\"ingress\":[{}]}]",
	  "[{\"endpointSelector\":{},\"ingress\":[{}]}]", 0, 1,
	  "a rule about nodes can't be carried over" },
	{ "a label that nothing here has",
	  EGRESS("{\"toEndpoints\":[{\"matchLabels\":{\"io.cilium.k8s.policy.serviceaccount\":"
		 "\"x\"}}]}"),
	  "\"toEndpoints\":[]", 0, 1, "this peer is removed" },
	{ "the same label twice",
	  EGRESS("{\"toEndpoints\":[{\"matchLabels\":{\"k8s:io.kubernetes.pod.namespace\":\"a\","
		 "\"io.kubernetes.pod.namespace\":\"b\"}}]}"),
	  "{\"matchLabels\":{\"nomad:namespace\":\"a\"},\"matchExpressions\":[{\"key\":\"nomad:"
	  "namespace\",\"operator\":\"In\",\"values\":[\"b\"]}]}",
	  2, 0, "a second time: written as an expression" },
	{ "the same beside an expression",
	  EGRESS("{\"toEndpoints\":[{\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"Exists\"}]"
		 ","
		 "\"matchLabels\":{\"k8s:x\":\"a\",\"any:x\":\"a\"}}]}"),
	  "\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"Exists\"},{\"key\":\"meta:x\","
	  "\"operator\":\"In\",\"values\":[\"a\"]}]",
	  2, 0, "" },
	{ "an empty list of what doesn't exist here",
	  EGRESS("{\"toNodes\":[],\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}"),
	  "\"egress\":[{}]", 0, 1, "toNodes can't be carried over" },
	{ "default deny without an entry",
	  RULE("\"egress\":[{}],\"enableDefaultDeny\":{\"ingress\":true,\"egress\":true}"),
	  "\"enableDefaultDeny\":{\"egress\":true}", 1, 0, "without an entry it had no effect" },
	{ "default deny by a deny",
	  RULE("\"egressDeny\":[{}],\"enableDefaultDeny\":{\"egress\":true}"),
	  "\"enableDefaultDeny\":{\"egress\":true}", 0, 0, "" },
	{ "a rule that says nothing",
	  "[{\"endpointSelector\":{},\"ingress\":[],\"egress\":null},{\"endpointSelector\":{},"
	  "\"egress\":[{}]}]",
	  "[{\"endpointSelector\":{},\"egress\":[{}]}]", 1, 0, "a rule without an entry" },
	{ "a rule that is lost takes its default deny along",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"io.cilium.k8s.policy.serviceaccount\":\"x\"}}"
	  ","
	  "\"ingress\":[{}]}]",
	  "[]", 0, 1, "what it closed is open" },
	{ "all and cluster in a namespace's allow",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"all\",\"cluster\","
	      "\"host\"]"
	      "}]}"),
	  "[\"all\",\"cluster\",\"host\"]", 3, 0,
	  "\"cluster\" means the namespace's own endpoints here" },
	{ "no peer in a namespace's allow",
	  CNP("{\"endpointSelector\":{},\"egress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}"
	      "]}"),
	  "[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}]", 2, 0,
	  "no peer means the namespace's own endpoints and the world here" },
	{ "the same in a deny",
	  CNP("{\"endpointSelector\":{},\"egressDeny\":[{\"toEntities\":[\"all\"]},{\"icmps\":[{"
	      "\"fields\":[{\"type\":8}]}]}]}"),
	  "[{\"toEntities\":[\"all\"]},{\"icmps\"", 1, 0, "" },
	{ "a pod's bare labels",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"service\":\"a\",\"app\":\"b\"}},"
	      "\"ingress\":[{"
	      "}]}"),
	  "{\"service\":\"a\",\"app\":\"b\"}", 3, 0, "means \"consul:service\" here" },
	{ "an object of Cilium's",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"k8s:app\":\"w\"}},\"ingress\":[{}]}"),
	  "{\"name\":\"a-n\",\"namespace\":\"a\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":"
	  "{\"meta:app\":\"w\"}},\"ingress\":[{}]}]}",
	  2, 0, "give the jobs this meta key" },
	{ "its empty expression values",
	  CNP("{\"endpointSelector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":"
	      "\"Exists\",\"values\":null}]},\"ingress\":[{}]}"),
	  "[{\"key\":\"app\",\"operator\":\"Exists\"}]", 2, 0, "becomes a document" },
	{ "a clusterwide one",
	  "{\"kind\":\"CiliumClusterwideNetworkPolicy\",\"metadata\":{\"name\":\"n\"},\"specs\":[{"
	  "\"endpointSelector\":{},\"ingress\":[{}]}]}",
	  "{\"name\":\"n\",\"rules\":[{\"endpointSelector\":{},\"ingress\":[{}]}]}", 1, 0,
	  "becomes a document" },
	{ "wrong types are left to the reader",
	  "[{\"endpointSelector\":{\"matchLabels\":[{\"a\":1}]},\"ingress\":[1,[{}],{"
	  "\"fromEndpoints\":[{\"matchExpressions\":[2]}],\"toPorts\":[[3],{\"ports\":[4]}]}]}]",
	  "\"matchLabels\":[{\"a\":1}]},\"ingress\":[1,[{}],{\"fromEndpoints\":[{"
	  "\"matchExpressions\":[2]}],\"toPorts\":[[3],{\"ports\":[4]}]}]",
	  0, 0, "" },
	{ "one of ours with a slip",
	  "{\"name\":\"x\",\"tier\":\"operator\",\"rules\":" EGRESS(
		  "{\"toCIDRs\":[\"1.0.0.0/8\"]}") "}",
	  "{\"name\":\"x\",\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},\"egress\":[{"
	  "\"toCIDR\":[\"1.0.0.0/8\"]}]}]}",
	  1, 0, "written as \"toCIDR\"" },
};

static void add_flat(const char *text, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	own_json *doc = NULL;

	assert_int_equal(pk_json_parse("t", text, strlen(text), 0, &doc, NULL), 0);
	pk_jw_value(&w, NULL, pk_json_root(doc));
}

static void rows_come_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		own_import import = { 0 };
		own_str notes = { 0 }, flat = { 0 };
		int r = pk_import_text("t", row->in, strlen(row->in), NULL, &import);

		pk_doc_notes_text(&import.notes, &notes);
		if (r < 0 || import.n != 1)
			fail_msg("%s: %d, %zu documents, %s", row->sentence, r, import.n,
				 notes.text);
		add_flat(import.docs[0].text, &flat);
		if (!strstr(flat.text, row->out) || import.notes.n_warnings != row->repairs ||
		    import.notes.n_errors != row->losses ||
		    !strstr(notes.text ? notes.text : "", row->said))
			fail_msg("%s: %s\n%s", row->sentence, flat.text, notes.text);
	}
}

static void a_list_becomes_documents(void **state)
{
	static const char text[] = "{\"kind\":\"List\",\"items\":[" CNP(
		"{\"endpointSelector\":{},"
		"\"ingress\":[{}]}") "," CNP("{\"endpointSelector\":{},\"egress\":["
					     "{}]}") ",{\"kind\":\"NetworkPolicy\"}"
						     "]}";
	own_import import = { 0 };

	(void)state;
	assert_int_equal(pk_import_text("t", text, strlen(text), NULL, &import), 0);
	assert_int_equal(import.n, 2);
	assert_string_equal(import.docs[1].name, "a-n");
	assert_int_equal(import.notes.n_errors, 1);
}

static void a_namespace_makes_a_tenants_document(void **state)
{
	static const char text[] = EGRESS("{}");
	own_import import = { 0 };
	own_str flat = { 0 };

	(void)state;
	assert_int_equal(pk_import_text("t", text, strlen(text), "acme", &import), 0);
	add_flat(import.docs[0].text, &flat);
	assert_string_equal(flat.text, "{\"namespace\":\"acme\",\"rules\":" EGRESS("{}") "}");
}

static void what_is_nothing_of_the_kind(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"1",
		"{\"kind\":\"Pod\",\"spec\":{}}",
		"{\"items\":[]}",
		"[{\"a\":1,\"a\":2}]",
		"[{\"endpointSelector\":{},\"ingress\":[{\"fromEntity\":[],\"fromEntitys\":[]}]}]"
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++) {
		own_import import = { 0 };

		assert_true(pk_import_text("t", texts[i], strlen(texts[i]), NULL, &import) < 0);
		assert_true(import.notes.n_errors > 0 && import.n == 0);
	}
}

static void every_repair_is_listed(void **state)
{
	own_str text = { 0 };
	own_import import = { 0 };

	(void)state;
	pk_str_add(&text, "[");
	for (int i = 0; i < 300; i++)
		pk_str_addf(&text, "%s{\"endpointSelector\":{},\"labels\":[],\"ingress\":[{}]}",
			    i ? "," : "");
	pk_str_add(&text, "]");
	assert_int_equal(pk_import_text("t", text.text, text.len, NULL, &import), 0);
	assert_int_equal(import.notes.n, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_out),
		cmocka_unit_test(a_list_becomes_documents),
		cmocka_unit_test(a_namespace_makes_a_tenants_document),
		cmocka_unit_test(what_is_nothing_of_the_kind),
		cmocka_unit_test(every_repair_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
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

/* out: part of the document, blanks and breaks left out; NULL: the document is refused. */
struct row {
	const char *sentence, *in, *out;
	size_t repairs, losses;
	const char *said; /* part of the notes */
};

static const struct pk_import_options operators = { 0 };

static const struct row rows[] = {
	{ "what is ours already is left alone",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"ingress\":[{}]}]",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"ingress\":[{}]}]", 0, 0, "" },
	{ "netreap's labels",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"netreap:nomad.job_id\":\"a\"}},\"ingress\":[{"
	  "}]}]",
	  "{\"nomad:job\":\"a\"}", 1, 0, "written as \"nomad:job\"" },
	{ "netreap's meta keys",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"nomad:tier\":\"a\",\"namespace\":\"n\"}},"
	  "\"ingress\":[{}]}]",
	  "{\"meta:tier\":\"a\",\"namespace\":\"n\"}", 1, 0, "written as \"meta:tier\"" },
	{ "a key mistyped, which Cilium ignored", EGRESS("{\"toEntity\":[\"host\"]}"), NULL, 0, 0,
	  "did you mean \"toEntities\"?" },
	{ "a key mistyped in a deny", RULE("\"egressDeny\":[{\"toEntitys\":[\"host\"]}]"), NULL, 0,
	  0, "did you mean \"toEntities\"?" },
	{ "a list mistyped in a rule", RULE("\"ingres\":[{}]"), NULL, 0, 0,
	  "did you mean \"ingress\"?" },
	{ "a key mistyped in a selector", EGRESS("{\"toEndpoints\":[{\"matchLabel\":{}}]}"), NULL,
	  0, 0, "did you mean \"matchLabels\"?" },
	{ "a key of the other direction",
	  EGRESS("{\"fromEntities\":[\"world\"],\"toEntities\":[\"host\"]}"), NULL, 0, 0,
	  "Cilium reads no such key here" },
	{ "a key in another case, which Cilium's API takes",
	  EGRESS("{\"toentities\":[\"host\"],\"TOPORTS\":[{\"Ports\":[{\"PORT\":\"80\"}]}]}"),
	  "[{\"toEntities\":[\"host\"],\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}]", 4, 0,
	  "written as \"toPorts\"" },
	{ "a key twice but for its case",
	  EGRESS("{\"toEntities\":[\"host\"],\"toentities\":[\"world\"]}"), NULL, 0, 0,
	  "a second time, in another case" },
	{ "rule labels", RULE("\"labels\":[],\"ingress\":[{}]"),
	  "{\"endpointSelector\":{},\"ingress\":[{}]}", 1, 0, "removed: it decides nothing" },
	{ "null", RULE("\"egress\":null,\"ingress\":[{}]"),
	  "{\"endpointSelector\":{},\"ingress\":[{}]}", 1, 0, "removed: it says nothing" },
	{ "an empty port list", EGRESS("{\"toEntities\":[\"host\"],\"toPorts\":[]}"),
	  "[{\"toEntities\":[\"host\"]}]", 1, 0, "removed: it says nothing" },
	{ "an empty list of services",
	  EGRESS("{\"toServices\":[],\"toPorts\":[{\"ports\":[{\"port\":\"1\"}]}]}"),
	  "\"egress\":[{\"toPorts\":", 1, 0, "removed: it says nothing" },
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
	  "\"egress\":[{}]", 0, 1, "L7 rules can't be carried over: these ports are removed" },
	{ "DNS rules beside ports without",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"53\"}],\"rules\":{\"dns\":[{\"matchPattern\":"
		 "\"*.\"}]}},{\"ports\":[{\"port\":\"80\"}]}]}"),
	  "\"egress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}]", 0, 1, "L7 rules" },
	{ "L7 rules in a deny, which denies the ports",
	  RULE("\"egressDeny\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}],\"rules\":{\"http\":[{}]}}"
	       "]}]"),
	  "\"egressDeny\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}]", 1, 0,
	  "Cilium denies the ports" },
	{ "ports without a port", EGRESS("{\"toPorts\":[{\"ports\":[]}]}"), "\"egress\":[{}]", 1, 0,
	  "without ports it matched nothing" },
	{ "a port's name in capitals", EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"HTTP\"}]}]}"),
	  "[{\"port\":\"http\"}]", 1, 0, "Cilium's port names have no case" },
	{ "an octal port", EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"0120\"}]}]}"), NULL, 0, 0,
	  "an octal number" },
	{ "an ICMP code, which Cilium ignored",
	  RULE("\"egressDeny\":[{\"icmps\":[{\"fields\":[{\"type\":3,\"code\":1}]}]}]"), NULL, 0, 0,
	  "Cilium reads no such key" },
	{ "names", EGRESS("{\"toFQDNs\":[{\"matchPattern\":\"*.\"}]}"), "\"egress\":[{}]", 0, 1,
	  "toFQDNs can't be carried over" },
	{ "HTTP rules",
	  EGRESS("{\"toEntities\":[\"all\"]},{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}],"
		 "\"rules\":{\"http\":[{}]}}]}"),
	  "\"egress\":[{\"toEntities\":[\"all\"]},{}]", 0, 1,
	  ".[0].egress[1].toPorts[0]: L7 rules" },
	{ "names of TLS",
	  EGRESS("{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}],\"serverNames\":[\"x\"]}]}"),
	  "\"egress\":[{}]", 0, 1, "serverNames" },
	{ "requirements",
	  RULE("\"ingress\":[{\"fromRequires\":[{\"matchLabels\":{\"job\":\"a\"},\"matchExpressions\":[{"
	       "\"key\":\"group\",\"operator\":\"Exists\"}]}],\"fromEndpoints\":[{\"matchLabels\":{"
	       "\"namespace\":\"n\"}}]}]"),
	  "\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"namespace\":\"n\"}}]}],\"ingressDeny\":[{"
	  "\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"job\",\"operator\":\"NotIn\",\"values\":["
	  "\"a\"]}]},{\"matchExpressions\":[{\"key\":\"group\",\"operator\":\"DoesNotExist\"}]}]}]",
	  0, 1, "written as a deny of the endpoints that don't fulfil it" },
	{ "requirements, and a selector of everything",
	  RULE("\"egress\":[{\"toRequires\":[{\"matchLabels\":{\"job\":\"a\"}}]},{\"toEndpoints\":[{}]}]"),
	  "\"egress\":[{},{\"toEndpoints\":[{}]}],\"egressDeny\":[{\"toEndpoints\":[", 0, 2,
	  "not written, since a rule has requirements" },
	{ "requirements in a tenant's policy",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromRequires\":[{\"matchLabels\":{\"app\":\"x\"}}"
	      "]}]}"),
	  "\"ingress\":[{}],\"ingressDeny\":[{\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":"
	  "\"meta:app\",\"operator\":\"NotIn\",\"values\":[\"x\"]},{\"key\":\"nomad:namespace\","
	  "\"operator\":\"Exists\"}]},{\"matchExpressions\":[{\"key\":\"nomad:namespace\",\"operator\":"
	  "\"NotIn\",\"values\":[\"a\"]}]}]}]",
	  1, 1, "" },
	{ "requirements of a deny, which made it smaller",
	  RULE("\"ingressDeny\":[{\"fromRequires\":[{\"matchLabels\":{\"job\":\"a\"}}],\"fromEntities\":["
	       "\"host\"]}]"),
	  "\"ingressDeny\":[{\"fromEntities\":[\"host\"]}]", 0, 1, "for all their peers now" },
	{ "an empty list of requirements",
	  RULE("\"ingress\":[{\"fromRequires\":[],\"fromEntities\":[\"host\"]}]"),
	  "\"ingress\":[{\"fromEntities\":[\"host\"]}]}", 0, 0, "" },
	{ "a selector of everything, the world too", RULE("\"ingress\":[{\"fromEndpoints\":[{}]}]"),
	  "\"ingress\":[{\"fromEntities\":[\"all\"]}]", 1, 0, "written as the entity \"all\"" },
	{ "and in a deny", RULE("\"ingressDeny\":[{\"fromEndpoints\":[{}]}]"),
	  "\"ingressDeny\":[{\"fromEntities\":[\"all\"]}]", 1, 0, "" },
	{ "a selector of negations alone, in a deny",
	  RULE("\"egressDeny\":[{\"toEndpoints\":[{\"matchExpressions\":[{\"key\":\"job\",\"operator\":"
	       "\"NotIn\",\"values\":[\"a\"]}]}],\"icmps\":[{\"fields\":[{\"type\":8}]}]}]"),
	  "\"operator\":\"NotIn\",\"values\":[\"a\"]}]}],\"icmps\":[{\"fields\":[{\"type\":8}]}]},{"
	  "\"toEntities\":[\"host\",\"remote-node\",\"world\",\"init\"],\"icmps\":",
	  1, 0, "written as an entry of their own" },
	{ "negations of entities",
	  RULE("\"ingress\":[{\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"reserved:world\","
	       "\"operator\":\"DoesNotExist\"}]}]}]"),
	  "\"ingress\":[{\"fromEndpoints\":[{}]},{\"fromEntities\":[\"host\",\"remote-node\",\"init\"]}]",
	  2, 0, "every endpoint fulfils it" },
	{ "the cluster, as its API sees it: netreap's endpoints aren't of it",
	  RULE("\"ingress\":[{\"fromEntities\":[\"cluster\"]}]"),
	  "\"fromEntities\":[\"host\",\"remote-node\",\"init\"]", 1, 0, "without Kubernetes" },
	{ "and in a deny, where more is safe",
	  RULE("\"ingressDeny\":[{\"fromEntities\":[\"cluster\"]}]"),
	  "\"fromEntities\":[\"cluster\"]", 0, 1, "closes more than it did" },
	{ "a label that every endpoint of the cluster has",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"io.cilium.k8s.policy.cluster\":\"default\"}},"
	      "\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"k8s:io.cilium.k8s.policy.cluster\":"
	      "\"default\",\"app\":\"x\"}}]}]}"),
	  "{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"meta:app\":\"x\"}}]"
	  "}]}",
	  4, 0, "every endpoint of the cluster fulfils it" },
	{ "a label of another cluster",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{"
	      "\"io.cilium.k8s.policy.cluster\":\"other\"}}]}]}"),
	  "\"fromEndpoints\":[]", 1, 1, "give -cluster NAME" },
	{ "netreap's health endpoint",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"reserved:health\":\"\"}},\"ingress\":[{}]},{"
	  "\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"health\",\"host\"]},{"
	  "\"fromEndpoints\":[{\"matchLabels\":{\"reserved:health\":\"\"}}]}]}]",
	  "[{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"host\"]},{\"fromEndpoints\":[]}]}]",
	  3, 0, "an endpoint of Cilium's own" },
	{ "meta of any namespace",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"nomad:app\":\"a\"}},\"ingress\":[{}]}]", NULL,
	  0, 0, "give -namespace NAME" },
	{ "authentication", RULE("\"ingress\":[{\"authentication\":{\"mode\":\"required\"}}]"),
	  "\"ingress\":[{}]", 0, 1, "authentication" },
	{ "no authentication",
	  RULE("\"ingress\":[{\"fromEntities\":[\"host\"],\"authentication\":{\"mode\":\"disabled\"}}]"),
	  "\"ingress\":[{\"fromEntities\":[\"host\"]}]", 1, 0, "removed: it asked for nothing" },
	{ "a deny that can't be said", RULE("\"egressDeny\":[{\"toGroups\":[{}]}]"), NULL, 0, 0,
	  "without this deny what it closes would be open" },
	{ "an entity of Kubernetes",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"kube-apiserver\",\"world\"]}]}"),
	  "[\"world\"]", 1, 1, "this peer is removed" },
	{ "an entity of Kubernetes, denied",
	  CNP("{\"endpointSelector\":{},\"egressDeny\":[{\"toEntities\":[\"kube-apiserver\"]}]}"),
	  NULL, 0, 0, "name its addresses by CIDR" },
	{ "the same without Kubernetes", EGRESS("{\"toEntities\":[\"kube-apiserver\",\"world\"]}"),
	  "[\"world\"]", 1, 0, "there is none here" },
	{ "a service of Kubernetes",
	  CNP("{\"endpointSelector\":{},\"egress\":[{\"toServices\":[{\"k8sService\":{\"serviceName\":\"r\","
	      "\"namespace\":\"d\"}}]}]}"),
	  "[{\"name\":\"r\",\"namespace\":\"d\"}]", 2, 0, "written as \"name\" and \"namespace\"" },
	{ "the same without Kubernetes",
	  EGRESS("{\"toServices\":[{\"k8sService\":{\"serviceName\":\"r\",\"namespace\":\"d\"}}]}"),
	  "\"toServices\":[]", 1, 0, "there was no service to match" },
	{ "a group of CIDRs",
	  EGRESS("{\"toCIDRSet\":[{\"cidrGroupRef\":\"x\"},{\"cidr\":\"1.0.0.0/8\"}]}"),
	  "[{\"cidr\":\"1.0.0.0/8\"}]", 0, 1, "cidrGroupRef" },
	{ "a group of CIDRs, denied",
	  RULE("\"egressDeny\":[{\"toCIDRSet\":[{\"cidrGroupRef\":\"x\"}]}]"), NULL, 0, 0,
	  "write its addresses" },
	{ "a rule about nodes",
	  "[{\"nodeSelector\":{},\"ingress\":[{}]},{\"endpointSelector\":{},\"ingress\":[{}]}]",
	  NULL, 0, 0, "a rule about nodes: without it what it closes would be open" },
	{ "a label that nothing here has",
	  EGRESS("{\"toEndpoints\":[{\"matchLabels\":{\"io.cilium.k8s.policy.serviceaccount\":"
		 "\"x\"}}]}"),
	  "\"toEndpoints\":[]", 0, 1, "this peer is removed" },
	{ "the same in a deny",
	  RULE("\"egressDeny\":[{\"toEndpoints\":[{\"matchLabels\":{\"io.cilium.k8s.policy.serviceaccount\":"
	       "\"x\"}}]}]"),
	  NULL, 0, 0, "without this deny what it closes would be open" },
	{ "a namespace by the label of its name",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{"
	      "\"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name\":\"b\"}}]}]}"),
	  "{\"nomad:namespace\":\"b\"}", 2, 0, "" },
	{ "other namespaces that aren't named",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":"
	      "\"io.kubernetes.pod.namespace\",\"operator\":\"Exists\"}]}]}]}"),
	  "\"operator\":\"Exists\"", 2, 1, "must name the others" },
	{ "a policy about another namespace, which Cilium takes for its own",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"k8s:io.kubernetes.pod.namespace\":\"b\"}},"
	      "\"ingress\":[{}]}"),
	  "{\"endpointSelector\":{},\"ingress\":[{}]}", 2, 0, "every endpoint fulfils it" },
	{ "the same label twice",
	  EGRESS("{\"toEndpoints\":[{\"matchLabels\":{\"k8s:io.kubernetes.pod.namespace\":\"a\","
		 "\"io.kubernetes.pod.namespace\":\"b\"}}]}"),
	  "{\"matchLabels\":{\"nomad:namespace\":\"a\"},\"matchExpressions\":[{\"key\":\"nomad:"
	  "namespace\",\"operator\":\"In\",\"values\":[\"b\"]}]}",
	  2, 0, "a second time: written as an expression" },
	{ "the same beside an expression",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":"
	      "\"x\",\"operator\":\"Exists\"}],\"matchLabels\":{\"k8s:x\":\"a\",\"any:x\":\"a\"}}]}]}"),
	  "{\"matchLabels\":{\"meta:x\":\"a\"},\"matchExpressions\":[{\"key\":\"meta:x\",\"operator\":"
	  "\"In\",\"values\":[\"a\"]},{\"key\":\"meta:x\",\"operator\":\"Exists\"}]}",
	  4, 0, "a second time: written as an expression" },
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
	{ "a rule about what nothing here has",
	  "[{\"endpointSelector\":{\"matchLabels\":{\"io.cilium.k8s.policy.serviceaccount\":\"x\"}}"
	  ","
	  "\"ingress\":[{}]}]",
	  NULL, 0, 0, "without this rule what it closes would be open" },
	{ "all and cluster in a namespace's allow",
	  CNP("{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"all\",\"cluster\","
	      "\"host\"]"
	      "}]}"),
	  "[\"all\",\"cluster\",\"host\"]", 1, 2,
	  "\"cluster\" means the namespace's own endpoints here" },
	{ "no peer in a namespace's allow",
	  CNP("{\"endpointSelector\":{},\"egress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}"
	      "]}"),
	  "[{\"toPorts\":[{\"ports\":[{\"port\":\"80\"}]}]}]", 1, 1,
	  "\"all\" means the namespace's own endpoints and the world here" },
	{ "the world in a namespace's egress",
	  CNP("{\"endpointSelector\":{},\"egress\":[{\"toEntities\":[\"world\"]},{\"toCIDR\":[\"10.1.0.0/"
	      "16\",\"9.0.0.0/8\"]}]}"),
	  "[\"world\"]", 1, 2, "protected addresses" },
	{ "the same in a deny",
	  CNP("{\"endpointSelector\":{},\"egressDeny\":[{\"toEntities\":[\"all\"]},{\"icmps\":[{"
	      "\"fields\":[{\"type\":8}]}]}]}"),
	  "[{\"toEntities\":[\"all\"]},{\"icmps\"", 1, 0, "" },
	{ "a pod's bare labels",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"service\":\"a\",\"app\":\"b\"}},"
	      "\"ingress\":[{"
	      "}]}"),
	  "{\"meta:service\":\"a\",\"meta:app\":\"b\"}", 3, 0, "written as \"meta:service\"" },
	{ "an object of Cilium's",
	  CNP("{\"endpointSelector\":{\"matchLabels\":{\"k8s:app\":\"w\"}},\"ingress\":[{}]}"),
	  "{\"name\":\"a-n\",\"namespace\":\"a\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":"
	  "{\"meta:app\":\"w\"}},\"ingress\":[{}]}]}",
	  2, 0, "give the jobs this meta key" },
	{ "its empty expression values",
	  CNP("{\"endpointSelector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":"
	      "\"Exists\",\"values\":null}]},\"ingress\":[{}]}"),
	  "[{\"key\":\"meta:app\",\"operator\":\"Exists\"}]", 3, 0, "becomes a document" },
	{ "a clusterwide one",
	  "{\"kind\":\"CiliumClusterwideNetworkPolicy\",\"metadata\":{\"name\":\"n\"},\"specs\":[{"
	  "\"endpointSelector\":{},\"ingress\":[{}]}]}",
	  "{\"name\":\"n\",\"rules\":[{\"endpointSelector\":{},\"ingress\":[{}]}]}", 1, 0,
	  "becomes a document" },
	{ "a clusterwide selector of everything, which means endpoints with a namespace",
	  "{\"kind\":\"CiliumClusterwideNetworkPolicy\",\"metadata\":{\"name\":\"n\"},\"spec\":{"
	  "\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":[{}]}]}}",
	  "\"fromEndpoints\":[{\"matchExpressions\":[{\"key\":\"nomad:namespace\",\"operator\":\"Exists\"}]}]",
	  2, 0, "doesn't mean endpoints without a namespace" },
	{ "wrong types are left to the reader",
	  "[{\"endpointSelector\":{\"matchLabels\":[{\"a\":1}]},\"ingress\":[1,[{}],{"
	  "\"fromEndpoints\":[{\"matchExpressions\":[2]}],\"toPorts\":[[3],{\"ports\":[4]}]}]}]",
	  NULL, 0, 0, "expected an object" },
	{ "one of ours with a slip",
	  "{\"name\":\"x\",\"tier\":\"operator\",\"rules\":" EGRESS(
		  "{\"toCIDRs\":[\"1.0.0.0/8\"]}") "}",
	  NULL, 0, 0, "did you mean \"toCIDR\"?" },
	{ "one of ours stays as it is",
	  "{\"name\":\"x\",\"tier\":\"operator\",\"rules\":" EGRESS("{\"toEndpoints\":[{}]}") "}",
	  "{\"name\":\"x\",\"tier\":\"operator\",\"rules\":" EGRESS("{\"toEndpoints\":[{}]}") "}",
	  0, 0, "" },
};

static void add_flat(const char *text, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	own_json *doc = NULL;

	assert_int_equal(pk_json_parse("t", text, strlen(text), 0, &doc, NULL), 0);
	pk_jw_value(&w, NULL, pk_json_root(doc));
}

static bool comes_out(const struct row *row)
{
	own_import import = { 0 };
	own_str notes = { 0 }, flat = { 0 };
	int r = pk_import_text("t", row->in, strlen(row->in), &operators, &import);
	const char *said;

	pk_doc_notes_text(&import.notes, &notes);
	said = notes.text ? notes.text : "";
	if (!row->out && r < 0 && import.n_refused && strstr(said, row->said))
		return true;
	if (import.n == 1)
		add_flat(import.docs[0].text, &flat);
	if (r == 0 && import.n == 1 && row->out && strstr(flat.text, row->out) &&
	    import.notes.n_warnings == row->repairs && import.n_losses == row->losses &&
	    import.notes.n_errors == row->losses && strstr(said, row->said))
		return true;
	print_error("%s: %d, %zu documents, %zu repairs, %zu losses, %s\n%s\n", row->sentence, r,
		    import.n, import.notes.n_warnings, import.n_losses, flat.text ? flat.text : "",
		    said);
	return false;
}

static void rows_come_out(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(rows); i++)
		failed += !comes_out(&rows[i]);
	assert_int_equal(failed, 0);
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
	assert_int_equal(pk_import_text("t", text, strlen(text), &operators, &import), 0);
	assert_int_equal(import.n, 2);
	assert_string_equal(import.docs[1].name, "a-n");
	assert_int_equal(import.notes.n_errors, 1);
	assert_int_equal(import.n_refused, 1);
}

static void a_namespace_makes_a_tenants_document(void **state)
{
	static const char text[] = EGRESS("{}");
	const struct pk_import_options options = { .tenant_name = "acme" };
	own_import import = { 0 };
	own_str flat = { 0 };

	(void)state;
	assert_int_equal(pk_import_text("t", text, strlen(text), &options, &import), 0);
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
	};

	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(texts); i++) {
		own_import import = { 0 };

		assert_true(pk_import_text("t", texts[i], strlen(texts[i]), &operators, &import) <
			    0);
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
	assert_int_equal(pk_import_text("t", text.text, text.len, &operators, &import), 0);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy plan and suggest, by their library. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "own.h"
#include "plan.h"
#include "suggest.h"

static const char world[] =
	"{\"endpoints\":["
	"{\"name\":\"x/a 1\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"},"
	"\"addresses\":[\"10.0.0.1\"]},"
	"{\"name\":\"x/a 2\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"},"
	"\"addresses\":[\"10.0.0.2\"]},"
	"{\"name\":\"x/b\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"b\"},"
	"\"addresses\":[\"10.0.0.3\"]},"
	"{\"name\":\"y/c\",\"labels\":{\"nomad:namespace\":\"y\",\"nomad:job\":\"c\"},"
	"\"addresses\":[\"10.0.0.4\"]}]}";
static const char policy[] =
	"{\"name\":\"p\",\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":{\"matchLabels\":{"
	"\"job\":"
	"\"a\"}},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"b\"}}],\"toPorts\":[{"
	"\"ports\":[{\"port\":\"5432\",\"protocol\":\"TCP\"}]}]}]}]}";

static struct pk_scenario *read_case(void)
{
	struct pk_scenario *c = NULL;
	struct pk_str said = { 0 };
	struct pk_err err = { 0 };

	if (pk_scenario_read("world", world, strlen(world), &c, &said, &err) < 0)
		fail_msg("%s", err.text);
	pk_str_done(&said);
	return c;
}

static bool has_change(const struct pk_plan *plan, const char *from, const char *to,
		       const char *what)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		if (!strcmp(c->from, from) && !strcmp(c->to, to) && !strcmp(c->what, what))
			return true;
	}
	return false;
}

static size_t cut_of(const struct pk_plan *plan, const char *from, const char *to, const char *what)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		if (!strcmp(c->from, from) && !strcmp(c->to, to) && !strcmp(c->what, what))
			return c->cut;
	}
	return 0;
}

static struct pk_plan_flow flow(const char *from, const char *to, uint16_t port)
{
	struct pk_plan_flow f = { .proto = IPPROTO_TCP, .port = port };

	assert_int_equal(pk_addr_parse(from, &f.addr[0]), 0);
	assert_int_equal(pk_addr_parse(to, &f.addr[1]), 0);
	return f;
}

#define A(name, job, address, more)                                                                \
	"{\"name\":\"" name "\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"" job        \
	"\"},\"addresses\":[\"" address "\"]" more "}"
#define INGRESS(subject, more)                                                                     \
	"\"rules\":[{\"endpointSelector\":" subject ",\"ingress\":[{" more "}]}]"

#define REMOTE ",\"node\":\"n2\""
#define A_DENIES_B                                                                                 \
	"{\"rules\":[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"ingressDeny\":[{"   \
	"\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"b\"}}]}]}]}"

/* A document in force, one that comes, and a line that must be said (NULL: nothing changes). */
static const struct told {
	const char *sentence, *world, *policies, *comes, *from, *to, *what;
	enum pk_verdict after;
} told[] = {
	{ "what another document opened", A("a", "a", "10.0.0.1", ""),
	  "{\"name\":\"o\"," INGRESS("{}", "\"fromEntities\":[\"world\"],\"toPorts\":[{\"ports\":[{"
					   "\"port\":\"443\",\"protocol\":\"TCP\"}]}]") "}",
	  "{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},\"ingressDeny\":[{"
	  "\"fromEntities\":[\"world\"]}]}]}",
	  "world:203.0.113.1", "a", "443/tcp", PK_DENY },
	{ "the same of a prefix", A("a", "a", "10.0.0.1", ""),
	  "{\"name\":\"o\"," INGRESS("{}",
				     "\"fromCIDRSet\":[{\"cidr\":\"198.51.100.0/24\",\"except\":["
				     "\"198.51.100.0/25\"]}]") "}",
	  "{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},\"ingressDeny\":[{"
	  "\"fromEntities\":[\"world\"]}]}]}",
	  "world:198.51.100.128", "a", "other tcp ports", PK_DENY },
	{ "the same of the other side's document",
	  A("a", "a", "10.0.0.1", "") "," A("b", "b", "10.0.0.2", ""),
	  "{\"name\":\"o\"," INGRESS(
		  "{\"matchLabels\":{\"job\":\"b\"}}",
		  "\"toPorts\":[{\"ports\":[{\"port\":\"7\",\"endPort\":9}]}]") "}",
	  "{\"rules\":[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"a\"}},\"egress\":[{}]}]}",
	  "a", "b", "7-9/udp", PK_DENY },
	{ "a published port",
	  A("a", "a", "10.0.0.1", ",\"ports\":{\"http\":\"8080/tcp\"},\"published\":[\"http\"]"),
	  "", "{" INGRESS("{}", "") "}", "host", "a", "8080/tcp", PK_DENY },
	{ "SCTP alone", A("a", "a", "10.0.0.1", ""), "",
	  "{" INGRESS("{}", "\"toPorts\":[{\"ports\":[{\"protocol\":\"SCTP\"}]}]") "}",
	  "remote-node", "a", "other sctp ports", PK_ALLOW },
	{ "a protocol by its number", A("a", "a", "10.0.0.1", ""), "",
	  "{" INGRESS("{}", "\"toPorts\":[{\"ports\":[{\"protocol\":99}]}]") "}", "host", "a",
	  "protocol 99", PK_ALLOW },
	{ "every other protocol", A("a", "a", "10.0.0.1", ""),
	  "{\"name\":\"o\"," INGRESS("{}", "\"toPorts\":[{\"ports\":[{},{\"protocol\":\"ICMP\"},{"
					   "\"protocol\":\"ICMPv6\"}]}]") "}",
	  "{" INGRESS("{}", "\"fromEntities\":[\"host\"]") "}", "host", "a", "other protocols",
	  PK_ALLOW },
	{ "a type of ICMP, any code", A("a", "a", "10.0.0.1", ""),
	  "{\"name\":\"o\"," INGRESS("{}", "\"icmps\":[{\"fields\":[{\"type\":3}]}]") "}",
	  "{\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},\"ingressDeny\":[{"
	  "\"fromEntities\":[\"host\"]}]}]}",
	  "host", "a", "icmp 3", PK_DENY },
	{ "another node's endpoint is a peer",
	  A("a", "a", "10.0.0.1", "") "," A("b", "b", "10.1.0.1", REMOTE), "", A_DENIES_B, "b", "a",
	  "other tcp ports", PK_DENY },
	{ "what it judges itself is left to it",
	  A("a", "a", "10.0.0.1", "") "," A("b", "b", "10.1.0.1", REMOTE), "",
	  "{\"rules\":[{\"endpointSelector\":{\"matchLabels\":{\"job\":\"b\"}},\"ingressDeny\":[{"
	  "\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"a\"}}]}]}]}",
	  NULL, NULL, NULL, PK_DENY },
	{ "one of this node isn't taken for its like on another",
	  A("a far", "a", "10.1.0.1", REMOTE) "," A("a", "a", "10.0.0.1", "") "," A("b", "b",
										    "10.0.0.2", ""),
	  "", A_DENIES_B, "b", "a", "other tcp ports", PK_DENY },
	{ "what is only said again", A("a", "a", "10.0.0.1", ""),
	  "{\"name\":\"o\"," INGRESS("{}", "\"fromEntities\":[\"host\"]") "}",
	  "{" INGRESS("{\"matchLabels\":{\"job\":\"a\"}}", "\"fromEntities\":[\"host\"]") "}", NULL,
	  NULL, NULL, PK_DENY },
};

static struct pk_scenario *case_of(const struct told *row, bool after)
{
	struct pk_scenario *c = NULL;
	struct pk_str said = { 0 };
	own_str text = { 0 };
	struct pk_err err = { 0 };

	pk_str_addf(&text, "{\"baseline\":\"tenant\",\"endpoints\":[%s],\"policies\":[%s%s%s]}",
		    row->world, row->policies, *row->policies && after ? "," : "",
		    after ? row->comes : "");
	if (pk_scenario_read("world", text.text, text.len, &c, &said, &err) < 0)
		fail_msg("%s: %s", row->sentence, err.text);
	pk_str_done(&said);
	return c;
}

static void a_plan_sees_what_it_does_not_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(told); i++) {
		const struct told *row = &told[i];
		struct pk_scenario *before = case_of(row, false), *after = case_of(row, true);
		const struct pk_document *changed[] = { after->docs[after->n_docs - 1] };
		struct pk_err err = { 0 };
		struct pk_plan plan;
		bool found = !row->what;

		assert_int_equal(pk_plan_make(&(struct pk_plan_ask){ .before = before,
								     .after = after,
								     .changed = changed,
								     .n_changed = 1 },
					      &plan, &err),
				 0);
		for (size_t j = 0; j < plan.n && row->what; j++)
			found |= !strcmp(plan.changes[j].from, row->from) &&
				 !strcmp(plan.changes[j].to, row->to) &&
				 !strcmp(plan.changes[j].what, row->what) &&
				 plan.changes[j].after == row->after;
		if (!found || (!row->what && plan.n))
			fail_msg("%s: %zu lines, the first %s -> %s %s", row->sentence, plan.n,
				 plan.n ? plan.changes[0].from : "",
				 plan.n ? plan.changes[0].to : "",
				 plan.n ? plan.changes[0].what : "");
		pk_plan_done(&plan);
		pk_scenario_free(before);
		pk_scenario_free(after);
	}
}

static void a_plan_says_what_changes_and_nothing_else(void **state)
{
	struct pk_scenario *before = read_case(), *after = read_case();
	char path[] = "/tmp/picket-plan-XXXXXX";
	struct pk_plan_flow flows[] = {
		flow("10.0.0.3", "10.0.0.1", 80),   flow("10.0.0.3", "10.0.0.1", 5432),
		flow("10.0.0.2", "10.0.0.1", 5432), flow("10.0.0.1", "10.0.0.3", 80),
		flow("10.0.0.4", "10.0.0.1", 80),   flow("10.0.0.3", "10.0.0.1", 80),
	};
	const struct pk_document *changed[1];
	struct pk_str said = { 0 };
	struct pk_err err = { 0 };
	struct pk_plan plan;
	size_t index;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, policy, strlen(policy)), strlen(policy));
	close(fd);
	assert_int_equal(pk_scenario_replace_file(after, path, &index, &said, &err), 0);
	unlink(path);
	changed[0] = after->docs[index];
	assert_int_equal(pk_plan_make(&(struct pk_plan_ask){ .before = before,
							     .after = after,
							     .changed = changed,
							     .n_changed = 1,
							     .flows = flows,
							     .n_flows = PK_ARRAY_LEN(flows) },
				      &plan, &err),
			 0);
	/* Not what stays (5432 from b, a's own to b), not what was denied before (from y). */
	assert_int_equal(plan.cut, 3);
	assert_int_equal(cut_of(&plan, "x/b", "x/a 1", "other tcp ports"), 2);
	assert_int_equal(cut_of(&plan, "x/a 1", "x/a 1", "5432/tcp"), 1);
	assert_true(has_change(&plan, "x/b", "x/a 1", "other tcp ports"));
	assert_true(has_change(&plan, "x/a 1", "x/a 1", "5432/tcp"));
	assert_false(has_change(&plan, "x/b", "x/a 1", "5432/tcp"));
	for (size_t i = 0; i < plan.n; i++) {
		assert_string_equal(plan.changes[i].to, "x/a 1");
		assert_int_equal(plan.changes[i].n_to, 2);
		assert_int_equal(plan.changes[i].before, PK_ALLOW);
		assert_int_equal(plan.changes[i].after, PK_DENY);
	}
	assert_int_equal(plan.closed, 2);
	assert_int_equal(plan.opened, 0);
	assert_true(plan.verdicts_after > plan.verdicts_before);
	pk_plan_done(&plan);
	/* Nothing differs from itself. */
	assert_int_equal(pk_plan_make(&(struct pk_plan_ask){ .before = after,
							     .after = after,
							     .changed = changed,
							     .n_changed = 1,
							     .flows = flows,
							     .n_flows = PK_ARRAY_LEN(flows) },
				      &plan, &err),
			 0);
	assert_int_equal(plan.n, 0);
	assert_int_equal(plan.cut, 0);
	pk_plan_done(&plan);
	pk_str_done(&said);
	pk_scenario_free(before);
	pk_scenario_free(after);
}

#define FLOW(verdict, from, to, rest)                                                              \
	"{\"verdict\":\"" verdict "\",\"reason\":\"policy-denied\",\"source\":" from               \
	",\"destination\":" to "," rest "}"
#define CLOSED(reason, from, to, rest)                                                             \
	"{\"verdict\":\"closed\",\"reason\":\"" reason "\",\"source\":" from                       \
	",\"destination\":" to "," rest "}"
#define TCP		   "\"protocol\":\"tcp\""
#define UDP		   "\"protocol\":\"udp\""
#define XB		   "{\"namespace\":\"x\",\"job\":\"b\",\"port\":4000}"
#define XA(port)	   "{\"namespace\":\"x\",\"job\":\"a\",\"port\":" port "}"
#define YQ		   "{\"namespace\":\"y\",\"job\":\"q\",\"port\":9}"
#define AT(name, ip, port) "{\"name\":\"" name "\",\"ip\":\"" ip "\",\"port\":" port "}"

/* The documents that the flows make, as an array; returns how many. */
static size_t suggest(const char *const *flows, size_t n, bool denied, const char *tenant_name,
		      struct pk_str *out)
{
	struct pk_suggest *s = pk_suggest_new(tenant_name);
	struct pk_jw w = { .out = out };
	size_t count;

	for (size_t i = 0; i < n; i++) {
		own_json *doc = NULL;

		assert_int_equal(pk_json_parse("flow", flows[i], strlen(flows[i]), PK_JSON_RELAXED,
					       &doc, NULL),
				 0);
		pk_suggest_add(s, pk_json_root(doc), denied);
	}
	count = pk_suggest_finish(s);
	pk_jw_open(&w, NULL, '[');
	for (size_t i = 0; i < count; i++)
		pk_suggest_write(s, i, &w);
	pk_jw_close(&w, ']');
	pk_suggest_free(s);
	return count;
}

static void flows_become_the_smallest_policies(void **state)
{
	static const char *const flows[] = {
		FLOW("allowed", XB, XA("5432"), TCP),
		FLOW("allowed", XB, XA("5432"), TCP),	      /* once */
		CLOSED("policy-denied", XB, XA("5434"), TCP), /* a change of policy ended it */
		CLOSED("ok", YQ, XA("5432"), TCP),	      /* the same port: one entry */
		FLOW("denied", XB, AT("host", "10.0.0.1", "22"), TCP),
		FLOW("revoked", XB, XA("81"), TCP),
	};
	struct pk_str out = { 0 };

	(void)state;
	assert_int_equal(suggest(flows, PK_ARRAY_LEN(flows), false, "x", &out), 1);
	assert_string_equal(
		out.text,
		"[{\"name\":\"suggested-x\",\"namespace\":\"x\",\"rules\":["
		"{\"description\":\"from the flows seen\",\"endpointSelector\":"
		"{\"matchLabels\":{\"nomad:job\":\"a\"}},\"ingress\":[{\"fromEndpoints\":["
		"{\"matchLabels\":{\"nomad:job\":\"b\"}},"
		"{\"matchLabels\":{\"nomad:namespace\":\"y\",\"nomad:job\":\"q\"}}],"
		"\"toPorts\":[{\"ports\":[{\"port\":\"5432\",\"protocol\":\"TCP\"}]}]}]},"
		"{\"description\":\"from the flows seen\",\"endpointSelector\":"
		"{\"matchLabels\":{\"nomad:job\":\"b\"}},\"egress\":[{\"toEndpoints\":["
		"{\"matchLabels\":{\"nomad:job\":\"a\"}}],"
		"\"toPorts\":[{\"ports\":[{\"port\":\"5432\",\"protocol\":\"TCP\"}]}]}]}]}]");
	pk_str_done(&out);
}

/* No document may be made of what nobody can name, nor a hole for what policy didn't deny. */
static void flows_of_nobody_make_nothing(void **state)
{
	static const char *const flows[] = {
		FLOW("allowed", AT("unknown", "10.9.9.9", "1"), AT("world", "203.0.113.7", "1"),
		     TCP),
		FLOW("allowed", "{\"name\":\"?/?/?\",\"ip\":\"10.9.9.1\"}",
		     AT("host", "10.0.0.1", "1"), TCP),
		"{\"verdict\":\"denied\",\"reason\":\"spoofed-mac\",\"source\":" XB
		",\"destination\":" XA("80") "," TCP "}",
		"{\"verdict\":\"allowed\"}",
		"{\"lostEvents\":3}",
	};
	static const char *const half[] = {
		FLOW("allowed", XB, AT("unknown", "10.9.9.9", "1"), TCP),
		FLOW("allowed", XB, "{\"namespace\":\"x\",\"job\":null,\"port\":1}", TCP),
		FLOW("allowed", XB, XA("0"), TCP), /* would be every port */
		FLOW("allowed", XB, XA("null"), TCP),
		FLOW("allowed", XB, XA("80"), "\"protocol\":\"any\""),
		FLOW("allowed", XB, XA("null"), "\"protocol\":\"icmp\""),
		FLOW("allowed", "{\"namespace\":\"../x\",\"job\":\"b\"}", XA("80"), TCP),
	};
	struct pk_str out = { 0 };

	(void)state;
	assert_int_equal(suggest(flows, PK_ARRAY_LEN(flows), true, NULL, &out), 0);
	pk_str_done(&out);
	assert_int_equal(suggest(half, PK_ARRAY_LEN(half), true, NULL, &out), 0);
	pk_str_done(&out);
}

static const char *const seen[] = {
	FLOW("allowed", XB, XA("5432"), TCP),
	FLOW("allowed", YQ, XA("5432"), TCP),
	FLOW("allowed", XB, XA("53"), UDP),
	FLOW("allowed", XB, XA("null"), "\"protocol\":\"icmp\",\"icmpType\":8"),
	FLOW("allowed", XB, XA("null"), "\"protocol\":\"icmpv6\",\"icmpType\":128"),
	FLOW("allowed", XB, XA("null"), "\"protocol\":\"47\""),
	FLOW("allowed", XB, AT("world", "203.0.113.7", "443"), TCP),
	FLOW("allowed", XB, AT("world", "10.9.0.53", "53"), UDP), /* protected: the operator's */
	FLOW("allowed", XB, AT("host", "10.0.0.1", "53"), UDP),
	FLOW("allowed", AT("host", "10.0.0.1", "40000"), XA("8080"), TCP),
	FLOW("allowed", AT("world", "198.51.100.9", "40000"), XA("8443"), TCP),
	FLOW("denied", XB, AT("remote-node", "192.0.2.9", "22"), TCP),
	/* A child has its parent's job in its labels. */
	FLOW("allowed",
	     "{\"namespace\":\"x\",\"job\":\"c/"
	     "dispatch-1\",\"labels\":[\"nomad:job=c\"],\"port\":1}",
	     XA("5432"), TCP),
};

static const char replay_world[] =
	"\"baseline\":\"deny\",\"endpoints\":["
	"{\"name\":\"x/a\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"a\"}},"
	"{\"name\":\"x/b\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"b\"}},"
	"{\"name\":\"x/c\",\"labels\":{\"nomad:namespace\":\"x\",\"nomad:job\":\"c\"}},"
	"{\"name\":\"y/q\",\"labels\":{\"nomad:namespace\":\"y\",\"nomad:job\":\"q\"}}]";

static const struct {
	const char *from, *to;
	uint8_t proto;
	uint16_t port;
	enum pk_verdict want;
} replayed[] = {
	{ "x/b", "x/a", IPPROTO_TCP, 5432, PK_ALLOW },
	{ "y/q", "x/a", IPPROTO_TCP, 5432, PK_ALLOW },
	{ "x/c", "x/a", IPPROTO_TCP, 5432, PK_ALLOW },
	{ "x/b", "x/a", IPPROTO_UDP, 53, PK_ALLOW },
	{ "x/b", "x/a", IPPROTO_ICMP, PK_PORT_ICMP(8, 0), PK_ALLOW },
	{ "x/b", "x/a", IPPROTO_ICMPV6, PK_PORT_ICMP(128, 0), PK_ALLOW },
	{ "x/b", "x/a", IPPROTO_GRE, 0, PK_ALLOW },
	{ "x/b", "world:203.0.113.7", IPPROTO_TCP, 443, PK_ALLOW },
	{ "x/b", "world:10.9.0.53", IPPROTO_UDP, 53, PK_ALLOW },
	{ "x/b", "host", IPPROTO_UDP, 53, PK_ALLOW },
	{ "host", "x/a", IPPROTO_TCP, 8080, PK_ALLOW },
	{ "world:198.51.100.9", "x/a", IPPROTO_TCP, 8443, PK_ALLOW },
	{ "x/b", "remote-node", IPPROTO_TCP, 22, PK_ALLOW },
	{ "x/b", "x/a", IPPROTO_TCP, 5433, PK_DENY },
	{ "x/b", "x/a", IPPROTO_TCP, 53, PK_DENY },
	{ "x/c", "x/a", IPPROTO_UDP, 53, PK_DENY },
	{ "x/b", "x/c", IPPROTO_TCP, 5432, PK_DENY },
	{ "y/q", "x/a", IPPROTO_UDP, 53, PK_DENY },
	{ "x/b", "world:203.0.113.8", IPPROTO_TCP, 443, PK_DENY },
	{ "x/b", "world:10.9.0.54", IPPROTO_UDP, 53, PK_DENY },
	{ "x/b", "host", IPPROTO_TCP, 53, PK_DENY },
	{ "x/a", "host", IPPROTO_UDP, 53, PK_DENY },
	{ "world:198.51.100.8", "x/a", IPPROTO_TCP, 8443, PK_DENY },
};

/* The promise: put in force, what is suggested allows every flow that was seen, and no other. */
static void suggested_policies_allow_what_was_seen(void **state)
{
	struct pk_str docs = { 0 }, text = { 0 }, said = { 0 };
	struct pk_err err = { 0 };
	struct pk_scenario *c = NULL;

	(void)state;
	/* x's, what x's needs of the operator, y's. */
	assert_int_equal(suggest(seen, PK_ARRAY_LEN(seen), true, NULL, &docs), 3);
	pk_str_addf(&text, "{%s,\"policies\":%s}", replay_world, docs.text);
	if (pk_scenario_read("replay", text.text, text.len, &c, &said, &err) < 0 ||
	    pk_scenario_ready(c, &err) < 0)
		fail_msg("%s\n%s", err.text, docs.text);
	assert_int_equal(said.len, 0);
	for (size_t i = 0; i < PK_ARRAY_LEN(replayed); i++) {
		struct pk_connection conn = { .proto = replayed[i].proto,
					      .port = replayed[i].port };
		struct pk_connection_verdict v;

		assert_int_equal(pk_scenario_peer(c, replayed[i].from, &conn.from, &err), 0);
		assert_int_equal(pk_scenario_peer(c, replayed[i].to, &conn.to, &err), 0);
		assert_int_equal(pk_ask_connection(c->asker, PK_ASK_REFERENCE, &conn, &v, &err), 0);
		if (v.verdict != replayed[i].want)
			fail_msg("%s -> %s %u/%u\n%s", replayed[i].from, replayed[i].to, conn.port,
				 conn.proto, docs.text);
	}
	pk_scenario_free(c);
	pk_str_done(&docs);
	pk_str_done(&text);
	pk_str_done(&said);
}

#define X(more) "{\"namespace\":\"x\",\"rules\":[{\"endpointSelector\":" more "}]}"

/* "A label or service that an endpoint is known not to have … is shown as unresolved". */
static const struct {
	const char *document, *what; /* NULL: all is resolved */
} unresolved[] = {
	{ X("{\"matchLabels\":{\"job\":\"nobody\"}},\"ingress\":[{}]"),
	  "endpointSelector selects no endpoint" },
	{ X("{},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"job\":\"a\"}},{"
	    "\"matchLabels\":{"
	    "\"job\":\"nobody\"}},{}]}]"),
	  "fromEndpoints[1] matches no endpoint" },
	{ X("{},\"egressDeny\":[{\"toEndpoints\":[{\"matchLabels\":{\"namespace\":\"z\"}}]}]"),
	  "toEndpoints[0] matches no endpoint" },
	{ X("{},\"egress\":[{\"toServices\":[{\"name\":\"pg\"},{\"name\":\"redis\"}]}]"),
	  "no endpoint registers service \"redis\"" },
	{ X("{},\"egress\":[{\"toServices\":[{\"name\":\"pg\",\"namespace\":\"y\"}]}]"),
	  "no endpoint registers service \"pg\"" },
	{ X("{\"matchLabels\":{\"job\":\"b\"}},\"ingress\":[{\"toPorts\":[{\"ports\":[{\"port\":"
	    "\"http\"}]"
	    "}]}]"),
	  "no endpoint that it selects has a port labelled \"http\"" },
	{ X("{},\"egress\":[{\"toEndpoints\":[{\"matchLabels\":{\"job\":\"b\"}}],\"toPorts\":[{"
	    "\"ports\":[{"
	    "\"port\":\"http\"}]}]}]"),
	  "none of the peers has a port labelled \"http\"" },
	{ X("{},\"egress\":[{\"toCIDR\":[\"203.0.113.0/"
	    "24\"],\"toPorts\":[{\"ports\":[{\"port\":\"http\"}]}]}"
	    "]"),
	  "none of the peers has a port labelled \"http\"" },
	{ X("{},\"ingress\":[{\"toPorts\":[{\"ports\":[{\"port\":\"http\"},{\"port\":80}]}]}]"),
	  NULL },
	{ X("{},\"egress\":[{\"toEndpoints\":[{\"matchLabels\":{\"job\":\"a\"}}],\"toPorts\":[{"
	    "\"ports\":[{"
	    "\"port\":\"http\"}]}]},{\"toServices\":[{\"name\":\"pg\"}]}]"),
	  NULL },
	/* The ports of "u" aren't known: it may have it. */
	{ X("{\"matchLabels\":{\"job\":\"u\"}},\"ingress\":[{\"toPorts\":[{\"ports\":[{\"port\":"
	    "\"http\"}]"
	    "}]}]"),
	  NULL },
	{ X("{},\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"reserved:host\":\"\"}}]}]"),
	  NULL },
};

/* clang-format off */
#define NOTHING_WORLD                                                                           \
	"{\"endpoints\":["                                                                      \
	A("a", "a", "10.0.0.1", ",\"ports\":{\"http\":\"80/tcp\"}") ","                         \
	A("b", "b", "10.0.0.2", "") ","                                                         \
	A("u", "u", "10.0.0.3", ",\"unknown\":[\"port:*\"]") ","                                \
	"{\"name\":\"s\",\"labels\":{\"namespace\":\"x\",\"job\":\"s\",\"service\":\"pg\"}}]," \
	"\"policies\":[%s]}"
/* clang-format on */
static void what_resolves_to_nothing_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < PK_ARRAY_LEN(unresolved); i++) {
		struct pk_unresolved *list = NULL;
		struct pk_str said = { 0 };
		struct pk_err err = { 0 };
		own_scenario *c = NULL;
		own_str text = { 0 };
		size_t n;

		pk_str_addf(&text, NOTHING_WORLD, unresolved[i].document);
		assert_int_equal(pk_scenario_read("w", text.text, text.len, &c, &said, &err), 0);
		pk_str_done(&said);
		assert_int_equal(pk_scenario_ready(c, &err), 0);
		n = pk_engine_unresolved(pk_asker_engine(c->asker), &list);
		if (n != (unresolved[i].what != NULL) ||
		    (n && strcmp(list[0].what, unresolved[i].what) != 0))
			fail_msg("%s: %zu findings, '%s'", unresolved[i].document, n,
				 n ? list[0].what : "");
		free(list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_says_what_changes_and_nothing_else),
		cmocka_unit_test(a_plan_sees_what_it_does_not_name),
		cmocka_unit_test(what_resolves_to_nothing_is_said),
		cmocka_unit_test(flows_become_the_smallest_policies),
		cmocka_unit_test(flows_of_nobody_make_nothing),
		cmocka_unit_test(suggested_policies_allow_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

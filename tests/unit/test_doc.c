/* SPDX-License-Identifier: Apache-2.0 */
/* docs/policy.md, "A document", "Labels" and "A rule": what a document that is taken means. */
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
#include "unit/doc_texts.h"

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
	assert_string_equal(doc->tenant_name, "acme");
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
	assert_null(bare->tenant_name);
	assert_int_equal(bare->tier, PK_TIER_TENANT);
	assert_false(bare->audit);
}

/* What a Consul ACL hands to a tenant speaks of that tenant, or not at all. */
static void test_place(void **state)
{
	const struct pk_doc_source src = { .source = "tenant/acme",
					   .path = "p/tenants/acme/web",
					   .tenant_name = "acme" };
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
		assert_string_equal(doc->tenant_name, "acme");
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
	assert_int_equal(e->kind, PK_PEERS_ENDPOINTS);
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
	assert_int_equal(e->kind, PK_PEERS_ABSENT);
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
		"{\"toFQDNs\":[{\"matchName\":\"Api.Example.COM.\"},{\"matchPattern\":\"*.X.\"},"
		"{\"matchPattern\":\"*.\"}]},"
		"{\"toEntities\":[\"world-ipv6\",\"none\"]},{\"toCIDRSet\":[]}"));
	own_document *any = take(RULE("\"egress\":[{\"toServices\":[{\"name\":\"a\"}]}]"));
	const struct pk_entry *e = doc->rules[0].entries[PK_EGRESS];
	char text[PK_ADDR_TEXT];

	(void)state;
	assert_true(e[0].kind == PK_PEERS_CIDR && e[0].n_cidrs == 2 && !e[0].has_ports);
	assert_string_equal(pk_prefix_format(&e[0].cidrs[0].cidr, text), "10.1.2.3/32");
	assert_true(e[1].kind == PK_PEERS_CIDR && e[1].cidrs[0].n_except == 1);
	assert_string_equal(pk_prefix_format(&e[1].cidrs[0].except[0], text), "10.1.0.0/16");
	assert_string_equal(e[2].services[0].tenant_name, "acme");
	assert_string_equal(e[2].services[1].tenant_name, "beta");
	assert_null(entry(any, PK_EGRESS, 0)->services[0].tenant_name);
	assert_string_equal(e[3].fqdns[0].name, "api.example.com");
	assert_string_equal(e[3].fqdns[1].pattern, "*.x");
	assert_string_equal(e[3].fqdns[2].pattern, "*."); /* isn't every name, as "*" is */
	assert_true(doc->uses_fqdn && !any->uses_fqdn);
	assert_true(e[4].entities[0] == PK_ENTITY_WORLD6 && e[4].entities[1] == PK_ENTITY_NONE);
	assert_true(e[5].kind == PK_PEERS_CIDR && e[5].n_cidrs == 0 && !e[5].empty);
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

		cmocka_unit_test(test_document),      cmocka_unit_test(test_place),
		cmocka_unit_test(test_bad_file_name), cmocka_unit_test(test_default_deny),
		cmocka_unit_test(test_label_keys),    cmocka_unit_test(test_selector),
		cmocka_unit_test(test_ports),	      cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_peers),	      cmocka_unit_test(test_screen),
		cmocka_unit_test(test_many_notes),    cmocka_unit_test(test_icmp_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

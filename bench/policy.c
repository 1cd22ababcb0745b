/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows P1 to P4 without a node: 10,000 identities in 100 tenants, 5,000 policies of 5 rules, 100
 * local endpoints; once more with 100 operator rules across namespaces, and with 50,000 prefixes
 * denied to all, in one document or in many. A JSON object a line: {"id","ours","unit"} and what
 * belongs to it.
 *
 *	policy [-rounds N] [P1] [P2] [P3] [P4] [P6]
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "compile.h"
#include "doc.h"
#include "judge.h"
#include "selector.h"
#include "prefixes.h"

static unsigned int tenants = 100, jobs = 20, groups = 5, policies = 50, rounds = 5;

static uint32_t rnd(uint32_t n)
{
	static uint64_t state = 0x70696b6574;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* "on one core": others share the machine */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void row(const char *id, double ours, const char *unit, const char *what)
{
	printf("{\"id\":\"%s\",\"ours\":%.4g,\"unit\":\"%s\",\"what\":\"%s\"}\n", id, ours, unit,
	       what);
	fflush(stdout);
}

static void entry(struct pk_str *s, const char *key)
{
	static const char *const ports[] = { "80", "443", "5432", "6379", "8080", "9090", "53" };
	uint32_t kind = rnd(20);
	size_t start;

	pk_str_add(s, "{");
	start = s->len;
	if (kind < 8)
		pk_str_addf(s, "\"%sEndpoints\":[{\"matchLabels\":{\"nomad:job\":\"j%u\"}}]", key,
			    rnd(jobs));
	else if (kind < 11)
		pk_str_addf(s,
			    "\"%sEndpoints\":[{\"matchExpressions\":[{\"key\":\"meta:tier\","
			    "\"operator\":\"In\",\"values\":[\"t%u\",\"t%u\"]}]}]",
			    key, rnd(3), rnd(3));
	else if (kind < 13)
		pk_str_addf(s,
			    "\"%sEndpoints\":[{\"matchExpressions\":[{\"key\":\"nomad:job\","
			    "\"operator\":\"NotIn\",\"values\":[\"j%u\"]}]}]",
			    key, rnd(jobs));
	else if (kind < 15)
		pk_str_addf(s, "\"%sEndpoints\":[{}]", key);
	else if (kind < 17)
		pk_str_addf(s, "\"%sCIDR\":[\"203.%u.%u.0/24\"]", key, rnd(100), rnd(200));
	else if (kind < 18)
		pk_str_addf(s, "\"%sEntities\":[\"world\"]", key);
	pk_str_add(s, s->len > start ? "," : "");
	pk_str_addf(s, "\"toPorts\":[{\"ports\":[{\"port\":\"%s\",\"protocol\":\"TCP\"}",
		    ports[rnd(7)]);
	if (rnd(3) == 0)
		pk_str_addf(s, ",{\"port\":\"%u\",\"endPort\":%u,\"protocol\":\"TCP\"}",
			    9000 + rnd(50), 9100 + rnd(900));
	pk_str_add(s, "]}]}");
}

static void policy_text(unsigned int tenant, unsigned int number, struct pk_str *s)
{
	pk_str_addf(s, "{\"name\":\"p%u-%u\",\"namespace\":\"n%u\",\"rules\":[", tenant, number,
		    tenant);
	for (int i = 0; i < 5; i++) {
		bool egress = rnd(3) == 0;

		pk_str_addf(s,
			    "%s{\"endpointSelector\":{\"matchLabels\":{\"nomad:job\":\"j%u\"}},\"%"
			    "s\":[",
			    i ? "," : "", rnd(jobs), egress ? "egress" : "ingress");
		entry(s, egress ? "to" : "from");
		pk_str_add(s, "]}");
	}
	pk_str_add(s, "]}");
}

/* One that reaches across namespaces. */
static void operator_text(unsigned int number, struct pk_str *s)
{
	pk_str_addf(s,
		    "{\"name\":\"op-%u\",\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":{},"
		    "\"%s\":[{\"fromEndpoints\":[{\"matchLabels\":{\"nomad:namespace\":\"n%u\","
		    "\"nomad:job\":\"j%u\"}}],\"toPorts\":[{\"ports\":[{\"port\":\"%u\","
		    "\"protocol\":\"TCP\"}]}]}]}]}",
		    number, rnd(5) ? "ingress" : "ingressDeny", rnd(tenants), rnd(jobs),
		    1000 + number);
}

/*
 * Five rules of the operator's for any peer: scraping from everywhere, a port that is closed to
 * all.
 */
static void any_text(unsigned int number, struct pk_str *s)
{
	pk_str_addf(s, "{\"name\":\"any-%u\",\"tier\":\"operator\",\"rules\":[", number);
	for (unsigned int i = 0; i < 5; i++)
		pk_str_addf(s,
			    "%s{\"endpointSelector\":{},\"%s\":[{\"fromEntities\":[\"cluster\"],"
			    "\"toPorts\":"
			    "[{\"ports\":[{\"port\":\"%u\",\"protocol\":\"TCP\"}]}]}]}",
			    i ? "," : "", i < 3 ? "ingress" : "ingressDeny",
			    20000 + number * 100 + i * 7);
	pk_str_add(s, "]}");
}

#define LISTED 50000

/* n of the operator's prefixes, denied to whom the selector names. */
static void prefixes_text(struct pk_str *s, const char *selector, unsigned int first,
			  unsigned int n)
{
	pk_str_addf(
		s,
		"{\"name\":\"list-%u\",\"tier\":\"operator\",\"rules\":[{\"endpointSelector\":%s,"
		"\"egressDeny\":[{\"toCIDR\":[",
		first, selector);
	for (unsigned int i = first; i < first + n; i++)
		pk_str_addf(s, "%s\"%u.%u.%u.0/24\"", i > first ? "," : "", 20 + i / 16384,
			    i / 64 % 256, i % 64 * 4);
	pk_str_add(s, "]}]}]}");
}

struct set {
	struct pk_document *at[8192];
	size_t n;
	uint64_t ns;
};

static void add(struct set *set, const struct pk_str *text)
{
	const struct pk_doc_source src = { .source = "file", .path = "bench" };
	own_notes notes = { 0 };
	uint64_t start = now();

	if (pk_document_parse(&src, text->text, text->len, &set->at[set->n++], &notes) < 0) {
		own_str said = { 0 };

		pk_doc_notes_text(&notes, &said);
		fprintf(stderr, "%.2000s\n", said.text);
		exit(1);
	}
	set->ns += now() - start;
}

static struct pk_world_endpoint *make_endpoint(unsigned int t, unsigned int j, unsigned int g)
{
	char text[64];
	struct pk_world_endpoint *ep;

	snprintf(text, sizeof(text), "n%u/j%u/g%u", t, j, g);
	ep = pk_world_endpoint_new(text);
	ep->labels = pk_label_set_new();
	snprintf(text, sizeof(text), "n%u", t);
	pk_label_set_add(ep->labels, "nomad:namespace", text);
	snprintf(text, sizeof(text), "j%u", j);
	pk_label_set_add(ep->labels, "nomad:job", text);
	snprintf(text, sizeof(text), "g%u", g);
	pk_label_set_add(ep->labels, "nomad:group", text);
	snprintf(text, sizeof(text), "t%u", (j + g) % 3);
	pk_label_set_add(ep->labels, "meta:tier", text);
	pk_label_set_finish(ep->labels, NULL);
	ep->local = g == 0 && j % 5 == 0 && t % 4 == 0; /* 4 jobs of every fourth tenant */
	return ep;
}

static struct pk_engine *make_engine(const struct pk_settings *s)
{
	struct pk_engine *engine = pk_engine_new(s);

	for (unsigned int t = 0; t < tenants; t++)
		for (unsigned int j = 0; j < jobs; j++)
			for (unsigned int g = 0; g < groups; g++)
				pk_engine_put(engine, make_endpoint(t, j, g));
	return engine;
}

static int cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What one entry an identity and port takes, endpoint by endpoint, counted without doubles. */
struct pair {
	char key[96];
	UT_hash_handle hh;
};

static void count_pair(struct pair **pairs, const char *peer, const struct pk_port_rule *port,
		       int dir)
{
	struct pair *p = pk_alloc(sizeof(*p)), *have;

	snprintf(p->key, sizeof(p->key), "%d %.60s %u-%u/%u", dir, peer, port->port, port->end,
		 port->proto);
	HASH_FIND_STR(*pairs, p->key, have);
	if (have)
		free(p);
	else
		HASH_ADD_STR(*pairs, key, p);
}

static bool matches(const struct pk_document *doc, const struct pk_entry *e,
		    const struct pk_label_set *labels)
{
	/* No peer: the tenant's own namespace, and the world. */
	if (e->kind == PK_PEERS_ABSENT)
		return strcmp(labels->tenant_name, doc->tenant_name) == 0;
	for (size_t i = 0; i < e->n_selectors; i++)
		if ((!doc->tenant_name || strcmp(labels->tenant_name, doc->tenant_name) == 0) &&
		    pk_selector_match(&e->selectors[i], labels) == PK_YES)
			return true;
	return false;
}

static void count_entry(struct pair **pairs, const struct pk_world *world,
			const struct pk_document *doc, const struct pk_entry *e, int dir)
{
	char text[PK_ADDR_TEXT];

	for (size_t p = 0; p < e->n_ports; p++) {
		for (size_t i = 0; i < e->n_cidrs; i++)
			count_pair(pairs, pk_prefix_format(&e->cidrs[i].cidr, text), &e->ports[p],
				   dir);
		if (e->kind == PK_PEERS_ENTITIES || e->kind == PK_PEERS_ABSENT)
			count_pair(pairs, "world", &e->ports[p], dir);
		for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
		     ep = pk_world_next(world, ep))
			if (matches(doc, e, ep->labels))
				count_pair(pairs, ep->key, &e->ports[p], dir);
	}
}

static size_t count_naive(const struct pk_world *world, const struct set *set)
{
	size_t total = 0;

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		struct pair *pairs = NULL, *p, *next;

		for (size_t d = 0; d < set->n && ep->local; d++) {
			const struct pk_document *doc = set->at[d];

			if (doc->tenant_name &&
			    strcmp(doc->tenant_name, ep->labels->tenant_name) != 0)
				continue;
			for (size_t r = 0; r < doc->n_rules; r++)
				for (int dir = 0; dir < 2; dir++)
					for (size_t i = 0; i < doc->rules[r].n_entries[dir] &&
							   pk_selector_match(&doc->rules[r].subject,
									     ep->labels) == PK_YES;
					     i++)
						count_entry(&pairs, world, doc,
							    &doc->rules[r].entries[dir][i], dir);
		}
		total += HASH_COUNT(pairs);
		HASH_ITER (hh, pairs, p, next) {
			HASH_DEL(pairs, p);
			free(p);
		}
	}
	return total;
}

struct bench {
	struct pk_settings settings;
	struct set set;
};

/* Full compiles from nothing, a sample a round. */
static void full(const char *id, const char *what, struct bench *b)
{
	struct pk_engine_size size = { 0 };

	printf("{\"id\":\"%s\",\"unit\":\"ns\",\"ours\":[", id);
	for (unsigned int i = 0; i < rounds; i++) {
		struct pk_engine *engine = make_engine(&b->settings);
		uint64_t start = now();

		pk_engine_set_documents(engine, b->set.at, b->set.n);
		pk_engine_compile(engine, NULL);
		printf("%s%lu", i ? "," : "", now() - start);
		pk_engine_size(engine, &size);
		pk_engine_free(engine);
	}
	printf("],\"what\":\"%s: %zu rule sets, %zu verdicts, %zu peers, %zu prefixes\"}\n", what,
	       size.rule_sets, size.verdicts, size.peers, size.cidrs);
	fflush(stdout);
}

/* 4,998 of tenants and 2 of the operator's, whose rules are for any peer. */
static void make_documents(struct bench *b)
{
	for (unsigned int t = 0; t < tenants; t++)
		for (unsigned int p = 0; p < policies - (t < 2); p++) {
			own_str text = { 0 };

			policy_text(t, p, &text);
			add(&b->set, &text);
		}
	for (unsigned int i = 0; i < 2; i++) {
		own_str text = { 0 };

		any_text(i, &text);
		add(&b->set, &text);
	}
}

/* An any-peer rule of the operator's takes an entry for every identity. */
static size_t count_any(const struct set *set, size_t identities)
{
	size_t n = 0;

	for (size_t d = 0; d < set->n; d++)
		for (size_t r = 0; r < set->at[d]->n_rules && !set->at[d]->tenant_name; r++)
			n += set->at[d]->rules[r].n_entries[PK_INGRESS];
	return n * identities;
}

static void row_p4(struct bench *b)
{
	struct pk_engine *engine = make_engine(&b->settings);
	struct pk_engine_size size;
	size_t naive, any;

	pk_engine_set_documents(engine, b->set.at, b->set.n);
	pk_engine_compile(engine, NULL);
	pk_engine_size(engine, &size);
	naive = count_naive(pk_engine_world(engine), &b->set);
	any = 100 * count_any(&b->set, size.identities);
	printf("{\"id\":\"P4.entries\",\"ours\":%zu,\"peer\":%zu,\"unit\":\"entries\",\"target\":0."
	       "05,"
	       "\"peer_name\":\"one entry an identity, port and endpoint\",\"what\":\"verdicts and "
	       "peer "
	       "classes, the operator's 10 any-peer rules among them\"}\n",
	       size.verdicts + size.peers, naive + any);
	printf("{\"id\":\"P4.tenants\",\"ours\":%zu,\"peer\":%zu,\"unit\":\"entries\","
	       "\"peer_name\":\"one entry an identity, port and endpoint\",\"what\":\"the same "
	       "tables "
	       "against the tenants' own rules alone: informs\"}\n",
	       size.verdicts + size.peers, naive);
	pk_engine_free(engine);
}

static void row_p1(struct bench *b)
{
	own_str prefixes = { 0 };
	size_t n = b->set.n;

	full("P1.compile", "10,000 identities, 5,000 policies of 5 rules, 100 endpoints", b);
	for (unsigned int i = 0; i < 100; i++) {
		own_str text = { 0 };

		operator_text(i, &text);
		add(&b->set, &text);
	}
	full("P1.operator", "with 100 operator rules across namespaces", b);
	while (b->set.n > n)
		pk_document_free(b->set.at[--b->set.n]);
	prefixes_text(&prefixes, "{}", 0, LISTED);
	add(&b->set, &prefixes);
	full("P1.prefixes", "with 50,000 prefixes denied to all", b);
	pk_document_free(b->set.at[--b->set.n]);
}

/* A tenant's documents are in force where it has an endpoint, the operator's where one is selected. */
static bool is_in_force(const struct pk_document *doc, const struct pk_label_set *labels)
{
	if (doc->tenant_name)
		return !strcmp(labels->tenant_name, doc->tenant_name);
	for (size_t i = 0; i < doc->n_rules; i++)
		if (pk_judge_selects(doc, &doc->rules[i], labels) != PK_NO)
			return true;
	return false;
}

/* What the documents in force here name. */
static size_t count_named(const struct pk_world *world, const struct set *set)
{
	size_t named = 0;

	for (size_t d = 0; d < set->n; d++) {
		bool here = false;

		for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep && !here;
		     ep = pk_world_next(world, ep))
			here = ep->local && is_in_force(set->at[d], ep->labels);
		named += here ? set->at[d]->n_prefixes : 0;
	}
	return named;
}

static void measure_lists(struct bench *b, const char *id, const char *what)
{
	struct pk_engine *engine = make_engine(&b->settings);
	struct pk_engine_size size;
	char name[32], text[160];
	size_t named;

	pk_engine_set_documents(engine, b->set.at, b->set.n);
	pk_engine_compile(engine, NULL);
	pk_engine_size(engine, &size);
	named = count_named(pk_engine_world(engine), &b->set);
	printf("{\"id\":\"P6.%s\",\"ours\":%zu,\"peer\":%zu,\"unit\":\"entries\","
	       "\"target\":1.3,\"peer_name\":\"prefixes named\",\"what\":\"%s, %zu lists\"}\n",
	       id, size.cidrs, named, what, size.lists);
	snprintf(name, sizeof(name), "P6.%s.memory", id);
	snprintf(text, sizeof(text), "the kernel's table of them (%zu verdicts beside)",
		 size.verdicts);
	row(name, (double)in_kernel(engine), "bytes", text);
	pk_engine_free(engine);
}

/* One document, many for everybody, and many of which a fifth is for single tenants. */
static void row_p6(struct bench *b)
{
	size_t n = b->set.n;

	for (unsigned int size = LISTED; size; size = size == LISTED ? 50 : 0) {
		for (unsigned int i = 0; i < LISTED / size; i++) {
			own_str text = { 0 };

			prefixes_text(&text, "{}", i * size, size);
			add(&b->set, &text);
		}
		measure_lists(b, size == LISTED ? "entries" : "short",
			      size == LISTED
				      ? "50,000 prefixes denied to all beside the tenants' own"
				      : "the same in 1,000 documents");
		while (b->set.n > n)
			pk_document_free(b->set.at[--b->set.n]);
	}
	for (unsigned int i = 0; i < LISTED / 50; i++) {
		own_str text = { 0 }, selector = { 0 };

		pk_str_addf(&selector, "{\"matchLabels\":{\"nomad:namespace\":\"n%u\"}}",
			    i % tenants);
		prefixes_text(&text, i % 5 ? "{}" : selector.text, i * 50, 50);
		add(&b->set, &text);
	}
	measure_lists(b, "tenants", "the same, every fifth document for one tenant alone");
	while (b->set.n > n)
		pk_document_free(b->set.at[--b->set.n]);
}

/*
 * The compiler's own part of an incremental change; the controller's and the kernel's come on top.
 */
static void row_p2(struct bench *b)
{
	struct pk_engine *engine = make_engine(&b->settings);
	uint64_t took[2][200];

	pk_engine_set_documents(engine, b->set.at, b->set.n);
	pk_engine_compile(engine, NULL);
	for (unsigned int i = 0; i < 200; i++) {
		struct pk_world_endpoint *ep = make_endpoint(i / 2 % tenants, i / 2 % jobs, groups);
		struct pk_document *edited = b->set.at[i];
		struct set one = { .n = 0 };
		own_str text = { 0 };
		uint64_t start = now();

		if (i % 2)
			pk_engine_remove(engine, ep->key);
		else
			pk_engine_put(engine, make_endpoint(i / 2 % tenants, i / 2 % jobs, groups));
		pk_engine_compile(engine, NULL);
		took[0][i] = now() - start;
		pk_world_endpoint_free(ep);
		policy_text(i / policies, i % policies, &text);
		add(&one, &text);
		b->set.at[i] = one.at[0];
		start = now();
		pk_engine_set_documents(engine, b->set.at, b->set.n);
		pk_engine_compile(engine, NULL);
		took[1][i] = now() - start;
		pk_document_free(edited);
	}
	qsort(took[0], 200, sizeof(uint64_t), cmp);
	qsort(took[1], 200, sizeof(uint64_t), cmp);
	row("P2.engine-endpoint", (double)took[0][197], "ns",
	    "an endpoint comes or goes: the compiler's part, p99");
	row("P2.engine-policy", (double)took[1][197], "ns",
	    "a policy is edited: the compiler's part, p99");
	pk_engine_free(engine);
}

static void row_p3(struct bench *b)
{
	struct pk_engine *engine = make_engine(&b->settings);

	row("P3.validate", (double)b->set.ns, "ns", "reading and checking the 5,000 documents");
	pk_engine_set_documents(engine, b->set.at, b->set.n);
	pk_engine_compile(engine, NULL);
	row("P3.memory", (double)mallinfo2().uordblks, "bytes",
	    "documents, endpoints, rule sets: in use by the engine");
	pk_engine_free(engine);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct bench *b);
	} rows[] = { { "P1", row_p1 },
		     { "P2", row_p2 },
		     { "P3", row_p3 },
		     { "P4", row_p4 },
		     { "P6", row_p6 } };
	static struct bench b;
	bool all = true;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-rounds") == 0 && i + 1 < argc)
			rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		else
			all = false;
	}
	pk_settings_init(&b.settings);
	make_documents(&b);
	for (size_t r = 0; r < PK_ARRAY_LEN(rows); r++) {
		bool wanted = all;

		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], rows[r].name) == 0;
		if (wanted)
			rows[r].run(&b);
	}
	while (b.set.n)
		pk_document_free(b.set.at[--b.set.n]);
	pk_settings_done(&b.settings);
	return 0;
}

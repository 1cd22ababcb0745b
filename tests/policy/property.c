/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, endpoints and questions: the compiled rule sets and, as root, the loaded tables
 * asked through BPF_PROG_TEST_RUN answer exactly as the reference evaluator, also after
 * endpoints and documents came and went; a peer that the compiler hasn't seen is never allowed
 * what the evaluator denies. A failure is shrunk and printed with its seed.
 *
 *	policy-property [-seed N] [-queries N] [-no-kernel]
 *
 * The seed is 1 unless -seed or PICKET_SEED says another, so that each run asks the same.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "doc.h"
#include "engine.h"
#include "ask_kernel.h"
#include "random.h"
#include "shrink.h"
#include "doc_schema.h"

#define QUERIES_A_WORLD 240

struct tally {
	uint64_t queries, unseen, unseen_allowed, worlds, kernel;
	uint64_t allow, deny, fallback; /* live verdicts: allowed, by a deny, by default */
	uint64_t tier[4], audit_differs;
	uint64_t world; /* of the peers' questions */
	/* Decided in a list of the operator's, and by an entry too short for one by itself. */
	uint64_t beside[PK_LISTS], gathered;
};

struct failure {
	bool found;
	char text[1024];
};

static bool with_kernel = true;

static const char *peer_text(const struct pk_question *q, char text[128])
{
	char addr[PK_ADDR_TEXT];

	switch (q->peer.party) {
	case PK_PARTY_ENDPOINT:
		snprintf(text, 128, "%s", q->peer.endpoint->key);
		break;
	case PK_PARTY_HOST:
		snprintf(text, 128, "host");
		break;
	case PK_PARTY_REMOTE_NODE:
		snprintf(text, 128, "remote-node");
		break;
	case PK_PARTY_UNKNOWN:
		snprintf(text, 128, "unknown");
		break;
	case PK_PARTY_WORLD:
		snprintf(text, 128, "world:%s", pk_addr_format(&q->peer.address, addr));
		break;
	case PK_PARTY_NONE:
	case PK_PARTY_SELF:
		abort();
	}
	return text;
}

static void fail(struct failure *f, const char *what, const struct pk_question *q,
		 const struct pk_verdict_value *want, const struct pk_verdict_value *got)
{
	char peer[128];

	if (f->found)
		return;
	f->found = true;
	snprintf(f->text, sizeof(f->text),
		 "%s: %s of %s, peer %s, proto %u port %u: expected live %u/%u/%u audit %u/%u/%u, "
		 "got live %u/%u/%u audit %u/%u/%u (verdict/rank/rule)",
		 what, q->dir ? "ingress" : "egress", q->subject->key, peer_text(q, peer), q->proto,
		 q->port, want->live.verdict, want->live.rank, want->live.rule, want->audit.verdict,
		 want->audit.rank, want->audit.rule, got->live.verdict, got->live.rank,
		 got->live.rule, got->audit.verdict, got->audit.rank, got->audit.rule);
}

static struct docs {
	struct pk_document *at[DOCS_MAX];
	size_t n;
} docs;

/* The entry of that rule number, and the list for it. NULL: a built-in one. */
static const struct pk_entry *entry_of(uint32_t number, enum pk_list *list)
{
	for (size_t i = 0; i < docs.n; i++)
		for (size_t j = 0; j < docs.at[i]->n_rules * 2; j++) {
			const struct pk_rule *rule = &docs.at[i]->rules[j / 2];

			for (size_t k = 0; k < rule->n_entries[j % 2]; k++) {
				const struct pk_entry *e = &rule->entries[j % 2][k];

				*list = pk_entry_list(docs.at[i], rule, e);
				if (e->number == number)
					return e;
			}
		}
	return NULL;
}

static bool is_name_rule(uint32_t number)
{
	enum pk_list list;
	const struct pk_entry *e = entry_of(number, &list);

	return e && e->kind == PK_PEERS_FQDNS;
}

static void count_beside(struct pk_asker *a, struct tally *t, const struct pk_question *q,
			 const struct pk_judgement *v)
{
	const struct pk_image *image = pk_engine_image(pk_asker_engine(a), q->subject->key);
	enum pk_list list = PK_LIST_OWN;
	const struct pk_entry *e = entry_of(v->rule, &list);

	if (!e || !image || PK_RANK_KIND(v->rank) == PK_KIND_DEFAULT || list == PK_LIST_OWN ||
	    !pk_image_class_beside(image, list, q))
		return;
	t->beside[list]++;
	t->gathered += pk_entry_prefixes(e) < PK_CIDR_BESIDE_MIN;
}

static void count(struct pk_asker *a, struct tally *t, const struct pk_question *q,
		  const struct pk_verdict_value *v)
{
	t->queries++;
	t->world += q->peer.party == PK_PARTY_WORLD;
	count_beside(a, t, q, &v->live);
	t->tier[PK_RANK_TIER(v->live.rank) & 3]++;
	t->audit_differs += v->live.verdict != v->audit.verdict;
	if (v->live.verdict == PK_ALLOW)
		t->allow++;
	else if (PK_RANK_KIND(v->live.rank) == PK_KIND_DENY)
		t->deny++;
	else
		t->fallback++;
}

/* Of two allows of a rank, one by name and one not, the tables show the other one's rule. */
static bool same(const struct pk_judgement *want, const struct pk_judgement *got)
{
	if (want->verdict != got->verdict || want->rank != got->rank)
		return false;
	return want->rule == got->rule || is_name_rule(want->rule);
}

static void compare(struct pk_asker *a, enum pk_ask_engine engine, const struct pk_question *q,
		    const char *what, struct failure *f)
{
	struct pk_verdict_value want = { 0 }, got = { 0 };
	struct pk_err err = { 0 };

	pk_ask(a, PK_ASK_REFERENCE, q, &want, NULL);
	if (pk_ask(a, engine, q, &got, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		fail(f, "no answer", q, &want, &got);
	} else if (!same(&want.live, &got.live) || !same(&want.audit, &got.audit)) {
		fail(f, what, q, &want, &got);
	}
}

struct lists {
	const struct pk_world_endpoint *all[ENDPOINTS_MAX];
	size_t n;
};

static void list_world(const struct pk_world *world, struct lists *out)
{
	out->n = 0;
	for (const struct pk_world_endpoint *e = pk_world_next(world, NULL); e;
	     e = pk_world_next(world, e))
		out->all[out->n++] = e;
}

static void ask_many(struct pk_asker *a, size_t n, const char *what, struct tally *t,
		     struct failure *f)
{
	struct lists l;

	list_world(pk_asker_world(a), &l);
	for (size_t i = 0; i < n && l.n && !f->found; i++) {
		struct pk_question q;
		struct pk_verdict_value v;

		g_query(pk_asker_world(a), l.all[rnd_to((uint32_t)l.n)], l.all, l.n, &q);
		compare(a, PK_ASK_COMPILED, &q, what, f);
		if (with_kernel) {
			compare(a, PK_ASK_KERNEL, &q, "kernel", f);
			t->kernel++;
		}
		pk_ask(a, PK_ASK_REFERENCE, &q, &v, NULL);
		count(a, t, &q, &v);
	}
}

/* Peers that the engine hasn't been told of. */
static void ask_unseen(struct pk_asker *a, struct pk_world_endpoint *const *unseen, size_t n_unseen,
		       struct tally *t, struct failure *f)
{
	struct lists l;

	list_world(pk_asker_world(a), &l);
	for (size_t i = 0; i < 40 && l.n && n_unseen && !f->found; i++) {
		struct pk_verdict_value want, got;
		struct pk_question q;

		g_query(pk_asker_world(a), l.all[rnd_to((uint32_t)l.n)],
			(const struct pk_world_endpoint *const *)unseen, n_unseen, &q);
		q.peer.party = PK_PARTY_ENDPOINT;
		q.peer.endpoint = unseen[rnd_to((uint32_t)n_unseen)];
		pk_ask(a, PK_ASK_REFERENCE, &q, &want, NULL);
		pk_ask(a, PK_ASK_COMPILED, &q, &got, NULL);
		t->unseen++;
		t->unseen_allowed += got.live.verdict == PK_ALLOW;
		if ((got.live.verdict == PK_ALLOW && want.live.verdict == PK_DENY) ||
		    (got.audit.verdict == PK_ALLOW && want.audit.verdict == PK_DENY))
			fail(f, "an unseen peer is allowed", &q, &want, &got);
	}
}

/* Every key of the language, and whether some document had it. */
static struct {
	const char *name;
	bool seen;
} language[64];
static size_t n_language;

static void learn_key(const char *name)
{
	for (size_t i = 0; i < n_language; i++)
		if (strcmp(language[i].name, name) == 0)
			return;
	if (n_language == PK_ARRAY_LEN(language))
		abort();
	language[n_language++].name = name;
}

static void learn_language(const struct pk_schema *s)
{
	if (s->form == PK_FORM_LIST)
		learn_language(s->item);
	if (s->form != PK_FORM_OBJECT)
		return;
	for (const struct pk_schema_key *k = s->keys; k->name; k++)
		if (k->form->form != PK_FORM_REFUSED) {
			learn_key(k->name);
			learn_language(k->form);
		}
}

static void see_keys(const char *text)
{
	for (size_t i = 0; i < n_language; i++) {
		char key[64];

		snprintf(key, sizeof(key), "\"%s\":", language[i].name);
		language[i].seen = language[i].seen || strstr(text, key);
	}
}

static void docs_done(void)
{
	while (docs.n)
		pk_document_free(docs.at[--docs.n]);
}

static int docs_read(const struct g_world *w, bool loud)
{
	docs.n = 0;
	for (size_t i = 0; i < w->n_docs; i++) {
		const struct pk_doc_source src = { .source = "file", .path = w->docs[i].name };
		own_notes notes = { 0 };
		own_str text = { 0 };

		g_doc_text(&w->docs[i], &text);
		if (!text.len)
			continue;
		if (pk_document_parse(&src, text.text, text.len, &docs.at[docs.n], &notes) < 0) {
			own_str said = { 0 };

			pk_doc_notes_text(&notes, &said);
			if (loud)
				fprintf(stderr, "%s\n%s\n", text.text, said.text);
			docs_done();
			return -1;
		}
		see_keys(text.text);
		docs.n++;
	}
	return 0;
}

static void fill(const struct g_world *w, struct pk_asker *a, struct pk_world_endpoint **unseen,
		 size_t *n_unseen)
{
	for (size_t i = 0; i < w->n_endpoints; i++) {
		struct pk_world_endpoint *ep;

		if (w->endpoints[i].gone)
			continue;
		ep = g_endpoint_make(&w->endpoints[i]);
		if (i % 4 == 3)
			unseen[(*n_unseen)++] = ep;
		else
			pk_asker_put(a, ep);
	}
}

static bool always_late(void *arg)
{
	(void)arg;
	return true;
}

/* Now and then some turns of a compile that isn't whole when the next change comes. */
static void compile_some(struct pk_asker *a)
{
	const struct pk_slice slice = { .late = always_late };

	for (uint32_t n = rnd_to(6); n > 0; n--)
		pk_engine_compile_slice(pk_asker_engine(a), &slice, NULL);
}

/* Whole, in one go or in as many turns as there can be. */
static void compile(struct pk_asker *a)
{
	const struct pk_slice slice = { .late = always_late };

	if (rnd_in(2))
		while (pk_engine_compile_slice(pk_asker_engine(a), &slice, NULL) == -EAGAIN)
			;
	pk_asker_compile(a, NULL);
}

/* Documents and endpoints come and go, one or several between two compiles. */
static void change(const struct g_world *w, struct pk_asker *a, struct tally *t, struct failure *f)
{
	bool out[DOCS_MAX] = { false };

	for (int step = 0; step < 8 && !f->found; step++) {
		const struct g_endpoint *e = &w->endpoints[rnd_to((uint32_t)w->n_endpoints)];
		static struct pk_document *in[2][DOCS_MAX];
		size_t n = 0;

		if (docs.n && rnd_in(2)) {
			/* The asker keeps the pointer: not the array that it still has. */
			struct pk_document **now = in[step & 1];

			out[rnd_to((uint32_t)docs.n)] ^= true;
			for (size_t i = 0; i < docs.n; i++)
				if (!out[i])
					now[n++] = docs.at[i];
			pk_asker_set_documents(a, now, n);
		} else if (pk_world_get(pk_asker_world(a), e->key)) {
			if (pk_world_count(pk_asker_world(a)) > 1)
				pk_engine_remove(pk_asker_engine(a), e->key);
		} else if (!e->gone) {
			pk_asker_put(a, g_endpoint_make(e));
		}
		compile_some(a);
		if (rnd_in(3))
			continue;
		compile(a);
		ask_many(a, 12, "after a change", t, f);
	}
}

static int run(const struct g_world *w, uint64_t seed, struct tally *t, struct failure *f,
	       bool loud)
{
	struct pk_world_endpoint *unseen[ENDPOINTS_MAX];
	size_t n_unseen = 0;
	own_asker *a = NULL;

	if (docs_read(w, loud) < 0)
		return -1;
	rnd_seed(seed);
	a = pk_asker_new(&w->settings, docs.at, docs.n);
	pk_asker_set_kernel(a, &pk_kernel);
	pk_asker_engine(a)->by_entry_max = rnd_in(2) ? 0 : SIZE_MAX;
	fill(w, a, unseen, &n_unseen);
	compile(a);
	ask_unseen(a, unseen, n_unseen, t, f);
	for (size_t i = 0; i < n_unseen; i++) {
		pk_asker_put(a, unseen[i]);
		compile_some(a);
		if (rnd_in(2))
			pk_asker_compile(a, NULL);
	}
	compile(a);
	ask_many(a, QUERIES_A_WORLD - 60, "compiled", t, f);
	change(w, a, t, f);
	pk_asker_free(PK_MOVE(a, NULL));
	docs_done();
	return 0;
}

static bool still_fails(const struct g_world *w, uint64_t seed)
{
	/* The questions depend on what is left: several rounds of them. */
	for (uint64_t i = 0; i < 12; i++) {
		struct failure f = { 0 };
		struct tally t = { 0 };

		if (run(w, seed + i * 1000003, &t, &f, false) == 0 && f.found)
			return true;
	}
	return false;
}

static void explain(struct g_world *w, uint64_t seed)
{
	const struct g_shrink smaller = { .world = w, .seed = seed, .fails = still_fails };
	struct failure f = { 0 };
	struct tally t = { 0 };

	g_world_shrink(&smaller);
	for (uint64_t i = 0; i < 12 && !f.found; i++)
		run(w, seed + i * 1000003, &t, &f, false);
	printf("shrunk: %s\nbaseline %s\n", f.text, pk_baseline_name(w->settings.baseline));
	for (size_t i = 0; i < w->n_docs; i++) {
		own_str text = { 0 };

		g_doc_text(&w->docs[i], &text);
		if (text.len)
			printf("%s\n", text.text);
	}
	for (size_t i = 0; i < w->n_endpoints; i++) {
		struct pk_world_endpoint *ep = g_endpoint_make(&w->endpoints[i]);

		if (!w->endpoints[i].gone)
			printf("%s %s\n", ep->key, ep->labels->text);
		for (size_t j = 0; j < ep->n_ports && !w->endpoints[i].gone; j++)
			printf("  %s %u %u\n", ep->ports[j].name, ep->ports[j].proto,
			       ep->ports[j].port);
		pk_world_endpoint_free(ep);
	}
}

static int share(const char *what, uint64_t part, uint64_t of)
{
	double percent = of ? 100.0 * (double)part / (double)of : 0;

	printf("  %-19s %5.1f %%\n", what, percent);
	if (percent >= 3)
		return 0;
	printf("  fewer than 3 %% of the questions end there: the test is blind\n");
	return 1;
}

static int report(const struct tally *t)
{
	int blind = 0;

	printf("%lu questions in %lu worlds (%lu asked of the kernel), %lu about unseen peers "
	       "(%lu of them allowed), audit differs in %lu\n",
	       t->queries, t->worlds, t->kernel, t->unseen, t->unseen_allowed, t->audit_differs);
	blind += share("allowed", t->allow, t->queries);
	blind += share("denied by a deny", t->deny, t->queries);
	blind += share("denied by default", t->fallback, t->queries);
	blind += share("operator tier", t->tier[PK_TIER_OPERATOR], t->queries);
	blind += share("tenant tier", t->tier[PK_TIER_TENANT], t->queries);
	blind += share("baseline tier", t->tier[PK_TIER_BASELINE], t->queries);
	blind += share("built-in baseline", t->tier[PK_TIER_BUILTIN], t->queries);
	blind += share("a list of all", t->beside[PK_LIST_ALL], t->world);
	blind += share("a list of some", t->beside[PK_LIST_SOME], t->world);
	blind += share("short, in a list", t->gathered, t->world);
	for (size_t i = 0; i < n_language; i++)
		if (!language[i].seen) {
			printf("  no document had \"%s\": the test is blind\n", language[i].name);
			blind++;
		}
	return blind;
}

int main(int argc, char **argv)
{
	const char *given = getenv("PICKET_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : 1, queries = 200000;
	struct tally t = { 0 };
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-no-kernel") == 0)
			with_kernel = false;
		else if (strcmp(argv[i], "-seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "-queries") == 0 && i + 1 < argc)
			queries = strtoull(argv[++i], NULL, 10);
	}
	if (with_kernel && geteuid() != 0) {
		printf("not root: the kernel isn't asked\n");
		with_kernel = false;
	}
	learn_language(&pk_schema_document);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %lu\n", seed);
	while (t.queries < queries && !failed) {
		struct failure f = { 0 };
		struct g_world w;
		uint64_t world_seed = seed + t.worlds++;

		rnd_seed(world_seed);
		g_world_make(&w);
		if (run(&w, world_seed, &t, &f, true) < 0 || f.found) {
			failed++;
			printf("world seed %lu: %s\n", world_seed, f.text);
			if (f.found)
				explain(&w, world_seed);
		}
		g_world_done(&w);
	}
	failed += report(&t);
	printf("%d passed, %d failed, 0 skipped\n", !failed, failed);
	return failed ? 1 : 0;
}

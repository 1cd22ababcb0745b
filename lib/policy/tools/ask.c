/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "addr.h"
#include "picket/policy.h"
#include "selector.h"

struct pk_asker {
	const struct pk_settings *settings;
	struct pk_document *const *docs;
	size_t n_docs;
	struct pk_engine *engine;
	const struct pk_ask_kernel *kernel;
	void *loaded;
};

#define NAME_CLASSES_MAX 256

int pk_ask_engine_parse(const char *text, enum pk_ask_engine *out)
{
	static const char *const names[] = { "reference", "compiled", "kernel" };

	for (size_t i = 0; i < PK_ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum pk_ask_engine)i;
			return 0;
		}
	return -EINVAL;
}

struct pk_asker *pk_asker_new(const struct pk_settings *settings, struct pk_document *const *docs,
			      size_t n)
{
	struct pk_asker *asker = pk_alloc(sizeof(*asker));

	asker->settings = settings;
	asker->docs = docs;
	asker->n_docs = n;
	asker->engine = pk_engine_new(settings);
	pk_engine_set_documents(asker->engine, docs, n);
	return asker;
}

static void unload(struct pk_asker *asker)
{
	if (asker->loaded)
		asker->kernel->unload(asker->loaded);
	asker->loaded = NULL;
}

void pk_asker_free(struct pk_asker *asker)
{
	if (!asker)
		return;
	unload(asker);
	pk_engine_free(asker->engine);
	free(asker);
}

void pk_asker_set_documents(struct pk_asker *asker, struct pk_document *const *docs, size_t n)
{
	asker->docs = docs;
	asker->n_docs = n;
	pk_engine_set_documents(asker->engine, docs, n);
}

void pk_asker_set_settings(struct pk_asker *asker, const struct pk_settings *settings)
{
	asker->settings = settings;
	pk_engine_set_settings(asker->engine, settings);
}

void pk_asker_put(struct pk_asker *asker, struct pk_world_endpoint *ep)
{
	ep->local = true;
	pk_engine_put(asker->engine, ep);
}

void pk_asker_put_remote(struct pk_asker *asker, struct pk_world_endpoint *ep)
{
	ep->local = false;
	pk_engine_put(asker->engine, ep);
}

struct pk_engine *pk_asker_engine(struct pk_asker *asker)
{
	return asker->engine;
}

const struct pk_world *pk_asker_world(const struct pk_asker *asker)
{
	return pk_engine_world(asker->engine);
}

void pk_asker_set_kernel(struct pk_asker *asker, const struct pk_ask_kernel *kernel)
{
	unload(asker);
	asker->kernel = kernel;
}

int pk_asker_compile(struct pk_asker *asker, struct pk_err *err)
{
	unload(asker);
	return pk_engine_compile(asker->engine, err);
}

/* Returns whether a DNS answer gave this subject the address under a name that the entry names. */
static bool is_granted(const struct pk_world_endpoint *subject, const struct pk_entry *entry,
		       const union pk_addr *addr)
{
	for (size_t i = 0; i < subject->n_names; i++) {
		const struct pk_name *name = &subject->names[i];
		bool has = false, named = false;

		for (size_t j = 0; j < name->n_addresses; j++)
			has |= pk_addr_equal(&name->addresses[j], addr);
		for (size_t j = 0; j < entry->n_fqdns && has; j++)
			named |= pk_fqdn_match(&entry->fqdns[j], name->name);
		if (named)
			return true;
	}
	return false;
}

static void grant_names(const struct pk_image *image, const struct pk_question *q,
			struct pk_image_facts *out, uint32_t *classes, size_t room)
{
	out->name_classes = classes;
	if (q->peer.party != PK_PARTY_WORLD || q->dir != PK_EGRESS ||
	    pk_is_protected(&q->peer.address))
		return;
	for (size_t i = 0; i < image->n_names && out->n_name_classes < room; i++)
		if (is_granted(q->subject, image->names[i].entry, &q->peer.address))
			classes[out->n_name_classes++] = image->names[i].class_nr;
}

static uint32_t open_flags(const struct pk_engine *engine, const struct pk_question *q)
{
	struct pk_open_entry *list;
	size_t n;
	uint32_t flags = 0;

	if (q->dir != PK_INGRESS)
		return 0;
	n = pk_engine_open_ports(engine, q->subject->key, &list);
	for (size_t i = 0; i < n; i++)
		if (list[i].proto == q->proto && list[i].port == q->port)
			flags |= list[i].flags;
	free(list);
	return flags;
}

/*
 * Makes the identity of an endpoint that the compiler hasn't seen: what ADD gave it, which is its
 * labels, with its ports unknown.
 */
static void unseen_identity(const struct pk_world_endpoint *ep, uint64_t hash[2])
{
	own_labels *labels = pk_label_set_copy(ep->labels);

	pk_label_set_add_unknown(labels, "port:*");
	if (pk_label_set_finish(labels, NULL) < 0)
		abort();
	memcpy(hash, labels->hash, sizeof(labels->hash));
}

static void fill_endpoint(const struct pk_engine *engine, const struct pk_question *q,
			  struct pk_image_facts *out)
{
	const struct pk_world_endpoint *peer = q->peer.endpoint;
	const char *own = q->subject->labels->tenant_name, *other = peer->labels->tenant_name;
	struct pk_identity_ref ref;

	out->init = peer->labels->init;
	if (pk_engine_identity(engine, peer->key, &ref) == 0)
		memcpy(out->identity, ref.hash, sizeof(out->identity));
	else
		unseen_identity(peer, out->identity);
	if (other)
		pk_tenant_hash(other, out->tenant);
	out->same_tenant = own && other && strcmp(own, other) == 0;
}

void pk_ask_facts(const struct pk_engine *engine, const struct pk_image *image,
		  const struct pk_question *q, struct pk_image_facts *out, uint32_t *name_classes,
		  size_t room)
{
	*out = (struct pk_image_facts){ 0 };
	if (q->peer.party == PK_PARTY_ENDPOINT)
		fill_endpoint(engine, q, out);
	grant_names(image, q, out, name_classes, room);
	out->open = open_flags(engine, q);
}

static int ask_compiled(struct pk_asker *asker, const struct pk_question *q,
			struct pk_verdict_value *out, struct pk_err *err)
{
	const struct pk_image *image = pk_engine_image(asker->engine, q->subject->key);
	uint32_t classes[NAME_CLASSES_MAX];
	struct pk_image_facts facts;

	if (!image)
		return pk_fail(err, ENOENT, "endpoint \"%s\" has no rule set", q->subject->key);
	/* The data path answers an endpoint's packets to itself before it asks any table. */
	if (q->peer.party == PK_PARTY_ENDPOINT && q->peer.endpoint == q->subject) {
		out->live = (struct pk_judgement){ .verdict = PK_ALLOW,
						   .rank = PK_RANK(PK_TIER_OPERATOR, PK_KIND_ALLOW),
						   .rule = PK_RULE_SELF };
		out->audit = out->live;
		return 0;
	}
	pk_ask_facts(asker->engine, image, q, &facts, classes, NAME_CLASSES_MAX);
	pk_image_lookup(image, q, &facts, out);
	return 0;
}

static int ask_kernel(struct pk_asker *asker, const struct pk_question *q,
		      struct pk_verdict_value *out, struct pk_err *err)
{
	if (!asker->kernel)
		return pk_fail(err, ENOSYS, "this program can't ask the kernel");
	if (!asker->loaded)
		asker->loaded = asker->kernel->load(asker->engine, err);
	if (!asker->loaded)
		return -EIO;
	return asker->kernel->ask(asker->loaded, q, out, err);
}

int pk_ask(struct pk_asker *asker, enum pk_ask_engine engine, const struct pk_question *q,
	   struct pk_verdict_value *out, struct pk_err *err)
{
	const struct pk_judge_by judge = { .settings = asker->settings,
					   .docs = asker->docs,
					   .n_docs = asker->n_docs };

	switch (engine) {
	case PK_ASK_REFERENCE:
		pk_judge(&judge, q, out);
		return 0;
	case PK_ASK_COMPILED:
		return ask_compiled(asker, q, out, err);
	case PK_ASK_KERNEL:
		return ask_kernel(asker, q, out, err);
	}
	return -EINVAL;
}

int pk_ask_connection(struct pk_asker *asker, enum pk_ask_engine engine,
		      const struct pk_connection *c, struct pk_connection_verdict *out,
		      struct pk_err *err)
{
	const struct pk_peer *sides[2] = { [PK_EGRESS] = &c->from, [PK_INGRESS] = &c->to };

	*out = (struct pk_connection_verdict){ .verdict = PK_ALLOW, .audit = PK_ALLOW };
	for (int dir = 0; dir < 2; dir++) {
		struct pk_question q = { .dir = (enum pk_dir)dir,
					 .peer = *sides[!dir],
					 .proto = c->proto,
					 .port = c->port };
		int r;

		if (!pk_peer_is_local(sides[dir]))
			continue;
		q.subject = sides[dir]->endpoint;
		r = pk_ask(asker, engine, &q, &out->side[dir], err);
		if (r < 0)
			return r;
		out->asked[dir] = true;
		if (out->side[dir].live.verdict != PK_ALLOW)
			out->verdict = PK_DENY;
		if (out->side[dir].audit.verdict != PK_ALLOW)
			out->audit = PK_DENY;
	}
	return 0;
}

static bool is_masqueraded(const struct pk_connection *c)
{
	const struct pk_world_endpoint *from = c->from.endpoint;

	if (c->from.party != PK_PARTY_ENDPOINT || c->to.party != PK_PARTY_WORLD)
		return false;
	return pk_addr_is4(&c->to.address) ? from->masqueraded4 : from->masqueraded6;
}

static bool has_translation(const struct pk_connection *c)
{
	if (c->proto == IPPROTO_ICMP)
		return c->port == PK_PORT_ICMP(8, 0);
	if (c->proto == IPPROTO_ICMPV6)
		return c->port == PK_PORT_ICMP(128, 0);
	return c->proto == IPPROTO_TCP || c->proto == IPPROTO_UDP;
}

const struct pk_lack *pk_connection_lack(const struct pk_connection *c)
{
	static const struct pk_lack masquerade = {
		"masquerade of other protocols than TCP, UDP and ping", "no-masquerade"
	};
	static const struct pk_lack way = { "way to or from an endpoint that it doesn't know",
					    "not-built" };

	if (is_masqueraded(c) && !has_translation(c))
		return &masquerade;
	if (c->from.party == PK_PARTY_UNKNOWN || c->to.party == PK_PARTY_UNKNOWN)
		return &way;
	return NULL;
}

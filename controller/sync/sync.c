/* SPDX-License-Identifier: Apache-2.0 */
#include "sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "log.h"
#include "own.h"
#include "sync_private.h"

/*
 * How long to wait for the node lock, ns. It is held for microseconds; only a first load takes
 * longer.
 */
#define LOCK_NS 20000000ull
#define LONG_NS 2000000000ull
#define FULL_NS 1000000000ull
#define LOAD_NS 10000000000ull

struct pk_sync *pk_sync_new(const struct pk_paths *paths)
{
	struct pk_sync *s = pk_alloc(sizeof(*s));

	s->paths = paths;
	pk_sync_resolv(s);
	return s;
}

static void forget_sets(struct pk_sync *s)
{
	HASH_CLEAR(hh, s->by_digest);
	for (size_t i = 0; i < s->n_sets; i++)
		pk_image_unref(s->sets[i].image);
	free(s->sets);
	s->sets = NULL;
	s->n_sets = 0;
}

void pk_sync_free(struct pk_sync *s)
{
	if (!s)
		return;
	forget_sets(s);
	pk_bpf_close(s->bpf);
	free(s->ports);
	free(s->told);
	free(s->refused);
	pk_str_done(&s->dns.search);
	free(s->carried);
	sync_remotes_forget(s);
	free(s);
}

struct pk_bpf *pk_sync_bpf(struct pk_sync *s)
{
	return s->bpf;
}

bool pk_sync_tells_of_ends(const struct pk_sync *s)
{
	return s->log_closed;
}

uint64_t pk_sync_until(void)
{
	return pk_now_ns() + LOCK_NS;
}

uint64_t pk_sync_until_long(void)
{
	return pk_now_ns() + LONG_NS;
}

int pk_sync_open(struct pk_sync *s, const struct pk_settings *settings, struct pk_err *err)
{
	struct pk_bpf *bpf = NULL;
	int r = pk_bpf_open(&bpf, s->paths, PK_BPF_LOAD, settings, pk_now_ns() + LOAD_NS, err);

	if (r < 0)
		return r;
	forget_sets(s);
	pk_bpf_close(s->bpf);
	s->bpf = bpf;
	s->n_carried = 0;
	s->stripped = false;
	s->n_sets = bpf->node.rule_sets;
	s->sets = pk_alloc((s->n_sets + 1) * sizeof(*s->sets));
	free(s->ports);
	s->ports = pk_alloc((bpf->node.capacity + 1) * sizeof(*s->ports));
	free(s->told);
	s->told = pk_alloc((bpf->node.capacity + 1) * sizeof(*s->told));
	free(s->refused);
	s->refused = pk_alloc((bpf->node.capacity + 1) * sizeof(*s->refused));
	sync_remotes_read(s);
	return 0;
}

void sync_error(struct sync_pass *p, int r, const struct pk_err *e)
{
	p->held |= r == -ETIMEDOUT;
	if (r >= 0 || p->result < 0)
		return;
	p->result = r;
	if (p->err)
		*p->err = *e;
}

void sync_ask_late(struct sync_pass *p, unsigned int installed_before)
{
	const struct pk_slice *slice = p->want->slice;

	if (p->done->installed != installed_before && slice)
		p->late = slice->late(slice->arg);
}

bool sync_is_live(const struct sync_pass *p, const struct pk_local_endpoint *m)
{
	return m->open && m->epoch_matches && m->slot > 0 &&
	       m->slot <= p->sync->bpf->node.capacity && pk_word(p->sync->bpf, m->slot) != 0;
}

static void name_label_sets(struct sync_pass *p)
{
	for (size_t i = 0; i < p->n_targets && !p->held; i++) {
		const struct target *t = &p->targets[i];
		struct pk_err err = { 0 };
		int r = 0;

		if (t->rule_set && t->labels.rule_set != t->rule_set)
			r = pk_labels_name(p->sync->bpf, t->hash, t->rule_set, pk_sync_until(),
					   &err);
		sync_error(p, r, &err);
	}
}

static uint32_t masquerade_of(const struct sync_pass *p, const struct target *t)
{
	const struct pk_masquerade *m = &pk_model_get_settings(p->want->model)->masquerade;
	bool v4 = pk_local_endpoint_masqueraded(t->ep, m, false);
	bool v6 = pk_local_endpoint_masqueraded(t->ep, m, true);

	return (v4 ? PK_WORD_MASQUERADE : 0u) | (v6 ? PK_WORD_MASQUERADE6 : 0u);
}

static uint32_t flags_of(const struct sync_pass *p, const struct target *t)
{
	uint32_t flags = masquerade_of(p, t);

	if (t->image->audit)
		flags |= PK_WORD_AUDIT;
	if (p->want->log_new)
		flags |= PK_WORD_LOG_NEW;
	if (p->want->log_closed)
		flags |= PK_WORD_LOG_CLOSED;
	return flags;
}

static void switch_one(struct sync_pass *p, const struct target *t)
{
	const struct pk_bpf *bpf = p->sync->bpf;
	struct pk_endpoint_switch to = { .slot = t->ep->slot,
					 .identity = t->labels.identity,
					 .tenant = t->labels.tenant,
					 .rule_set = t->rule_set };
	struct pk_err err = { 0 };
	uint64_t now;
	int r;

	to.from = pk_word(bpf, to.slot);
	if (!to.from)
		return; /* DEL closed it meanwhile */
	to.flags = flags_of(p, t);
	if (PK_WORD_RULE_SET(to.from) == to.rule_set && PK_WORD_FLAGS(to.from) == to.flags &&
	    bpf->endpoints[to.slot].identity == to.identity &&
	    bpf->endpoints[to.slot].tenant == to.tenant) {
		if (p->sync->sets[t->rule_set].amended)
			sync_error(p, pk_word_renew(p->sync->bpf, to.slot, &err), &err);
		return;
	}
	r = pk_endpoint_switch(p->sync->bpf, &to, pk_sync_until(), &now, &err);
	if (r == -EAGAIN || r == -EPERM) {
		p->done->again |= r == -EAGAIN;
		return;
	}
	sync_error(p, r, &err);
	p->done->switched += r == 0;
}

static void switch_all(struct sync_pass *p)
{
	for (size_t i = 0; i < p->n_targets && !p->held; i++)
		if (p->targets[i].rule_set)
			switch_one(p, &p->targets[i]);
	for (size_t i = 0; i < p->sync->n_sets; i++)
		p->sync->sets[i].amended = false;
}

/*
 * Returns whether the ports are written already: neither the endpoint nor what the model says of it
 * has changed since.
 */
static bool has_ports(const struct sync_pass *p, const struct target *t)
{
	const struct ports_memo *memo = &p->sync->ports[t->ep->slot];

	return memo->known && memo->fed == t->ep->fed &&
	       memo->opened == p->sync->bpf->endpoints[t->ep->slot].opened;
}

static void set_ports(struct sync_pass *p, const struct target *t)
{
	own_mem struct pk_open_entry *list = NULL;
	size_t n = pk_engine_open_ports(pk_model_engine(p->want->model), t->ep->key, &list);
	own_mem struct pk_open_port *ports = pk_alloc((n + 1) * sizeof(*ports));
	struct ports_memo *memo = &p->sync->ports[t->ep->slot], now = { 0 };
	struct pk_err err = { 0 };
	int r;

	now.fed = t->ep->fed;
	for (size_t i = 0; i < n; i++)
		ports[i] = (struct pk_open_port){ .proto = list[i].proto,
						  .port = list[i].port,
						  .flags = list[i].flags };
	pk_hash128(ports, n * sizeof(*ports), now.hash);
	now.opened = p->sync->bpf->endpoints[t->ep->slot].opened;
	now.known = true;
	if (memo->known && memo->opened == now.opened &&
	    memcmp(memo->hash, now.hash, sizeof(now.hash)) == 0) {
		memo->fed = now.fed;
		return;
	}
	r = pk_endpoint_open_ports(p->sync->bpf, t->ep->slot, ports, n, pk_sync_until(), &err);
	sync_error(p, r, &err);
	if (r == 0) {
		*memo = now;
		p->done->ports++;
	}
}

static void set_rest(struct sync_pass *p, const struct target *t)
{
	if (!has_ports(p, t))
		set_ports(p, t);
	if (!sync_has_told(p, t))
		sync_tell(p, t);
}

/* Names the table that is too small, and how much of it all rule sets together need. */
static int say_sizes(struct sync_pass *p)
{
	struct pk_table_use use[PK_MAP_COUNT];
	size_t n = pk_tables_use(p->sync->bpf, use);
	struct pk_engine_size want;
	struct pk_err *err = p->err;
	own_str text = { 0 };

	if (!err)
		return p->result;
	pk_engine_size(pk_model_engine(p->want->model), &want);
	pk_str_addf(&text,
		    "the policy does not fit, endpoints stay under the one before: it wants "
		    "%zu rule sets, %zu verdicts, %zu peer classes, %zu prefixes;",
		    want.rule_sets, want.verdicts, want.peers, want.cidrs);
	for (size_t i = 0; i < n; i++)
		if (strcmp(use[i].name, "verdicts") == 0 || strcmp(use[i].name, "cidr") == 0 ||
		    strcmp(use[i].name, "peer_class") == 0)
			pk_str_addf(&text, " %s has %llu of %llu taken", use[i].name,
				    (unsigned long long)use[i].used,
				    (unsigned long long)use[i].size);
	snprintf(err->text, sizeof(err->text), "%.380s", text.text);
	return p->result;
}

/* Returns whether a pass over the changed endpoints alone will do. */
static bool is_few(const struct pk_sync *s, const struct pk_sync_want *want)
{
	return !want->all && s->settled && s->stripped && !s->n_carried &&
	       pk_model_is_few(want->model) && pk_now_ns() - s->full_ns < FULL_NS &&
	       s->changes == pk_engine_changes(pk_model_engine(want->model));
}

/*
 * Makes a pass over few endpoints. Returns false where one of them concerns others after all; so
 * far only numbers were taken then.
 */
static bool pass_few(struct sync_pass *p)
{
	sync_take_numbers(p, true);
	for (size_t i = 0; i < p->n_targets; i++) {
		struct target *t = &p->targets[i];

		t->rule_set = sync_find_set(p->sync, t->image);
		if (!t->rule_set || sync_moves(p, t))
			return false;
	}
	sync_complete(p);
	name_label_sets(p);
	switch_all(p);
	return true;
}

static void pass_all(struct sync_pass *p)
{
	p->sync->full_ns = pk_now_ns();
	p->sync->changes = pk_engine_changes(pk_model_engine(p->want->model));
	sync_take_numbers(p, false);
	sync_remotes_drop(p);
	sync_move_identities(p);
	sync_install_targets(p);
	if (!p->late) {
		name_label_sets(p);
		sync_bases(p);
	}
	if (p->late)
		return;
	if (p->want->all && !p->held)
		sync_withdraw(p);
	switch_all(p);
	sync_remotes_set(p);
	sync_settle_identities(p);
}

int pk_sync_pass(struct pk_sync *s, const struct pk_sync_want *want, struct pk_sync_done *done,
		 struct pk_err *err)
{
	struct sync_pass p = { .sync = s, .want = want, .done = done, .err = err };

	*done = (struct pk_sync_done){ 0 };
	if (!s->bpf)
		return pk_fail(err, ENOTCONN, "the programs are not loaded");
	s->log_closed = want->log_closed;
	p.targets = pk_alloc((pk_model_count(want->model) + 1) * sizeof(*p.targets));
	done->few = is_few(s, want) && pass_few(&p);
	if (!done->few)
		pass_all(&p);
	for (size_t i = 0; i < p.n_targets && !p.held && !p.late; i++)
		set_rest(&p, &p.targets[i]);
	if (!p.held && !p.late)
		sync_limits(&p);
	free(p.targets);
	free(p.remotes);
	s->settled = p.result == 0 && !done->again && !p.late;
	if (s->settled)
		pk_model_settle(want->model);
	if (p.late)
		return -EAGAIN;
	return p.result == -ENOSPC ? say_sizes(&p) : p.result;
}

void pk_sync_state(struct pk_sync *s, const struct pk_local_endpoint *m, struct pk_sync_state *out)
{
	uint64_t word = 0;

	*out = (struct pk_sync_state){ .identity = m->identity, .tenant = m->tenant };
	if (!s->bpf || !m->epoch_matches || m->slot > s->bpf->node.capacity)
		return;
	word = pk_word(s->bpf, m->slot);
	out->identity = s->bpf->endpoints[m->slot].identity;
	out->tenant = s->bpf->endpoints[m->slot].tenant;
	out->rule_set = PK_WORD_RULE_SET(word);
	out->revision = PK_WORD_REVISION(word);
	out->audit = PK_WORD_FLAGS(word) & PK_WORD_AUDIT;
}

bool pk_sync_in_step(struct pk_sync *s, struct pk_model *model, const struct pk_local_endpoint *m)
{
	struct pk_image *image = pk_engine_image(pk_model_engine(model), m->key);
	struct pk_sync_state state;
	struct pk_rule_set rs;

	pk_sync_state(s, m, &state);
	return image && !pk_model_awaits(model, pk_local_endpoint_namespace(m)) && state.rule_set &&
	       pk_rule_set_get(s->bpf, state.rule_set, &rs) == 0 &&
	       memcmp(rs.digest, image->digest, sizeof(rs.digest)) == 0;
}

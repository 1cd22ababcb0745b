/* SPDX-License-Identifier: Apache-2.0 */
#include "model_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "json.h"
#include "own.h"

static void feed_init(struct pk_model *m)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(PK_MODEL_INIT);

	ep->labels = pk_label_set_init();
	ep->local = true;
	pk_engine_put(m->engine, ep);
}

struct pk_model *pk_model_new(const struct pk_model_args *args)
{
	struct pk_model *m = pk_alloc(sizeof(*m));

	pk_settings_copy(&m->settings, args->settings);
	m->docs = args->docs;
	m->engine = pk_engine_new(&m->settings);
	m->remotes = pk_remotes_new(m->engine);
	m->by_address = pk_by_address_new();
	pk_engine_set_documents(m->engine, NULL, 0);
	feed_init(m);
	m->facts = args->facts ? strdup(args->facts) : NULL;
	m->writer = args->writer;
	model_remember_tenants(m);
	return m;
}

void pk_model_free(struct pk_model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		pk_local_endpoint_free(m->list[i]);
	pk_remotes_free(m->remotes);
	pk_engine_free(m->engine);
	pk_allocs_done(&m->allocs);
	pk_settings_done(&m->settings);
	free(m->list);
	free(m->slots);
	pk_by_address_free(m->by_address);
	model_free_tenants(m);
	free(m->facts);
	free(m);
}

const struct pk_settings *pk_model_get_settings(const struct pk_model *m)
{
	return &m->settings;
}

struct pk_engine *pk_model_engine(struct pk_model *m)
{
	return m->engine;
}

const struct pk_rules *pk_model_rules(const struct pk_model *m)
{
	return pk_engine_rules(m->engine);
}

struct pk_remotes *pk_model_remotes(const struct pk_model *m)
{
	return m->remotes;
}

void pk_model_remotes_changed(struct pk_model *m)
{
	m->many = true;
}

static void touch(struct pk_model *m, struct pk_local_endpoint *ep)
{
	for (size_t i = 0; i < m->n_touched; i++)
		if (m->touched[i] == ep)
			return;
	if (m->n_touched < MODEL_TOUCHED_MAX)
		m->touched[m->n_touched++] = ep;
	else
		m->many = true;
}

static void untouch(struct pk_model *m, const struct pk_local_endpoint *ep)
{
	for (size_t i = m->n_touched; i-- > 0;)
		if (m->touched[i] == ep)
			m->touched[i] = m->touched[--m->n_touched];
}

bool pk_model_is_few(const struct pk_model *m)
{
	return !m->many;
}

const struct pk_local_endpoint *pk_model_touched(const struct pk_model *m, size_t i)
{
	return i < m->n_touched ? m->touched[i] : NULL;
}

void pk_model_settle(struct pk_model *m)
{
	m->n_touched = 0;
	m->many = false;
}

static void feed(struct pk_model *m, struct pk_local_endpoint *ep)
{
	pk_local_endpoint_judge(ep, &m->settings);
	ep->fed = ++m->fed;
	touch(m, ep);
	m->tenants_stale = true;
	if (ep->open)
		pk_engine_put(m->engine, pk_local_endpoint_world(ep, &m->settings));
	else
		pk_engine_remove(m->engine, ep->key);
}

void pk_model_settings(struct pk_model *m, const struct pk_settings *settings)
{
	m->many = true;
	pk_settings_copy(&m->settings, settings);
	pk_engine_set_settings(m->engine, &m->settings);
	for (size_t i = 0; i < m->n; i++)
		feed(m, m->list[i]);
}

void pk_model_networks(struct pk_model *m, const struct pk_settings *settings)
{
	m->many = true;
	pk_settings_copy_networks(&m->settings, settings);
}

void pk_model_documents(struct pk_model *m)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(m->docs, &list);

	m->many = true;
	pk_engine_set_documents(m->engine, list, n);
	pk_docs_retire(m->docs);
}

static size_t find(const struct pk_model *m, const char *key, bool *found)
{
	size_t lo = 0, hi = m->n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = strcmp(m->list[mid]->key, key);

		*found |= r == 0;
		if (r >= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static char *facts_path(const struct pk_model *m, const char *container_id)
{
	own_str path = { 0 };

	if (!m->facts)
		return NULL;
	pk_str_addf(&path, "%s/%s.json", m->facts, container_id);
	return pk_str_take(&path);
}

static void keep_facts(const struct pk_model *m, const struct pk_local_endpoint *ep)
{
	own_mem char *path = facts_path(m, ep->container_id);
	own_str text = { 0 };

	if (!path)
		return;
	pk_alloc_encode(ep->facts, &text);
	/* No reason to sync: after a crash Nomad's next answer brings the facts again. */
	if (!text.failed)
		pk_writer_file(m->writer, path, text.text, text.len);
}

static void read_facts(const struct pk_model *m, struct pk_local_endpoint *ep)
{
	own_mem char *path = facts_path(m, ep->container_id);
	own_mem char *text = NULL;
	struct pk_alloc alloc;
	size_t len;

	if (!path || ep->declared || pk_fs_read_own(path, PK_JSON_MAX, &text, &len, NULL) < 0)
		return;
	if (pk_alloc_decode(text, len, &alloc, NULL) < 0)
		return;
	/* A file that was copied or renamed says who somebody else is. */
	if (strcmp(alloc.id, ep->container_id) != 0) {
		pk_alloc_done(&alloc);
		return;
	}
	ep->facts = pk_alloc(sizeof(alloc));
	*ep->facts = alloc;
}

static bool set_facts(struct pk_model *m, struct pk_local_endpoint *ep,
		      const struct pk_alloc *alloc)
{
	struct pk_alloc *copy;

	if (ep->declared || alloc->refused || (ep->facts && pk_alloc_equal(ep->facts, alloc)))
		return false;
	copy = pk_alloc_copy(alloc);
	if (!copy)
		return false;
	if (ep->facts)
		pk_alloc_done(ep->facts);
	free(ep->facts);
	ep->facts = copy;
	keep_facts(m, ep);
	feed(m, ep);
	return true;
}

/*
 * Indexes an endpoint. One from before a reboot has an address, which its next ADD keeps, but no
 * slot.
 */
static void index_endpoint(struct pk_model *m, struct pk_local_endpoint *ep)
{
	if (!ep->open)
		return;
	pk_by_address_add(m->by_address, ep);
	if (!ep->epoch_matches)
		return;
	if (ep->slot >= m->n_slots) {
		size_t n = ep->slot + 64;

		m->slots = realloc(m->slots, n * sizeof(struct pk_local_endpoint *));
		if (!m->slots)
			abort();
		memset(m->slots + m->n_slots, 0,
		       (n - m->n_slots) * sizeof(struct pk_local_endpoint *));
		m->n_slots = n;
	}
	m->slots[ep->slot] = ep;
}

static void unindex(struct pk_model *m, const struct pk_local_endpoint *ep)
{
	untouch(m, ep);
	if (ep->open)
		pk_by_address_remove(m->by_address, ep);
	if (ep->slot < m->n_slots && m->slots[ep->slot] == ep)
		m->slots[ep->slot] = NULL;
}

static void insert(struct pk_model *m, size_t at, struct pk_local_endpoint *ep)
{
	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 64;
		m->list = realloc(m->list, m->room * sizeof(struct pk_local_endpoint *));
		if (!m->list)
			abort();
	}
	memmove(m->list + at + 1, m->list + at, (m->n - at) * sizeof(struct pk_local_endpoint *));
	m->list[at] = ep;
	m->n++;
}

void pk_model_put(struct pk_model *m, struct pk_local_endpoint *ep)
{
	const struct pk_alloc *alloc = pk_model_find_alloc(m, ep->container_id);
	bool found;
	size_t at = find(m, ep->key, &found);

	if (found) {
		struct pk_local_endpoint *old = m->list[at];

		unindex(m, old);
		ep->facts = PK_MOVE(old->facts, NULL);
		ep->enforced = old->enforced;
		pk_local_endpoint_free(old);
		m->list[at] = ep;
	} else {
		insert(m, at, ep);
		read_facts(m, ep);
	}
	index_endpoint(m, ep);
	if (!alloc || !set_facts(m, ep, alloc))
		feed(m, ep);
}

void pk_model_enforced(struct pk_model *m, const char *key, const struct pk_enforced *enforced)
{
	bool found;
	size_t at = find(m, key, &found);

	if (found)
		m->list[at]->enforced = *enforced;
}

static void drop(struct pk_model *m, size_t at)
{
	struct pk_local_endpoint *ep = m->list[at];
	own_mem char *path = facts_path(m, ep->container_id);

	if (path)
		pk_writer_unlink(m->writer, path);
	unindex(m, ep);
	m->tenants_stale = true;
	m->fed++;
	pk_engine_remove(m->engine, ep->key);
	m->n--;
	memmove(m->list + at, m->list + at + 1, (m->n - at) * sizeof(struct pk_local_endpoint *));
	pk_local_endpoint_free(ep);
}

bool pk_model_remove(struct pk_model *m, const char *key)
{
	bool found;
	size_t at = find(m, key, &found);

	if (found)
		drop(m, at);
	return found;
}

bool pk_model_prune(struct pk_model *m, bool (*keep)(void *arg, const char *key), void *arg)
{
	bool any = false;

	for (size_t i = m->n; i-- > 0;)
		if (!keep(arg, m->list[i]->key)) {
			drop(m, i);
			any = true;
		}
	return any;
}

void pk_model_tidy_facts(struct pk_model *m, bool (*keep)(void *arg, const char *container_id),
			 void *arg)
{
	own_dir DIR *dir = m->facts ? opendir(m->facts) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t n = strlen(e->d_name);
		char id[sizeof(e->d_name)];
		own_str path = { 0 };

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		strcpy(id, e->d_name);
		if (n > 5 && strcmp(id + n - 5, ".json") == 0)
			id[n - 5] = '\0';
		if (keep(arg, id))
			continue;
		pk_str_addf(&path, "%s/%s", m->facts, e->d_name);
		pk_writer_unlink(m->writer, path.text);
	}
}

bool pk_model_alloc(struct pk_model *m, const struct pk_alloc *alloc)
{
	bool any = false;

	/* Keys begin with the container id, so those of one alloc stand together. */
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->list[i]->container_id, alloc->id) == 0)
			any |= set_facts(m, m->list[i], alloc);
	return any;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct pk_alloc *)a)->id, ((const struct pk_alloc *)b)->id);
}

bool pk_model_allocs(struct pk_model *m, struct pk_allocs *allocs)
{
	bool any = false;

	pk_allocs_done(&m->allocs);
	m->allocs = PK_MOVE(*allocs, (struct pk_allocs){ 0 });
	if (m->allocs.n)
		qsort(m->allocs.list, m->allocs.n, sizeof(*m->allocs.list), by_id);
	for (size_t i = 0; i < m->n; i++) {
		const struct pk_alloc *a = pk_model_find_alloc(m, m->list[i]->container_id);

		if (a)
			any |= set_facts(m, m->list[i], a);
	}
	return any;
}

bool pk_model_has_alloc(const struct pk_model *m, const char *id)
{
	return m->allocs.nameless || pk_model_find_alloc(m, id);
}

const struct pk_alloc *pk_model_find_alloc(const struct pk_model *m, const char *id)
{
	const struct pk_alloc key = { .id = (char *)id };

	return m->allocs.n ? bsearch(&key, m->allocs.list, m->allocs.n, sizeof(key), by_id) : NULL;
}

int pk_model_compile(struct pk_model *m, const struct pk_slice *slice, struct pk_err *err)
{
	model_want_tenants(m);
	return pk_engine_compile_slice(m->engine, slice, err);
}

size_t pk_model_count(const struct pk_model *m)
{
	return m->n;
}

uint64_t pk_model_changes(const struct pk_model *m)
{
	return m->fed;
}

/* Returns its place. Each pass walks all several times: the last one's is known. */
static size_t place_of(struct pk_model *m, const struct pk_local_endpoint *ep)
{
	bool found;

	if (m->walked < m->n && m->list[m->walked] == ep)
		return m->walked;
	m->searches++;
	return find(m, ep->key, &found);
}

const struct pk_local_endpoint *pk_model_next(const struct pk_model *m,
					      const struct pk_local_endpoint *ep)
{
	struct pk_model *walk = (struct pk_model *)m; /* what it says stays as it is */
	size_t at = ep ? place_of(walk, ep) + 1 : 0;

	walk->walked = at;
	return at < m->n ? m->list[at] : NULL;
}

const struct pk_local_endpoint *pk_model_at(const struct pk_model *m, size_t i)
{
	return i < m->n ? m->list[i] : NULL;
}

const struct pk_local_endpoint *pk_model_get(const struct pk_model *m, const char *key)
{
	bool found;
	size_t at = find(m, key, &found);

	return found ? m->list[at] : NULL;
}

void pk_model_opened(struct pk_model *m, const char *key)
{
	bool found;
	size_t at = find(m, key, &found);

	if (found)
		touch(m, m->list[at]);
}

const struct pk_local_endpoint *pk_model_by_slot(const struct pk_model *m, uint32_t slot)
{
	return slot < m->n_slots ? m->slots[slot] : NULL;
}

const struct pk_local_endpoint *pk_model_by_address(const struct pk_model *m,
						    const union pk_addr *a)
{
	return pk_by_address_get(m->by_address, a);
}

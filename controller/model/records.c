/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "declared.h"
#include "fs.h"
#include "log.h"
#include "own.h"

#define SETTLE_MS 5
#define HEARD_MAX 256 /* of more names at once the whole directory is read */
#define AGAIN_MS  30000
#define SURE_S	  2 /* a directory's time is of a coarse clock */

struct known { /* an open record as it was read last */
	char *key;
	uint32_t slot;
	struct stat seen; /* all zero: it is read at the next look */
	bool here;	  /* at the look that is under way */
	bool bad;
	UT_hash_handle hh; /* by key */
};

struct pk_records {
	struct pk_records_args args;
	uint64_t epoch[2];
	bool has_epoch;
	int inotify;
	struct pk_watch *watch;
	struct pk_timer *timer, *heard_timer;
	struct known *known;
	bool looked;		      /* the whole directory was looked at once */
	struct pk_record_name *heard; /* names of which inotify told since the last look */
	size_t n_heard;
	bool heard_too_much;  /* the whole directory is to be looked at */
	struct timespec seen; /* the directory's time at the last whole look; 0: look */
	ino_t seen_inode;
};

static char *copy(const char *text)
{
	return text && *text ? pk_strdup(text) : NULL;
}

static char *key_of(const char *container_id, const char *ifname)
{
	own_str key = { 0 };
	char *text;

	pk_str_addf(&key, "%s@%s", container_id, ifname);
	text = pk_str_take(&key);
	if (!text)
		abort();
	return text;
}

static void take_addresses(struct pk_local_endpoint *m, const struct pk_record *r)
{
	if (!pk_addr_is_zero(&r->ipv4))
		m->addresses[m->n_addresses++] = r->ipv4;
	if (!pk_addr_is_zero(&r->ipv6))
		m->addresses[m->n_addresses++] = r->ipv6;
}

static void take_region(struct pk_local_endpoint *m, const char *labels)
{
	own_labels *set = NULL;
	const struct pk_label *region;

	if (!labels || pk_label_set_parse(labels, &set, NULL) < 0)
		return;
	region = pk_label_set_get(set, "nomad:region");
	if (region && strlen(region->value) < sizeof(m->region))
		strcpy(m->region, region->value);
}

static void take_device(struct pk_local_endpoint *m, const struct pk_record *r)
{
	strcpy(m->mode, r->process ? "process" : "vm");
	pk_host_name(r->slot, m->device);
	m->slot = r->slot;
	m->host_ifindex = r->host_ifindex;
	m->host_tap = r->host_tap;
	m->tap_owner = r->tap_owner;
	m->tap_group = r->tap_group;
	m->queues = r->queues;
	m->mtu = r->mtu;
	m->tcx = r->tcx;
	memcpy(m->mac, r->mac, sizeof(m->mac));
}

/* What can't be read is not believed: quarantine. */
static void take_declared(struct pk_local_endpoint *m, const struct pk_record *r)
{
	if (!r->declared || pk_declared_parse(r->declared, &m->declared, NULL) == 0)
		return;
	m->declared = pk_label_set_init();
	free(PK_MOVE(m->tenant_name, NULL));
}

struct pk_local_endpoint *pk_local_endpoint_of_record(const struct pk_record *r,
						      const uint64_t epoch[2])
{
	struct pk_local_endpoint *m = pk_alloc(sizeof(*m));

	m->key = key_of(r->container_id, r->ifname);
	m->container_id = copy(r->container_id);
	m->ifname = copy(r->ifname);
	m->network = copy(r->network);
	m->netns = copy(r->netns);
	m->netns_inode = r->netns_inode;
	m->tenant_name = copy(r->tenant_name);
	m->job = copy(r->job);
	m->group = copy(r->group);
	take_region(m, r->labels);
	take_device(m, r);
	m->identity = r->identity;
	m->tenant = r->tenant;
	m->open = !r->closed;
	m->masquerade = r->masquerade;
	m->masquerade6 = r->masquerade6;
	m->unproven = r->unproven;
	take_declared(m, r);
	m->epoch_matches = memcmp(r->epoch, epoch, sizeof(r->epoch)) == 0;
	m->n_servers = pk_record_servers(r, m->servers);
	m->search = copy(r->search);
	m->limits = r->limits;
	m->bandwidth = r->bandwidth;
	m->job_limits = r->job_limits;
	memcpy(m->burst, r->burst, sizeof(m->burst));
	m->dns_of_node = r->dns_of_node;
	m->search_of_node = r->search_of_node;
	take_addresses(m, r);
	m->mappings = pk_alloc((r->n_ports + 1) * sizeof(*m->mappings));
	for (size_t i = 0; i < r->n_ports; i++)
		m->mappings[m->n_mappings++] = (struct pk_mapping){ .host = r->ports[i].host,
								    .own = r->ports[i].container,
								    .proto = r->ports[i].proto };
	return m;
}

static struct known *known_of(struct pk_records *r, const char *key)
{
	struct known *k;

	HASH_FIND_STR(r->known, key, k);
	if (k)
		return k;
	k = pk_alloc(sizeof(*k));
	k->key = copy(key);
	HASH_ADD_KEYPTR(hh, r->known, k->key, strlen(k->key), k);
	return k;
}

static void known_free(struct pk_records *r, struct known *k)
{
	HASH_DEL(r->known, k);
	free(k->key);
	free(k);
}

/* Has the next look be a whole one, though the directory may be the same. */
static void look_again(struct pk_records *r)
{
	r->seen = (struct timespec){ 0 };
}

static bool stat_record(struct pk_records *r, const struct pk_record_name *name, struct stat *st)
{
	own_str path = { 0 };

	pk_str_addf(&path, "%s/%s@%s@%u", r->args.paths->endpoints, name->container_id,
		    name->ifname, name->slot);
	if (stat(path.text, st) == 0)
		return true;
	if (errno != ENOENT)
		look_again(r);
	return false;
}

static bool unchanged(const struct known *k, uint32_t slot, const struct stat *st)
{
	return !k->bad && k->slot == slot && pk_fs_is_same(&k->seen, st);
}

static bool look_at(struct pk_records *r, const struct pk_record_name *name)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	struct known *k = known_of(r, pk_record_owner(name, owner));
	own_record record = { 0 };
	struct pk_local_endpoint *ep;
	struct pk_err err = { 0 };
	struct stat st;

	k->here = true;
	if (!stat_record(r, name, &st))
		return false; /* closed meanwhile: the next look sees it */
	if (unchanged(k, name->slot, &st))
		return false;
	if (pk_record_read(r->args.paths, name, &record, &err) < 0) {
		if (!k->bad)
			log_warn("op=record endpoint=%s err=\"%s\" ignoring until it can be read",
				 k->key, err.text);
		k->bad = true;
		return false;
	}
	k->bad = false;
	k->slot = name->slot;
	k->seen = st;
	ep = pk_local_endpoint_of_record(&record, r->epoch);
	ep->added = st.st_mtim.tv_sec;
	ep->of_before = !name->slot;
	if (r->looked && r->args.came)
		r->args.came(r->args.arg, &record);
	pk_model_put(r->args.model, ep);
	return true;
}

static bool is_here(void *arg, const char *key)
{
	struct pk_records *r = arg;
	struct known *k;

	HASH_FIND_STR(r->known, key, k);
	return k && k->here;
}

static void forget_gone(struct pk_records *r)
{
	struct known *k, *next;

	HASH_ITER (hh, r->known, k, next)
		if (!k->here)
			known_free(r, k);
}

struct names {
	const struct pk_record_name *list;
	size_t n;
};

static bool has_open_record(void *arg, const char *container_id)
{
	const struct names *names = arg;

	for (size_t i = 0; i < names->n; i++)
		if (!names->list[i].closed &&
		    strcmp(names->list[i].container_id, container_id) == 0)
			return true;
	return false;
}

/* Removes the facts of endpoints that went while no controller ran. */
static void tidy_facts(struct pk_records *r, const struct pk_record_name *list, size_t n)
{
	struct names names = { list, n };

	if (!r->looked)
		pk_model_tidy_facts(r->args.model, has_open_record, &names);
	r->looked = true;
}

bool pk_records_look(struct pk_records *r)
{
	own_mem struct pk_record_name *names = NULL;
	struct pk_err err = { 0 };
	bool any = false;
	size_t n = 0;

	if (pk_records_list(r->args.paths, &names, &n, &err) < 0) {
		log_warn("op=records err=\"%s\" ignoring until the next look", err.text);
		look_again(r);
		return false;
	}
	for (struct known *k = r->known; k; k = k->hh.next)
		k->here = false;
	r->n_heard = 0;
	r->heard_too_much = false;
	for (size_t i = 0; i < n; i++)
		if (!names[i].closed)
			any |= look_at(r, &names[i]);
	any |= pk_model_prune(r->args.model, is_here, r);
	forget_gone(r);
	tidy_facts(r, names, n);
	return any;
}

bool pk_records_look_at(struct pk_records *r, const struct pk_record_name *name)
{
	return pk_record_exists(r->args.paths, name) && look_at(r, name);
}

/* Drops the endpoint of a record that is gone, unless it has another record by now. */
static bool look_away(struct pk_records *r, const struct pk_record_name *name)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	struct known *k;
	bool any;

	HASH_FIND_STR(r->known, pk_record_owner(name, owner), k);
	if (!k || k->slot != name->slot || pk_record_exists(r->args.paths, name))
		return false;
	any = pk_model_remove(r->args.model, k->key);
	known_free(r, k);
	return any;
}

/*
 * Looks at records that came before those that went: an endpoint that moved keeps what Nomad said
 * of it.
 */
static bool look_at_heard(struct pk_records *r)
{
	bool any = false;

	if (r->heard_too_much || !r->looked)
		return pk_records_look(r);
	for (size_t i = 0; i < r->n_heard; i++)
		any |= pk_records_look_at(r, &r->heard[i]);
	for (size_t i = 0; i < r->n_heard; i++)
		any |= look_away(r, &r->heard[i]);
	r->n_heard = 0;
	return any;
}

/* Sets the watch each time, for the directory may be another by now. */
static void watch_directory(const struct pk_records *r)
{
	inotify_add_watch(r->inotify, r->args.paths->endpoints,
			  IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
}

/*
 * Records come, change and go by names, which the directory's time tells. One of just now may be
 * that of a later change, too.
 */
static void note_directory(struct pk_records *r)
{
	struct stat st;

	look_again(r);
	if (stat(r->args.paths->endpoints, &st) < 0 || time(NULL) - st.st_mtim.tv_sec < SURE_S)
		return;
	r->seen = st.st_mtim;
	r->seen_inode = st.st_ino;
}

/* Returns whether a whole look would find what the last one did. */
static bool is_same(const struct pk_records *r)
{
	struct stat st;

	return r->seen.tv_sec && !r->heard_too_much && !pk_records_bad(r) &&
	       stat(r->args.paths->endpoints, &st) == 0 && st.st_ino == r->seen_inode &&
	       memcmp(&st.st_mtim, &r->seen, sizeof(r->seen)) == 0;
}

static void on_timer(void *arg)
{
	struct pk_records *r = arg;

	watch_directory(r);
	pk_timer_set(r->timer, AGAIN_MS);
	if (is_same(r))
		return;
	note_directory(r);
	if (pk_records_look(r))
		r->args.changed(r->args.arg);
}

static void on_heard(void *arg)
{
	struct pk_records *r = arg;

	if (look_at_heard(r))
		r->args.changed(r->args.arg);
}

static void hear(struct pk_records *r, const struct inotify_event *event)
{
	struct pk_record_name name;

	if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED))
		r->heard_too_much = true;
	if (!event->len || pk_record_name_parse(event->name, &name) < 0)
		return;
	if (r->n_heard < HEARD_MAX)
		r->heard[r->n_heard++] = name;
	else
		r->heard_too_much = true;
}

static void on_inotify(void *arg)
{
	_Alignas(struct inotify_event) char buf[8192];
	struct pk_records *r = arg;
	ssize_t n;

	while ((n = read(r->inotify, buf, sizeof(buf))) > 0) {
		const struct inotify_event *event;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const void *)(buf + at);
			hear(r, event);
		}
	}
	pk_timer_hurry(r->heard_timer, SETTLE_MS);
}

struct pk_records *pk_records_new(const struct pk_records_args *args)
{
	struct pk_records *r = pk_alloc(sizeof(*r));

	r->args = *args;
	r->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r->timer = pk_timer_new(args->loop, on_timer, r);
	r->heard_timer = pk_timer_new(args->loop, on_heard, r);
	r->heard = pk_alloc(HEARD_MAX * sizeof(*r->heard));
	pk_timer_set(r->timer, AGAIN_MS);
	pk_fs_mkdirs(args->paths->endpoints, 0700, NULL);
	watch_directory(r);
	if (r->inotify >= 0)
		r->watch = pk_watch_fd(args->loop, r->inotify, on_inotify, r);
	return r;
}

void pk_records_free(struct pk_records *r)
{
	if (!r)
		return;
	pk_watch_free(r->watch);
	pk_timer_free(r->timer);
	pk_timer_free(r->heard_timer);
	free(r->heard);
	if (r->inotify >= 0)
		close(r->inotify);
	while (r->known)
		known_free(r, r->known);
	free(r);
}

unsigned int pk_records_closed(const struct pk_records *r)
{
	return (unsigned int)pk_records_count_closed(r->args.paths);
}

unsigned int pk_records_bad(const struct pk_records *r)
{
	unsigned int n = 0;

	for (const struct known *k = r->known; k; k = k->hh.next)
		n += k->bad;
	return n;
}

const char *pk_records_first_bad(const struct pk_records *r)
{
	for (const struct known *k = r->known; k; k = k->hh.next)
		if (k->bad)
			return k->key;
	return NULL;
}

void pk_records_set_epoch(struct pk_records *r, const uint64_t epoch[2])
{
	if (r->has_epoch && memcmp(r->epoch, epoch, sizeof(r->epoch)) == 0)
		return;
	memcpy(r->epoch, epoch, sizeof(r->epoch));
	r->has_epoch = true;
	look_again(r);
	/* A record that was read is judged again under this epoch. */
	for (struct known *k = r->known; k; k = k->hh.next)
		k->seen = (struct stat){ 0 };
}

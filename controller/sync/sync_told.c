/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells endpoints their resolvers, search list and host name. Resolvers and search list are the
 * job's own by Nomad's word, else what the conflist said at ADD, else the node's, from resolv.conf.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "resolv.h"
#include "str.h"
#include "sync_private.h"
#include "told.h"

#define SERVERS_MAX 16

/* Reads the addresses in a list with blanks between; other words are skipped. */
static size_t parse_servers(const char *words, union pk_addr list[SERVERS_MAX])
{
	own_mem char *copy = pk_strdup(words);
	char *at = copy, *word;
	size_t n = 0;

	while (n < SERVERS_MAX && (word = strsep(&at, " ")))
		if (pk_addr_parse(word, &list[n]) == 0)
			n++;
	return n;
}

static void add_server(void *arg, const union pk_addr *addr)
{
	struct sync_dns *dns = arg;

	if (dns->n_servers < PK_ARRAY_LEN(dns->servers))
		dns->servers[dns->n_servers++] = *addr;
}

static void add_search(void *arg, const char *word, bool first)
{
	struct sync_dns *dns = arg;

	if (first)
		pk_str_done(&dns->search);
	pk_str_addf(&dns->search, "%s%s", dns->search.len ? " " : "", word);
}

/*
 * Reads resolv.conf. One without a resolver is half written, or gone for a moment: what was told
 * stays.
 */
void pk_sync_resolv(struct pk_sync *s)
{
	struct sync_dns now = { .number = s->dns.number + 1 };
	struct pk_resolv_fns fns = { add_server, add_search, &now };
	struct pk_resolv_seen seen;

	pk_resolv_conf_read(s->paths, &fns, &seen);
	if (!now.n_servers) {
		pk_str_done(&now.search);
		return;
	}
	pk_str_done(&s->dns.search);
	s->dns = now;
}

/*
 * Returns what Nomad says of the allocation, also where it contradicts ADD's claims; NULL before it
 * says anything, and in quarantine.
 */
static const struct pk_alloc *facts_of(const struct pk_local_endpoint *m)
{
	bool said = m->confirmed == PK_CONFIRMED || m->confirmed == PK_CONTRADICTED;

	return said && !pk_local_endpoint_quarantined(m) ? m->facts : NULL;
}

/*
 * Returns what to tell the endpoint. What the job leaves out is the node's, as in Nomad's own
 * tasks.
 */
static struct pk_told told_of(const struct pk_sync *s, const struct pk_local_endpoint *m,
			      union pk_addr asked[SERVERS_MAX])
{
	const struct pk_alloc *facts = facts_of(m);
	struct pk_told told = { .servers = m->servers,
				.n_servers = m->n_servers,
				.search = m->search };
	size_t n = facts ? parse_servers(facts->dns_servers, asked) : 0;

	if (m->dns_of_node) {
		told.servers = s->dns.servers;
		told.n_servers = s->dns.n_servers;
	}
	if (m->search_of_node)
		told.search = s->dns.search.text;
	if (n) {
		told.servers = asked;
		told.n_servers = n;
	}
	if (facts && facts->dns_search)
		told.search = facts->dns_search;
	return told;
}

/* Makes the host name: by Nomad's word, else by ADD's claims. */
static void tell_host(const struct pk_local_endpoint *m, char host[PK_TOLD_HOST + 1])
{
	const struct pk_alloc *facts = facts_of(m);

	pk_told_host(facts ? facts->hostname : NULL, facts ? facts->job : m->job, m->container_id,
		     host);
}

static bool is_resolver(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_resolvers; i++)
		if (pk_addr_equal(&s->resolvers[i], addr))
			return true;
	return false;
}

/*
 * Warns of a resolver that the job names and that its endpoint can't reach: it is a protected
 * address, which only the operator can open (docs/policy.md).
 */
static void warn_of_closed(const struct sync_pass *p, const struct pk_local_endpoint *m,
			   const struct pk_told *told)
{
	const struct pk_settings *s = pk_model_get_settings(p->want->model);
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < told->n_servers; i++)
		if (pk_is_protected(&told->servers[i]) && !is_resolver(s, &told->servers[i]))
			log_warn("op=dns endpoint=%s err=\"its job names the resolver %s, a "
				 "protected address that the baseline keeps closed\" fix=\"name it "
				 "in picketd.json's resolvers, or allow it by a document\"",
				 m->key, pk_addr_format(&told->servers[i], text));
}

bool sync_has_told(const struct sync_pass *p, const struct target *t)
{
	const struct told_memo *memo = &p->sync->told[t->ep->slot];

	return memo->known && memo->fed == t->ep->fed && memo->dns == p->sync->dns.number &&
	       memo->opened == p->sync->bpf->endpoints[t->ep->slot].opened;
}

void sync_tell(struct sync_pass *p, const struct target *t)
{
	const struct pk_local_endpoint *m = t->ep;
	union pk_addr asked[SERVERS_MAX];
	struct pk_told told = told_of(p->sync, m, asked);
	char host[PK_TOLD_HOST + 1];
	struct told_memo *memo = &p->sync->told[m->slot];
	struct told_memo now = { .known = true, .fed = m->fed, .dns = p->sync->dns.number };
	struct pk_answers answers;
	struct pk_err err = { 0 };
	int r = 0;

	tell_host(m, host);
	told.host = host;
	pk_told_encode(&told, &answers);
	pk_hash128(&answers, sizeof(answers), now.hash);
	now.opened = p->sync->bpf->endpoints[m->slot].opened;
	if (!memo->known || memo->opened != now.opened ||
	    memcmp(memo->hash, now.hash, sizeof(now.hash)) != 0) {
		r = pk_answers_write(p->sync->bpf, m->slot, &answers, &err);
		if (told.servers == asked)
			warn_of_closed(p, m, &told);
	}
	sync_error(p, r, &err);
	if (r == 0)
		*memo = now;
}

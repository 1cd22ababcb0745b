/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "own.h"
#include "resolv.h"

static void set_resolvers(const struct cni_dns *dns, struct pk_settings *s)
{
	s->resolvers = pk_alloc((dns->n_servers + 1) * sizeof(*s->resolvers));
	for (size_t i = 0; i < dns->n_servers; i++) {
		s->resolvers[s->n_resolvers++] = dns->server[i];
		s->resolver_host |= pk_addr_is_local(&dns->server[i]);
	}
}

static void from_conflist(const struct cni_conf *conf, const struct cni_args *args,
			  struct pk_settings *s)
{
	pk_settings_init(s);
	s->nomad_unasked = true;
	s->baseline = conf->baseline;
	s->masquerade = conf->masquerade;
	s->uplinks = conf->uplinks;
	s->pools = pk_alloc((conf->n_pools + 1) * sizeof(*s->pools));
	memcpy(s->pools, conf->pool, conf->n_pools * sizeof(*s->pools));
	s->n_pools = conf->n_pools;
	set_resolvers(&conf->dns, s);
	if (args->region && strlen(args->region) < sizeof(s->region))
		strcpy(s->region, args->region);
}

int cni_settings(const struct cni_conf *conf, const struct cni_args *args,
		 const struct pk_paths *paths, struct pk_settings *settings, struct pk_err *err)
{
	int r;

	from_conflist(conf, args, settings);
	if (access(paths->node_json, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = pk_settings_read(settings, paths->node_json, err);
	if (r == 0)
		return 0;
	pk_settings_done(settings);
	from_conflist(conf, args, settings);
	return r;
}

static void add_server(void *arg, const union pk_addr *addr)
{
	struct cni_dns *dns = arg;

	if (dns->n_servers < CNI_DNS_MAX)
		dns->server[dns->n_servers++] = *addr;
}

static void add_search(void *arg, const char *word, bool first)
{
	struct cni_dns *dns = arg;
	char *copy;

	while (first && dns->n_search)
		free(dns->search[--dns->n_search]);
	if (dns->n_search == CNI_SEARCH_MAX || !cni_domain_ok(word))
		return;
	copy = strdup(word);
	if (copy)
		dns->search[dns->n_search++] = copy;
}

void cni_resolv_conf_parse(char *text, struct cni_dns *dns)
{
	struct pk_resolv_seen seen = { 0 };

	pk_resolv_conf_parse(text, &(struct pk_resolv_fns){ add_server, add_search, dns }, &seen);
}

static bool judge_given(const struct cni_dns *dns, struct pk_err *note)
{
	for (size_t i = 0; i < dns->n_servers; i++) {
		if (!pk_addr_is_loopback(&dns->server[i]))
			continue;
		pk_resolv_unreachable(&dns->server[i], note);
		return false;
	}
	return true;
}

bool cni_dns_fill(struct cni_conf *conf, const struct pk_paths *paths, struct pk_err *note)
{
	struct cni_dns *dns = &conf->dns;
	const struct pk_resolv_fns fns = { .server = dns->given ? NULL : add_server,
					   .search = dns->given || dns->search_given ? NULL
										     : add_search,
					   .arg = dns };
	struct pk_resolv_seen seen;

	pk_resolv_conf_read(paths, &fns, &seen);
	return dns->given ? judge_given(dns, note) : !pk_resolv_none(&seen, note);
}

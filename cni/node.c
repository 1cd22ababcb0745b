/* SPDX-License-Identifier: GPL-2.0-only */
#include "node.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"

#define RESOLV_CONF_MAX 65536

/* Is addr one of this machine's? A socket can be bound to no other. */
static bool is_local(const union pk_addr *addr)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = pk_addr_to4(addr) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is4 = pk_addr_is4(addr);
	own_fd int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v6.sin6_addr, addr, sizeof(v6.sin6_addr));
	if (fd < 0)
		return false;
	return bind(fd, is4 ? (void *)&v4 : (void *)&v6, is4 ? sizeof(v4) : sizeof(v6)) == 0;
}

static void set_resolvers(const struct cni_dns *dns, struct pk_settings *s)
{
	s->resolvers = pk_alloc((dns->n_servers + 1) * sizeof(*s->resolvers));
	for (size_t i = 0; i < dns->n_servers; i++) {
		s->resolvers[s->n_resolvers++] = dns->server[i];
		s->resolver_host |= is_local(&dns->server[i]);
	}
}

static void from_conflist(const struct cni_conf *conf, const struct cni_args *args,
			  struct pk_settings *s)
{
	pk_settings_init(s);
	s->baseline = conf->baseline;
	s->masquerade = conf->masquerade;
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

static bool is_loopback(const union pk_addr *a)
{
	static const union pk_addr one = { .b = { [15] = 1 } };

	return pk_addr_is4(a) ? a->b[12] == 127 : pk_addr_equal(a, &one);
}

static void add_server(const char *word, struct cni_dns *dns)
{
	union pk_addr a;

	if (dns->n_servers < CNI_DNS_MAX && pk_addr_parse(word, &a) == 0 && !is_loopback(&a))
		dns->server[dns->n_servers++] = a;
}

static void add_search(const char *word, struct cni_dns *dns)
{
	char *copy;

	if (dns->n_search == CNI_SEARCH_MAX || !cni_domain_ok(word))
		return;
	copy = strdup(word);
	if (copy)
		dns->search[dns->n_search++] = copy;
}

static void drop_search(struct cni_dns *dns)
{
	while (dns->n_search)
		free(dns->search[--dns->n_search]);
}

/* resolv.conf(5): the last of several "search" or "domain" lines counts. */
static void take_line(char *line, struct cni_dns *dns)
{
	char *key = strsep(&line, " \t"), *word;
	bool search = !strcmp(key, "search") || !strcmp(key, "domain");

	if (search)
		drop_search(dns);
	while ((word = strsep(&line, " \t"))) {
		if (*word && search)
			add_search(word, dns);
		else if (*word && !strcmp(key, "nameserver"))
			add_server(word, dns);
	}
}

void cni_resolv_conf_parse(char *text, struct cni_dns *dns)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line != '#' && *line != ';')
			take_line(line, dns);
}

void cni_dns_fill(struct cni_conf *conf, const struct pk_paths *paths)
{
	own_mem char *text = NULL;
	char path[PK_PATH_ROOM];

	if (conf->dns.given)
		return;
	snprintf(path, sizeof(path), "%s/etc/resolv.conf", paths->root);
	if (pk_fs_read(path, RESOLV_CONF_MAX, &text, NULL, NULL) == 0)
		cni_resolv_conf_parse(text, &conf->dns);
}

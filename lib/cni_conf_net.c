/* SPDX-License-Identifier: Apache-2.0 */
/* The conflist's pool, gateway, dns and limits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cni_conf.h"
#include "own.h"
#include "picket/limits.h"
#include "str.h"

/* Never an endpoint's: this host, loopback, link-local, multicast and beyond. */
static const char *const never[] = { "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
				     "::/8",	  "fe80::/10",	 "ff00::/8" };

static bool is_special(const struct pk_prefix *pool)
{
	for (size_t i = 0; i < PK_ARRAY_LEN(never); i++) {
		struct pk_prefix p;

		if (pk_prefix_parse(never[i], &p) == 0 &&
		    (pk_prefix_covers(&p, pool) || pk_prefix_covers(pool, &p)))
			return true;
	}
	return false;
}

static int one_pool(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	const char *text = pk_json_string(value);
	char shown[PK_ADDR_TEXT];
	struct pk_prefix p, masked;

	if (!text || !strchr(text, '/') || pk_prefix_parse(text, &p) < 0)
		return pk_fix(
			err,
			pk_json_fail(err, conf->doc, value, false, "expected an address block"),
			"write it as \"10.40.7.0/24\" or \"fd00:40:7::/64\"");
	masked = p;
	pk_prefix_mask(&masked);
	if (!pk_addr_equal(&p.addr, &masked.addr))
		return pk_fix(err,
			      pk_json_fail(err, conf->doc, value, false,
					   "the block has bits beyond its length"),
			      "write \"%s\"", pk_prefix_format(&masked, shown));
	if (p.len > (p.v6 ? 126 : 30))
		return pk_json_fail(err, conf->doc, value, false,
				    "the block is too small: /%d at most", p.v6 ? 126 : 30);
	if (is_special(&p))
		return pk_json_fail(err, conf->doc, value, false,
				    "the block holds addresses that no endpoint may have");
	for (size_t i = 0; i < conf->n_pools; i++)
		if (pk_prefix_covers(&conf->pool[i], &p) || pk_prefix_covers(&p, &conf->pool[i]))
			return pk_json_fail(err, conf->doc, value, false,
					    "the block overlaps an earlier one");
	if (conf->n_pools == CNI_POOLS_MAX)
		return pk_json_fail(err, conf->doc, value, false, "more than %d blocks",
				    CNI_POOLS_MAX);
	conf->pool[conf->n_pools++] = p;
	return 0;
}

int cni_pool_parse(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	int r = 0;

	if (pk_json_type(value) != PK_JSON_ARRAY)
		return one_pool(conf, value, err);
	if (!pk_json_first(value))
		return pk_json_fail(err, conf->doc, value, false, "the pool is empty");
	for (const struct pk_json *v = pk_json_first(value); v && r == 0; v = pk_json_next(v))
		r = one_pool(conf, v, err);
	return r;
}

int cni_gateway_parse(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	const char *text = pk_json_string(value);

	if (!text || pk_addr_parse(text, &conf->gateway) < 0 || !pk_addr_is4(&conf->gateway)) {
		conf->gateway = (union pk_addr){ 0 };
		pk_json_fail(err, conf->doc, value, false, "expected an IPv4 address");
		return pk_fix(err, -EINVAL,
			      "drop it: the pool's first address is the gateway, and "
			      "fe80::1 for IPv6");
	}
	return 0;
}

bool cni_domain_ok(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= 253 && text[0] != '-' && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
		       n;
}

static int add_server(struct cni_conf *conf, const struct pk_json *v, struct pk_err *err)
{
	struct cni_dns *dns = &conf->dns;
	const char *text = pk_json_string(v);

	if (dns->n_servers == CNI_DNS_MAX)
		return pk_json_fail(err, conf->doc, v, false, "more than %d servers", CNI_DNS_MAX);
	if (!text || pk_addr_parse(text, &dns->server[dns->n_servers]) < 0)
		return pk_json_fail(err, conf->doc, v, false, "expected an address");
	dns->n_servers++;
	return 0;
}

static int add_search(struct cni_conf *conf, const struct pk_json *v, struct pk_err *err)
{
	struct cni_dns *dns = &conf->dns;
	const char *text = pk_json_string(v);

	if (dns->n_search == CNI_SEARCH_MAX)
		return pk_json_fail(err, conf->doc, v, false, "more than %d domains",
				    CNI_SEARCH_MAX);
	if (!text || !cni_domain_ok(text))
		return pk_json_fail(err, conf->doc, v, false, "expected a domain name");
	dns->search[dns->n_search] = strdup(text);
	if (!dns->search[dns->n_search])
		return pk_fail(err, ENOMEM, "dns");
	dns->n_search++;
	return 0;
}

static int each(struct cni_conf *conf, const struct pk_json *list, struct pk_err *err,
		int (*add)(struct cni_conf *conf, const struct pk_json *v, struct pk_err *err))
{
	int r = 0;

	if (pk_json_type(list) != PK_JSON_ARRAY)
		return pk_json_fail(err, conf->doc, list, false, "expected an array");
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v))
		r = add(conf, v, err);
	return r;
}

/* "nameservers" is the CNI spec's name for the same list; its "domain" and "options" pass unread.
 */
int cni_dns_parse(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const names[] = { "servers", "search",  "nameservers",
					     "domain",	"options", NULL };
	int r;

	if (pk_json_type(value) != PK_JSON_OBJECT)
		return pk_json_fail(err, conf->doc, value, false, "expected an object");
	r = pk_json_only(conf->doc, value, names, err);
	for (const struct pk_json *m = pk_json_first(value); m && r == 0; m = pk_json_next(m)) {
		const char *key = pk_json_key(m);

		if (!strcmp(key, "servers") || !strcmp(key, "nameservers")) {
			conf->dns.given = true;
			r = each(conf, m, err, add_server);
		} else if (!strcmp(key, "search")) {
			conf->dns.search_given = true;
			r = each(conf, m, err, add_search);
		}
	}
	return r;
}

static int limit(const struct pk_json_doc *doc, const struct pk_json *v, uint32_t *out,
		 struct pk_err *err)
{
	int64_t n;

	if (pk_json_type(v) != PK_JSON_NUMBER || pk_json_int(v, 1, UINT32_MAX, &n) < 0)
		return pk_json_fail(err, doc, v, false, "expected a whole number, 1 to %u",
				    UINT32_MAX);
	*out = (uint32_t)n;
	return 0;
}

/* A number for both directions, or { "in", "out" }, seen from the endpoint. */
static int two_limits(const struct pk_json_doc *doc, const struct pk_json *v, uint32_t out[2],
		      struct pk_err *err)
{
	static const char *const names[] = { "in", "out", NULL };
	int r;

	if (pk_json_type(v) != PK_JSON_OBJECT) {
		r = limit(doc, v, &out[PK_EGRESS], err);
		out[PK_INGRESS] = out[PK_EGRESS];
		return r;
	}
	r = pk_json_only(doc, v, names, err);
	for (const struct pk_json *m = pk_json_first(v); m && r == 0; m = pk_json_next(m))
		r = limit(doc, m, &out[strcmp(pk_json_key(m), "in") ? PK_EGRESS : PK_INGRESS], err);
	return r;
}

int cni_limits_parse(const struct pk_json_doc *doc, const struct pk_json *value,
		     struct cni_limits *limits, struct pk_err *err)
{
	static const char *const names[] = { "bytesPerSecond", "packetsPerSecond",
					     "newFlowsPerSecond", "flows", NULL };
	int r;

	if (pk_json_type(value) != PK_JSON_OBJECT)
		return pk_json_fail(err, doc, value, false, "expected an object");
	r = pk_json_only(doc, value, names, err);
	for (const struct pk_json *m = pk_json_first(value); m && r == 0; m = pk_json_next(m)) {
		const char *key = pk_json_key(m);

		if (!strcmp(key, names[0]))
			r = two_limits(doc, m, limits->bytes_per_s, err);
		else if (!strcmp(key, names[1]))
			r = two_limits(doc, m, limits->packets_per_s, err);
		else if (!strcmp(key, names[2]))
			r = limit(doc, m, &limits->new_flows_per_s, err);
		else
			r = limit(doc, m, &limits->flows, err);
	}
	if (r == 0 && limits->flows > PK_FLOW_BUDGET_MAX)
		return pk_json_fail(err, doc, pk_json_get(value, "flows"), false,
				    "expected at most %d", PK_FLOW_BUDGET_MAX);
	return r;
}

static void lower(uint32_t *limit_, uint32_t job)
{
	if (job && (!*limit_ || job < *limit_))
		*limit_ = job;
}

void cni_limits_lower(struct cni_limits *limits, const struct cni_limits *job)
{
	for (int dir = 0; dir < 2; dir++) {
		lower(&limits->bytes_per_s[dir], job->bytes_per_s[dir]);
		lower(&limits->packets_per_s[dir], job->packets_per_s[dir]);
	}
	lower(&limits->new_flows_per_s, job->new_flows_per_s);
	lower(&limits->flows, job->flows);
}

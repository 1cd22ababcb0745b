/* SPDX-License-Identifier: Apache-2.0 */
/* The conflist's pool, gateway and dns, and the runtime's bandwidth. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cni_conf.h"
#include "own.h"
#include "settings_forms.h"
#include "str.h"

/* No endpoint has any of these: this host, loopback, link-local, multicast and beyond. */
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

static int read_pool(const struct pk_schema *s, const struct pk_json_doc *doc,
		     const struct pk_json *value, void *at, struct pk_err *err)
{
	struct cni_conf *conf = at;
	int r = 0;

	(void)s, (void)doc;
	if (pk_json_type(value) != PK_JSON_ARRAY)
		return one_pool(conf, value, err);
	for (const struct pk_json *v = pk_json_first(value); v && r == 0; v = pk_json_next(v))
		r = one_pool(conf, v, err);
	return r;
}

static const struct pk_format block_format = {
	.expected = "an address block such as \"10.40.7.0/24\" or \"fd00:40:7::/64\"",
	.pattern = "^[0-9a-fA-F.:]+/[0-9]{1,3}$",
};
static const struct pk_schema block = { .form = PK_FORM_STRING, .format = &block_format };
static const struct pk_schema block_list = {
	.form = PK_FORM_LIST, .item = &block, .not_empty = true, .most = CNI_POOLS_MAX
};
static const struct pk_kept kept_pool = { .read = read_pool };
const struct pk_schema cni_form_pool = {
	.form = PK_FORM_EITHER, .item = &block, .other = &block_list, .kept = &kept_pool
};

static int read_gateway(const struct pk_schema *s, const struct pk_json_doc *doc,
			const struct pk_json *value, void *at, struct pk_err *err)
{
	struct cni_conf *conf = at;
	const char *text = pk_json_string(value);

	(void)s, (void)doc;
	if (pk_addr_parse(text, &conf->gateway) < 0 || !pk_addr_is4(&conf->gateway)) {
		conf->gateway = (union pk_addr){ 0 };
		pk_json_fail(err, conf->doc, value, false, "expected an IPv4 address");
		return pk_fix(err, -EINVAL,
			      "drop it: the pool's first address is the gateway, and "
			      "fe80::1 for IPv6");
	}
	return 0;
}

static const struct pk_kept kept_gateway = { .read = read_gateway };
static const struct pk_format gateway_format = { .expected = "an IPv4 address",
						 .pattern = "^[0-9.]+$" };
const struct pk_schema cni_form_gateway = { .form = PK_FORM_STRING,
					    .format = &gateway_format,
					    .kept = &kept_gateway };

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
	if (pk_addr_parse(text, &dns->server[dns->n_servers]) < 0)
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
	dns->search[dns->n_search] = strdup(text);
	if (!dns->search[dns->n_search])
		return pk_fail(err, ENOMEM, "dns");
	dns->n_search++;
	return 0;
}

/*
 * "nameservers" is the CNI spec's name for the same list; its "domain" and "options" pass unread.
 */
static int read_servers(const struct pk_schema *s, const struct pk_json_doc *doc,
			const struct pk_json *list, void *at, struct pk_err *err)
{
	struct cni_conf *conf = at;
	int r = 0;

	(void)s, (void)doc;
	conf->dns.given = true;
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v))
		r = add_server(conf, v, err);
	return r;
}

static int read_search(const struct pk_schema *s, const struct pk_json_doc *doc,
		       const struct pk_json *list, void *at, struct pk_err *err)
{
	struct cni_conf *conf = at;
	int r = 0;

	(void)s, (void)doc;
	conf->dns.search_given = true;
	for (const struct pk_json *v = pk_json_first(list); v && r == 0; v = pk_json_next(v))
		r = add_search(conf, v, err);
	return r;
}
static const struct pk_kept kept_servers = { .read = read_servers };
static const struct pk_kept kept_search = { .read = read_search };
static const struct pk_format server_format = { .expected = "an address",
						.pattern = "^[0-9a-fA-F.:]+$" };
static const struct pk_format domain_format = {
	.expected = "a domain name",
	.pattern = "^[a-zA-Z0-9_][a-zA-Z0-9._-]*$",
	.fits = cni_domain_ok,
};
static const struct pk_schema server = { .form = PK_FORM_STRING, .format = &server_format };
static const struct pk_schema domain = { .form = PK_FORM_STRING, .format = &domain_format };
static const struct pk_schema servers = {
	.form = PK_FORM_LIST, .item = &server, .most = CNI_DNS_MAX, .kept = &kept_servers
};
static const struct pk_schema search = {
	.form = PK_FORM_LIST, .item = &domain, .most = CNI_SEARCH_MAX, .kept = &kept_search
};
static const struct pk_schema_key dns_keys[] = {
	{ "servers", &servers, "an empty list: none", false, 0 },
	{ "nameservers", &servers, "the same under CNI's own name", false, 0 },
	{ "search", &search, NULL, false, 0 },
	{ "domain", &pk_form_any, NULL, false, 0 },
	{ "options", &pk_form_any, NULL, false, 0 },
	{ .name = NULL },
};
const struct pk_schema cni_form_dns = { .form = PK_FORM_OBJECT, .keys = dns_keys };

/*
 * Reads bits as bytes, which a bucket holds; a part of a byte is one, for none would be no limit.
 */
static int get_bits(const struct cni_conf *conf, const struct pk_json *v, uint32_t *bytes,
		    struct pk_err *err)
{
	const int64_t most = 8 * (int64_t)UINT32_MAX;
	int64_t n;

	if (pk_json_type(v) != PK_JSON_NUMBER || pk_json_int(v, 0, most, &n) < 0)
		return pk_json_fail(err, conf->doc, v, false,
				    "expected a whole number of bits, 0 to %lld", (long long)most);
	*bytes = (uint32_t)((n + 7) / 8);
	return 0;
}

static int read_bandwidth(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	static const char *const keys[][2] = { [PK_EGRESS] = { "egressRate", "egressBurst" },
					       [PK_INGRESS] = { "ingressRate", "ingressBurst" } };
	uint32_t *rate = &conf->bandwidth.of[PK_LIMIT_BYTES], *burst = conf->burst;
	size_t known = 0;

	if (pk_json_type(value) != PK_JSON_OBJECT)
		return pk_json_fail(err, conf->doc, value, false, "expected an object");
	for (int dir = 0; dir < 2; dir++)
		for (int i = 0; i < 2; i++) {
			const struct pk_json *v = pk_json_get_nocase(value, keys[dir][i]);
			int r;

			if (!v)
				continue;
			r = get_bits(conf, v, i ? &burst[dir] : &rate[dir], err);
			if (r < 0)
				return r;
			known++;
		}
	if (known != pk_json_count(value))
		return pk_json_fail(err, conf->doc, value, false,
				    "more than ingressRate, ingressBurst, egressRate, egressBurst");
	for (int dir = 0; dir < 2; dir++)
		if (!rate[dir] != !burst[dir])
			return pk_json_fail(err, conf->doc, value, false, "%s is set without %s",
					    keys[dir][!rate[dir]], keys[dir][!!rate[dir]]);
	return 0;
}

int cni_bandwidth_parse(struct cni_conf *conf, const struct pk_json *value, struct pk_err *err)
{
	int r = 0;

	if (pk_json_type(value) != PK_JSON_NULL)
		r = read_bandwidth(conf, value, err);
	return r < 0 ? pk_fix(err, r,
			      "have the runtime give a rate (bits a second) and a burst (bits) of "
			      "each direction, or neither; without \"bandwidth\" in "
			      "\"capabilities\" it gives none")
		     : 0;
}

int cni_attach_check(const struct cni_conf *conf, const struct pk_json *plugin, struct pk_err *err)
{
	if (!conf->host_tap || !conf->process)
		return 0;
	pk_json_fail(err, conf->doc, pk_json_get(plugin, "attach"), false,
		     "\"mode\": \"process\" makes no tap that could be a host tap");
	return pk_fix(err, -EINVAL, "drop \"attach\", or say \"mode\": \"vm\"");
}

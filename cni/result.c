/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"
#include "addr.h"
#include "addr_json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GATEWAY6 "fe80::1"

/* Indexes of our interfaces, which stand behind those of prevResult. */
enum own_interface { HOST, ETH, TAP, GUEST };

static void add_interface(struct pk_jw *w, enum cni_version version, const char *name,
			  const uint8_t *mac, const char *sandbox, uint32_t mtu)
{
	char text[PK_MAC_TEXT];

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", name);
	if (mac)
		pk_jw_string(w, "mac", pk_mac_format(mac, text));
	if (version >= CNI_1_1_0)
		pk_jw_uint(w, "mtu", mtu);
	if (sandbox)
		pk_jw_string(w, "sandbox", sandbox);
	pk_jw_close(w, '}');
}

static bool has_tap_inside(const struct cni_attachment *a)
{
	return a->tap_name && !a->host_tap;
}

static void add_interfaces(struct pk_jw *w, const struct cni_attachment *a,
			   enum cni_version version, const struct pk_json *prev)
{
	pk_jw_open(w, "interfaces", '[');
	for (const struct pk_json *v = pk_json_first(prev); v; v = pk_json_next(v))
		pk_jw_value(w, NULL, v);
	add_interface(w, version, a->host_name, a->host_mac, NULL, a->mtu);
	add_interface(w, version, a->ifname, a->mac, a->host_tap ? a->container_id : a->netns,
		      a->mtu);
	if (has_tap_inside(a)) {
		add_interface(w, version, a->tap_name, NULL, a->netns, a->mtu);
		add_interface(w, version, a->tap_name, a->mac, a->container_id, a->mtu);
	}
	pk_jw_close(w, ']');
}

static void add_ip(struct pk_jw *w, const struct cni_attachment *a, enum cni_version version,
		   bool v6, size_t interface)
{
	struct pk_prefix p = { .addr = v6 ? a->ipv6 : a->ipv4,
			       .len = v6 ? 128 : a->prefix4,
			       .v6 = v6 };
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, NULL, '{');
	if (version <= CNI_0_4_0)
		pk_jw_string(w, "version", v6 ? "6" : "4");
	pk_jw_uint(w, "interface", interface);
	pk_jw_string(w, "address", pk_prefix_format(&p, text));
	pk_jw_string(w, "gateway", v6 ? GATEWAY6 : pk_addr_format(&a->gateway4, text));
	pk_jw_close(w, '}');
}

static void add_ips(struct pk_jw *w, const struct cni_attachment *a, enum cni_version version,
		    const struct pk_json *prev, size_t before)
{
	pk_jw_open(w, "ips", '[');
	for (const struct pk_json *v = pk_json_first(prev); v; v = pk_json_next(v))
		pk_jw_value(w, NULL, v);
	if (!pk_addr_is_zero(&a->ipv4)) {
		add_ip(w, a, version, false, before + ETH);
		if (has_tap_inside(a))
			add_ip(w, a, version, false, before + GUEST);
	}
	if (!pk_addr_is_zero(&a->ipv6))
		add_ip(w, a, version, true, before + ETH);
	pk_jw_close(w, ']');
}

static void add_route(struct pk_jw *w, const char *dst, const char *gateway)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "dst", dst);
	pk_jw_string(w, "gw", gateway);
	pk_jw_close(w, '}');
}

static void add_routes(struct pk_jw *w, const struct cni_attachment *a, const struct pk_json *prev)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, "routes", '[');
	for (const struct pk_json *v = pk_json_first(prev); v; v = pk_json_next(v))
		pk_jw_value(w, NULL, v);
	if (!pk_addr_is_zero(&a->ipv4))
		add_route(w, "0.0.0.0/0", pk_addr_format(&a->gateway4, text));
	if (!pk_addr_is_zero(&a->ipv6))
		add_route(w, "::/0", GATEWAY6);
	pk_jw_close(w, ']');
}

static void add_dns_lists(struct pk_jw *w, const struct cni_dns *dns, const char *servers)
{
	pk_addrs_write(w, servers, dns->server, dns->n_servers);
	pk_jw_open(w, "search", '[');
	for (size_t i = 0; i < dns->n_search; i++)
		pk_jw_string(w, NULL, dns->search[i]);
	pk_jw_close(w, ']');
}

/* Writes our "dns" where we have servers, else that of prevResult. */
static void add_dns(struct pk_jw *w, const struct cni_attachment *a, const struct pk_json *prev)
{
	if (!a->dns->n_servers && prev) {
		pk_jw_value(w, "dns", prev);
		return;
	}
	pk_jw_open(w, "dns", '{');
	if (a->dns->n_servers)
		add_dns_lists(w, a->dns, "nameservers");
	pk_jw_close(w, '}');
}

static int bad_prev(struct pk_err *err, const char *what)
{
	pk_fail(err, 0, "prevResult: %s", what);
	pk_fix(err, 0, "look at the plugins before picket in the conflist");
	return pk_code(err, -EINVAL, PK_CODE_CONFIG);
}

/* Refuses an index past the interfaces: passed on, it would crash a Nomad client's agent. */
static int check_prev(const struct cni_attachment *a, const struct pk_json *prev,
		      struct pk_err *err)
{
	const struct pk_json *interfaces = pk_json_get(prev, "interfaces");
	int64_t n = (int64_t)pk_json_count(interfaces), at;

	if (interfaces && pk_json_type(interfaces) != PK_JSON_ARRAY)
		return bad_prev(err, "\"interfaces\" is no array");
	for (const struct pk_json *v = pk_json_first(interfaces); v; v = pk_json_next(v)) {
		const char *name = pk_json_string(pk_json_get(v, "name"));

		if (!name)
			return bad_prev(err, "an interface without a name");
		if (!strcmp(name, a->ifname) || (a->tap_name && !strcmp(name, a->tap_name)))
			return bad_prev(err, "an earlier plugin made an interface of this name");
	}
	for (const struct pk_json *v = pk_json_first(pk_json_get(prev, "ips")); v;
	     v = pk_json_next(v)) {
		const struct pk_json *i = pk_json_get(v, "interface");

		if (i && pk_json_int(i, 0, n - 1, &at) < 0)
			return bad_prev(err, "an address of an interface that isn't there");
	}
	return 0;
}

int cni_result(const struct cni_attachment *a, enum cni_version version, const struct pk_json *prev,
	       struct pk_str *out, struct pk_err *err)
{
	struct pk_jw w = { .out = out };
	const struct pk_json *interfaces = pk_json_get(prev, "interfaces");
	int r = prev ? check_prev(a, prev, err) : 0;

	if (r < 0)
		return r;
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "cniVersion", cni_version_name(version));
	add_interfaces(&w, a, version, interfaces);
	add_ips(&w, a, version, pk_json_get(prev, "ips"), pk_json_count(interfaces));
	add_routes(&w, a, pk_json_get(prev, "routes"));
	add_dns(&w, a, pk_json_get(prev, "dns"));
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
	return out->failed ? pk_fail(err, ENOMEM, "result") : 0;
}

static void netmask(uint8_t prefix, char text[PK_ADDR_TEXT])
{
	union pk_addr mask = pk_addr_from4(htonl(prefix ? 0xffffffffu << (32 - prefix) : 0));

	pk_addr_format(&mask, text);
}

/* Writes the n-th IPv4 server's text, "" if there is none. */
static const char *server4(const struct cni_dns *dns, size_t n, char text[PK_ADDR_TEXT])
{
	text[0] = '\0';
	for (size_t i = 0; i < dns->n_servers; i++)
		if (pk_addr_is4(&dns->server[i]) && n-- == 0)
			return pk_addr_format(&dns->server[i], text);
	return text;
}

void cni_kernel_ip(const struct cni_attachment *a, char *text, size_t room)
{
	char ip[PK_ADDR_TEXT], gateway[PK_ADDR_TEXT], mask[PK_ADDR_TEXT];
	char dns0[PK_ADDR_TEXT], dns1[PK_ADDR_TEXT];

	text[0] = '\0';
	if (pk_addr_is_zero(&a->ipv4))
		return;
	netmask(a->prefix4, mask);
	snprintf(text, room, "ip=%s::%s:%s::eth0:off:%s:%s:", pk_addr_format(&a->ipv4, ip),
		 pk_addr_format(&a->gateway4, gateway), mask, server4(a->dns, 0, dns0),
		 server4(a->dns, 1, dns1));
}

static void add_family(struct pk_jw *w, const struct cni_attachment *a, bool v6)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, v6 ? "ipv6" : "ipv4", '{');
	pk_jw_string(w, "address", pk_addr_format(v6 ? &a->ipv6 : &a->ipv4, text));
	pk_jw_uint(w, "prefixLength", v6 ? 128 : a->prefix4);
	if (!v6) {
		netmask(a->prefix4, text);
		pk_jw_string(w, "netmask", text);
	}
	pk_jw_string(w, "gateway", v6 ? GATEWAY6 : pk_addr_format(&a->gateway4, text));
	pk_jw_close(w, '}');
}

void cni_driver_file(const struct cni_attachment *a, struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 2 };
	char mac[PK_MAC_TEXT], ip[512];

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "containerId", a->container_id);
	pk_jw_string(&w, "ifname", a->ifname);
	pk_jw_string(&w, "netns", a->netns);
	pk_jw_string(&w, "tap", a->tap_name);
	if (a->tap_name)
		pk_jw_string(&w, "attach", a->host_tap ? "host-tap" : "netns-tap");
	pk_jw_uint(&w, "queues", a->queues);
	pk_jw_string(&w, "mac", pk_mac_format(a->mac, mac));
	pk_jw_uint(&w, "mtu", a->mtu);
	if (!pk_addr_is_zero(&a->ipv4))
		add_family(&w, a, false);
	if (!pk_addr_is_zero(&a->ipv6))
		add_family(&w, a, true);
	pk_jw_string(&w, "gatewayMac", pk_mac_format(pk_gateway_mac, mac));
	pk_jw_open(&w, "dns", '{');
	add_dns_lists(&w, a->dns, "servers");
	pk_jw_close(&w, '}');
	cni_kernel_ip(a, ip, sizeof(ip));
	pk_jw_string(&w, "kernelIp", ip);
	pk_jw_close(&w, '}');
	pk_str_add(out, "\n");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "suggest.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "string_forms.h"
#include "icmp.h"
#include "own.h"
#include "world.h"

#define NAME_ROOM 100 /* of a namespace in a document's name, which has 128 bytes */

enum kind { NOTHING, ENDPOINT, ENTITY, ADDRESS };

struct side {
	enum kind kind;
	char *tenant_name, *job; /* ENDPOINT */
	char *name;		 /* ENTITY, ADDRESS */
};

/* One hole in one direction of one job. */
struct hole {
	struct side subject, peer;
	bool ingress, by_operator;
	uint8_t proto;
	int port; /* -1: the protocol has none */
	int icmp; /* type, -1 */
};

struct document {
	size_t first, end; /* of the holes */
};

struct pk_suggest {
	char *tenant_name;
	struct hole *holes;
	size_t n, room, skipped;
	struct document *docs;
	size_t n_docs;
};

struct pk_suggest *pk_suggest_new(const char *tenant_name)
{
	struct pk_suggest *s = pk_alloc(sizeof(*s));

	s->tenant_name = pk_strdup(tenant_name);
	return s;
}

static void side_done(struct side *s)
{
	free(s->tenant_name);
	free(s->job);
	free(s->name);
}

static void hole_done(struct hole *h)
{
	side_done(&h->subject);
	side_done(&h->peer);
}

void pk_suggest_free(struct pk_suggest *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		hole_done(&s->holes[i]);
	free(s->holes);
	free(s->docs);
	free(s->tenant_name);
	free(s);
}

static const char *member(const struct pk_json *object, const char *key)
{
	const struct pk_json *v = object ? pk_json_get(object, key) : NULL;

	return v ? pk_json_string(v) : NULL;
}

static int number(const struct pk_json *object, const char *key)
{
	const struct pk_json *v = object ? pk_json_get(object, key) : NULL;
	int64_t n;

	return v && pk_json_int(v, 0, 65535, &n) == 0 ? (int)n : -1;
}

/* The label, which is what policy sees: a dispatched child has its parent's job. */
static const char *job_of(const struct pk_json *side)
{
	const struct pk_json *labels = side ? pk_json_get(side, "labels") : NULL;

	for (const struct pk_json *l = labels ? pk_json_first(labels) : NULL; l;
	     l = pk_json_next(l)) {
		const char *text = pk_json_string(l);

		if (text && strncmp(text, "nomad:job=", 10) == 0)
			return text + 10;
	}
	return member(side, "job");
}

static struct side read_side(const struct pk_json *v)
{
	const char *tenant_name = member(v, "namespace"), *job = job_of(v);
	const char *name = member(v, "name"), *ip = member(v, "ip");
	struct side s = { 0 };
	union pk_addr addr;

	if (tenant_name && job && pk_format_ok(&pk_format_namespace, tenant_name)) {
		s = (struct side){ ENDPOINT, pk_strdup(tenant_name), pk_strdup(job), NULL };
	} else if (tenant_name || !name) {
		return s;
	} else if (strcmp(name, "host") == 0 || strcmp(name, "remote-node") == 0) {
		s = (struct side){ ENTITY, .name = pk_strdup(name) };
	} else if (strcmp(name, "world") == 0 && ip && pk_addr_parse(ip, &addr) == 0) {
		s = (struct side){ ADDRESS, .name = pk_strdup(ip) };
	}
	return s;
}

static bool is_protected(const char *text)
{
	union pk_addr addr;

	if (pk_addr_parse(text, &addr) < 0)
		return true;
	for (size_t i = 0; i < pk_n_protected; i++)
		if (pk_prefix_has(&pk_protected[i], &addr))
			return true;
	return false;
}

static int cmp_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int side_cmp(const struct side *a, const struct side *b)
{
	int c = (int)a->kind - (int)b->kind;

	c = c ? c : cmp_text(a->tenant_name, b->tenant_name);
	c = c ? c : cmp_text(a->job, b->job);
	return c ? c : cmp_text(a->name, b->name);
}

static int port_cmp(const struct hole *a, const struct hole *b)
{
	int c = a->proto - b->proto;

	c = c ? c : a->port - b->port;
	return c ? c : a->icmp - b->icmp;
}

static bool is_icmp(const struct hole *h)
{
	return h->icmp >= 0;
}

/* The order puts holes of one document, rule, direction and peer together, ports and ICMP apart. */
static int hole_cmp(const void *x, const void *y)
{
	const struct hole *a = x, *b = y;
	int c = strcmp(a->subject.tenant_name, b->subject.tenant_name);

	c = c ? c : a->by_operator - b->by_operator;
	c = c ? c : strcmp(a->subject.job, b->subject.job);
	c = c ? c : b->ingress - a->ingress;
	c = c ? c : side_cmp(&a->peer, &b->peer);
	c = c ? c : is_icmp(a) - is_icmp(b);
	return c ? c : port_cmp(a, b);
}

static void forget_doubles(struct pk_suggest *s)
{
	size_t kept = 0;

	if (s->n)
		qsort(s->holes, s->n, sizeof(*s->holes), hole_cmp);
	for (size_t i = 0; i < s->n; i++)
		if (kept && hole_cmp(&s->holes[kept - 1], &s->holes[i]) == 0)
			hole_done(&s->holes[i]);
		else
			s->holes[kept++] = s->holes[i];
	s->n = kept;
}

static void make_room(struct pk_suggest *s)
{
	forget_doubles(s);
	if (2 * s->n < s->room)
		return;
	s->room = s->room ? 2 * s->room : 64;
	s->holes = reallocarray(s->holes, s->room, sizeof(*s->holes));
	if (!s->holes)
		abort();
}

/* The port as a rule writes it. -EINVAL: no rule can say it. Port 0 would mean every port there. */
static int read_port(const struct pk_json *flow, struct hole *h)
{
	const char *protocol = member(flow, "protocol");

	h->port = h->icmp = -1;
	if (!protocol || pk_protocol_parse(protocol, &h->proto) < 0 || h->proto == PK_PROTO_ANY)
		return -EINVAL;
	if (h->proto == IPPROTO_ICMP || h->proto == IPPROTO_ICMPV6) {
		h->icmp = number(flow, "icmpType");
		return h->icmp < 0 || h->icmp > UINT8_MAX ? -EINVAL : 0;
	}
	if (!pk_protocol_has_ports(h->proto))
		return 0;
	h->port = number(pk_json_get(flow, "destination"), "port");
	return h->port <= 0 ? -EINVAL : 0;
}

static void add_hole(struct pk_suggest *s, const struct pk_json *flow, bool ingress)
{
	const struct pk_json *from = pk_json_get(flow, "source");
	const struct pk_json *to = pk_json_get(flow, "destination");
	struct hole h = { .subject = read_side(ingress ? to : from),
			  .peer = read_side(ingress ? from : to),
			  .ingress = ingress };

	if (h.subject.kind != ENDPOINT ||
	    (s->tenant_name && strcmp(s->tenant_name, h.subject.tenant_name) != 0)) {
		hole_done(&h);
		return;
	}
	if (h.peer.kind == NOTHING || read_port(flow, &h) < 0) {
		s->skipped++;
		hole_done(&h);
		return;
	}
	h.by_operator = !ingress && (h.peer.kind == ENTITY ||
				     (h.peer.kind == ADDRESS && is_protected(h.peer.name)));
	if (s->n == s->room)
		make_room(s);
	s->holes[s->n++] = h;
}

/*
 * Returns whether policy let the flow pass: its begin, or its end, if that wasn't policy's doing.
 */
static bool was_allowed(const char *verdict, const char *reason)
{
	return strcmp(verdict, "allowed") == 0 ||
	       (strcmp(verdict, "closed") == 0 && strcmp(reason, "ok") == 0);
}

void pk_suggest_add(struct pk_suggest *s, const struct pk_json *flow, bool denied)
{
	const char *verdict = member(flow, "verdict") ?: "", *reason = member(flow, "reason") ?: "";
	bool by_policy = strcmp(reason, "policy-denied") == 0;

	/* No policy opens what was dropped for another reason (spoofed, malformed, not built). */
	if (!was_allowed(verdict, reason) &&
	    !(denied && by_policy && strcmp(verdict, "denied") == 0))
		return;
	add_hole(s, flow, false);
	add_hole(s, flow, true);
}

size_t pk_suggest_skipped(const struct pk_suggest *s)
{
	return s->skipped;
}

static bool same_document(const struct hole *a, const struct hole *b)
{
	return a->by_operator == b->by_operator &&
	       strcmp(a->subject.tenant_name, b->subject.tenant_name) == 0;
}

size_t pk_suggest_finish(struct pk_suggest *s)
{
	forget_doubles(s);
	free(s->docs);
	s->docs = pk_alloc((s->n + 1) * sizeof(*s->docs));
	s->n_docs = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (i == 0 || !same_document(&s->holes[i], &s->holes[i - 1]))
			s->docs[s->n_docs++].first = i;
		s->docs[s->n_docs - 1].end = i + 1;
	}
	return s->n_docs;
}

/* Counts the holes, from the first one on, that go to one peer. */
static size_t run_of(const struct hole *h, size_t n)
{
	size_t i = 1;

	while (i < n && h[i].ingress == h[0].ingress && is_icmp(&h[i]) == is_icmp(&h[0]) &&
	       side_cmp(&h[i].peer, &h[0].peer) == 0)
		i++;
	return i;
}

static bool same_ports(const struct hole *a, size_t n, const struct hole *b, size_t m)
{
	if (n != m || is_icmp(a) != is_icmp(b) || a->peer.kind != b->peer.kind)
		return false;
	for (size_t i = 0; i < n; i++)
		if (port_cmp(&a[i], &b[i]) != 0)
			return false;
	return true;
}

static void write_peer(const struct hole *h, struct pk_jw *w)
{
	if (h->peer.kind != ENDPOINT) {
		pk_jw_string(w, NULL, h->peer.name);
		return;
	}
	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, "matchLabels", '{');
	/* An operator's selector means every namespace, a tenant's its own. */
	if (h->by_operator || strcmp(h->peer.tenant_name, h->subject.tenant_name) != 0)
		pk_jw_string(w, "nomad:namespace", h->peer.tenant_name);
	pk_jw_string(w, "nomad:job", h->peer.job);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

static void write_port(const struct hole *h, struct pk_jw *w)
{
	const char *name = pk_protocol_name(h->proto);
	char text[16];

	pk_jw_open(w, NULL, '{');
	if (is_icmp(h)) {
		pk_jw_string(w, "family", h->proto == IPPROTO_ICMP ? "IPv4" : "IPv6");
		pk_jw_int(w, "type", h->icmp);
		pk_jw_close(w, '}');
		return;
	}
	if (h->port >= 0) {
		snprintf(text, sizeof(text), "%d", h->port);
		pk_jw_string(w, "port", text);
	}
	snprintf(text, sizeof(text), "%u", h->proto);
	pk_jw_string(w, "protocol", name ? name : text);
	pk_jw_close(w, '}');
}

static void write_ports(const struct hole *h, size_t n, struct pk_jw *w)
{
	bool icmp = is_icmp(h);

	pk_jw_open(w, icmp ? "icmps" : "toPorts", '[');
	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, icmp ? "fields" : "ports", '[');
	for (size_t i = 0; i < n; i++)
		write_port(&h[i], w);
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
}

/* The run at h and those behind it with the same ports; done marks what is written. */
static void write_entry(const struct hole *h, size_t n, bool *done, struct pk_jw *w)
{
	static const char *const key[] = {
		[ENDPOINT] = "Endpoints", [ENTITY] = "Entities", [ADDRESS] = "CIDR"
	};
	size_t own = run_of(h, n), run;
	char name[32];

	snprintf(name, sizeof(name), "%s%s", h->ingress ? "from" : "to", key[h->peer.kind]);
	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, name, '[');
	for (size_t i = 0; i < n; i += run) {
		run = run_of(h + i, n - i);
		if (done[i] || !same_ports(h, own, h + i, run))
			continue;
		write_peer(h + i, w);
		done[i] = true;
	}
	pk_jw_close(w, ']');
	write_ports(h, own, w);
	pk_jw_close(w, '}');
}

/* All holes of one direction of a job. */
static void write_direction(const struct hole *h, size_t n, struct pk_jw *w)
{
	own_mem bool *done = pk_alloc(n * sizeof(*done));

	pk_jw_open(w, h->ingress ? "ingress" : "egress", '[');
	for (size_t i = 0; i < n; i += run_of(h + i, n - i))
		if (!done[i])
			write_entry(h + i, n - i, done + i, w);
	pk_jw_close(w, ']');
}

static void write_rule(const struct hole *h, size_t n, struct pk_jw *w)
{
	size_t ingress = 0;

	while (ingress < n && h[ingress].ingress)
		ingress++;
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "description", "from the flows seen");
	pk_jw_open(w, "endpointSelector", '{');
	pk_jw_open(w, "matchLabels", '{');
	if (h->by_operator)
		pk_jw_string(w, "nomad:namespace", h->subject.tenant_name);
	pk_jw_string(w, "nomad:job", h->subject.job);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
	if (ingress)
		write_direction(h, ingress, w);
	if (ingress < n)
		write_direction(h + ingress, n - ingress, w);
	pk_jw_close(w, '}');
}

void pk_suggest_name(const struct pk_suggest *s, size_t i, struct pk_str *out)
{
	const struct hole *h = &s->holes[s->docs[i].first];

	pk_str_addf(out, "%s%.*s", h->by_operator ? "suggested-operator-" : "suggested-", NAME_ROOM,
		    h->subject.tenant_name);
}

void pk_suggest_write(const struct pk_suggest *s, size_t i, struct pk_jw *w)
{
	const struct document *d = &s->docs[i];
	const struct hole *h = &s->holes[d->first];
	own_str name = { 0 };

	pk_suggest_name(s, i, &name);
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", name.text);
	if (!h->by_operator)
		pk_jw_string(w, "namespace", h->subject.tenant_name);
	pk_jw_open(w, "rules", '[');
	for (size_t at = d->first, end; at < d->end; at = end) {
		for (end = at + 1; end < d->end; end++)
			if (strcmp(s->holes[at].subject.job, s->holes[end].subject.job) != 0)
				break;
		write_rule(&s->holes[at], end - at, w);
	}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
}

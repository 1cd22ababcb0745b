/* SPDX-License-Identifier: GPL-2.0-only */
#include "suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

struct side {
	char *namespace, *job; /* NULL: no endpoint */
	char *name;	       /* host, remote-node, or the address of the world */
};

/* One hole in one direction of one job. */
struct hole {
	struct side subject, peer;
	bool ingress;
	char *protocol;
	int port; /* 0: none (ICMP) */
	int icmp; /* type, -1 */
};

struct pk_suggest {
	char *namespace;
	struct hole *holes;
	size_t n;
};

struct pk_suggest *pk_suggest_new(const char *namespace)
{
	struct pk_suggest *s = pk_alloc(sizeof(*s));

	if (namespace && !(s->namespace = strdup(namespace)))
		abort();
	return s;
}

static void side_done(struct side *s)
{
	free(s->namespace);
	free(s->job);
	free(s->name);
}

static void hole_done(struct hole *h)
{
	side_done(&h->subject);
	side_done(&h->peer);
	free(h->protocol);
}

void pk_suggest_free(struct pk_suggest *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		hole_done(&s->holes[i]);
	free(s->holes);
	free(s->namespace);
	free(s);
}

static char *member(const struct pk_json *object, const char *key)
{
	const struct pk_json *v = object ? pk_json_get(object, key) : NULL;
	char *copy;

	if (!v || !pk_json_string(v))
		return NULL;
	copy = strdup(pk_json_string(v));
	if (!copy)
		abort();
	return copy;
}

static int number(const struct pk_json *object, const char *key, int otherwise)
{
	const struct pk_json *v = pk_json_get(object, key);
	int64_t n;

	return v && pk_json_int(v, 0, 65535, &n) == 0 ? (int)n : otherwise;
}

static struct side read_side(const struct pk_json *v)
{
	struct side s = { .namespace = member(v, "namespace"),
			  .job = member(v, "job"),
			  .name = member(v, "name") };

	if (!s.namespace && s.name && strcmp(s.name, "world") == 0) {
		free(s.name);
		s.name = member(v, "ip");
	}
	return s;
}

static int cmp_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int side_cmp(const struct side *a, const struct side *b)
{
	int c = cmp_text(a->namespace, b->namespace);

	c = c ? c : cmp_text(a->job, b->job);
	return c || a->namespace ? c : cmp_text(a->name, b->name);
}

/* Subject first, so that holes of one rule stand together. */
static int hole_cmp(const void *x, const void *y)
{
	const struct hole *a = x, *b = y;
	int c = side_cmp(&a->subject, &b->subject);

	c = c ? c : a->ingress - b->ingress;
	c = c ? c : side_cmp(&a->peer, &b->peer);
	c = c ? c : cmp_text(a->protocol, b->protocol);
	c = c ? c : a->port - b->port;
	return c ? c : a->icmp - b->icmp;
}

static void add_hole(struct pk_suggest *s, const struct pk_json *flow, bool ingress)
{
	const struct pk_json *from = pk_json_get(flow, "source");
	const struct pk_json *to = pk_json_get(flow, "destination");
	struct hole h = { .subject = read_side(ingress ? to : from),
			  .peer = read_side(ingress ? from : to),
			  .ingress = ingress,
			  .protocol = member(flow, "protocol"),
			  .port = to ? number(to, "port", 0) : 0,
			  .icmp = number(flow, "icmpType", -1) };
	bool wanted = h.subject.namespace && h.subject.job && h.protocol &&
		      (h.peer.namespace ? h.peer.job != NULL : h.peer.name != NULL) &&
		      (!s->namespace || strcmp(s->namespace, h.subject.namespace) == 0);

	for (size_t i = 0; i < s->n && wanted; i++)
		wanted = hole_cmp(&s->holes[i], &h) != 0;
	if (!wanted) {
		hole_done(&h);
		return;
	}
	s->holes = realloc(s->holes, (s->n + 1) * sizeof(*s->holes));
	if (!s->holes)
		abort();
	s->holes[s->n++] = h;
}

void pk_suggest_add(struct pk_suggest *s, const struct pk_json *flow, bool denied)
{
	const struct pk_json *verdict = pk_json_get(flow, "verdict");
	const char *text = verdict ? pk_json_string(verdict) : NULL;

	if (!text || (strcmp(text, "allowed") != 0 && !(denied && strcmp(text, "denied") == 0)))
		return;
	add_hole(s, flow, false);
	add_hole(s, flow, true);
}

static void write_peer(const struct hole *h, struct pk_jw *w)
{
	const char *key = h->ingress ? "from" : "to";
	char name[32];

	if (h->peer.namespace) {
		snprintf(name, sizeof(name), "%sEndpoints", key);
		pk_jw_open(w, name, '[');
		pk_jw_open(w, NULL, '{');
		pk_jw_open(w, "matchLabels", '{');
		if (strcmp(h->peer.namespace, h->subject.namespace) != 0)
			pk_jw_string(w, "nomad:namespace", h->peer.namespace);
		pk_jw_string(w, "nomad:job", h->peer.job);
		pk_jw_close(w, '}');
		pk_jw_close(w, '}');
	} else if (strcmp(h->peer.name, "host") == 0 || strcmp(h->peer.name, "remote-node") == 0) {
		snprintf(name, sizeof(name), "%sEntities", key);
		pk_jw_open(w, name, '[');
		pk_jw_string(w, NULL, h->peer.name);
	} else {
		snprintf(name, sizeof(name), "%sCIDR", key);
		pk_jw_open(w, name, '[');
		pk_jw_string(w, NULL, h->peer.name);
	}
	pk_jw_close(w, ']');
}

static void write_ports(const struct hole *h, size_t n, struct pk_jw *w)
{
	bool icmp = h->icmp >= 0;

	pk_jw_open(w, icmp ? "icmps" : "toPorts", '[');
	pk_jw_open(w, NULL, '{');
	pk_jw_open(w, icmp ? "fields" : "ports", '[');
	for (size_t i = 0; i < n; i++) {
		char port[8], upper[16] = "";

		for (size_t j = 0; h[i].protocol[j] && j < sizeof(upper) - 1; j++)
			upper[j] = (char)(h[i].protocol[j] >= 'a' && h[i].protocol[j] <= 'z'
						  ? h[i].protocol[j] - 32
						  : h[i].protocol[j]);
		pk_jw_open(w, NULL, '{');
		if (icmp) {
			pk_jw_string(w, "family", strchr(h[i].protocol, '6') ? "IPv6" : "IPv4");
			pk_jw_int(w, "type", h[i].icmp);
		} else {
			snprintf(port, sizeof(port), "%d", h[i].port);
			pk_jw_string(w, "port", port);
			pk_jw_string(w, "protocol", upper);
		}
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
}

/* Holes to one peer of one direction, ports and ICMP apart. */
static size_t same_entry(const struct hole *h, size_t n)
{
	size_t i = 1;

	while (i < n && h[i].ingress == h[0].ingress && side_cmp(&h[i].peer, &h[0].peer) == 0 &&
	       (h[i].icmp >= 0) == (h[0].icmp >= 0))
		i++;
	return i;
}

static void write_document(const struct hole *h, size_t n, struct pk_jw *w)
{
	char name[300];
	size_t end;

	snprintf(name, sizeof(name), "%.120s-%.120s", h->subject.namespace, h->subject.job);
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "name", name);
	pk_jw_string(w, "namespace", h->subject.namespace);
	pk_jw_open(w, "rules", '[');
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "description", "from the flows seen");
	pk_jw_open(w, "endpointSelector", '{');
	pk_jw_open(w, "matchLabels", '{');
	pk_jw_string(w, "nomad:job", h->subject.job);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
	for (size_t i = 0; i < n; i = end) {
		end = i + same_entry(h + i, n - i);
		if (i == 0 || h[i].ingress != h[i - 1].ingress)
			pk_jw_open(w, h[i].ingress ? "ingress" : "egress", '[');
		pk_jw_open(w, NULL, '{');
		write_peer(&h[i], w);
		write_ports(&h[i], end - i, w);
		pk_jw_close(w, '}');
		if (end == n || h[end].ingress != h[i].ingress)
			pk_jw_close(w, ']');
	}
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
}

size_t pk_suggest_write(const struct pk_suggest *s, struct pk_jw *w)
{
	size_t count = 0, end;

	if (s->n)
		qsort(s->holes, s->n, sizeof(*s->holes), hole_cmp);
	pk_jw_open(w, NULL, '[');
	for (size_t i = 0; i < s->n; i = end) {
		for (end = i + 1; end < s->n; end++)
			if (side_cmp(&s->holes[i].subject, &s->holes[end].subject) != 0)
				break;
		write_document(&s->holes[i], end - i, w);
		count++;
	}
	pk_jw_close(w, ']');
	return count;
}

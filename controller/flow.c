/* SPDX-License-Identifier: GPL-2.0-only */
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "own.h"
#include "picket/query.h"
#include "reason.h"

void pk_time_text(const struct timespec *ts, char text[32])
{
	struct tm tm;

	gmtime_r(&ts->tv_sec, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + strlen(text), 32 - strlen(text), ".%03uZ",
		 (unsigned int)(ts->tv_nsec / 1000000) % 1000);
}

const char *pk_rank_kind_name(unsigned int rank)
{
	static const char *const names[] = { NULL, "default", "pass", "allow", "deny" };

	return PK_RANK_KIND(rank) < PK_ARRAY_LEN(names) ? names[PK_RANK_KIND(rank)] : NULL;
}

static const char *verdict_of(const struct pk_event *ev)
{
	switch (ev->type) {
	case PK_EVENT_ALLOWED:
		return "allowed";
	case PK_EVENT_REVOKED:
		return "revoked";
	case PK_EVENT_AUDIT:
		return ev->reason == PK_REASON_OK ? "allowed" : "denied";
	default:
		return "denied";
	}
}

void pk_flow_labels(struct pk_jw *w, const struct pk_world_endpoint *ep)
{
	pk_jw_open(w, "labels", '[');
	for (size_t i = 0; ep && i < ep->labels->n_known; i++) {
		const struct pk_label *l = &ep->labels->known[i];
		bool reserved = strncmp(l->key, "reserved:", 9) == 0;
		own_str label = { 0 };

		pk_str_addf(&label, "%s%s%s", l->key, reserved ? "" : "=",
			    reserved ? "" : l->value);
		pk_jw_string(w, NULL, label.text);
	}
	pk_jw_close(w, ']');
}

static void write_endpoint(struct pk_jw *w, const struct pk_flow_names *names,
			   const struct pk_local_endpoint *m)
{
	const struct pk_engine *engine = pk_model_engine((struct pk_model *)names->model);
	own_str name = { 0 };

	pk_local_endpoint_name(m, &name);
	pk_jw_string(w, "namespace", pk_local_endpoint_namespace(m));
	pk_jw_string(w, "job", pk_local_endpoint_job(m));
	pk_jw_string(w, "group", pk_local_endpoint_group(m));
	pk_jw_string(w, "alloc", m->container_id);
	pk_jw_string(w, "name", name.text);
	pk_flow_labels(w, pk_world_get(pk_engine_world(engine), m->key));
}

static bool in_pools(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (pk_prefix_has(&s->pools[i], addr))
			return true;
	return false;
}

/* The data path knows what the other side was to it; else the address tells. */
static const char *stranger(const struct pk_flow_names *names, const union pk_addr *addr,
			    uint8_t party)
{
	static const char *const known[] = { [PK_PARTY_UNKNOWN] = "unknown",
					     [PK_PARTY_HOST] = "host",
					     [PK_PARTY_REMOTE_NODE] = "remote-node",
					     [PK_PARTY_WORLD] = "world" };
	const char *node = names->node_address ? names->node_address(names->arg, addr) : NULL;

	if (party < PK_ARRAY_LEN(known) && known[party])
		return known[party];
	if (node)
		return node;
	return in_pools(pk_model_get_settings(names->model), addr) ? "unknown" : "world";
}

struct side {
	const union pk_addr *addr;
	uint32_t slot; /* 0: by address */
	__be16 port;
	uint32_t identity;
	bool ports;    /* the protocol has ports */
	uint8_t party; /* enum pk_party of the other side; 0: the endpoint's own side */
};

static void write_side(struct pk_jw *w, const char *key, const struct side *s,
		       const struct pk_flow_names *names)
{
	const struct pk_local_endpoint *m = s->slot ? pk_model_by_slot(names->model, s->slot)
						    : pk_model_by_address(names->model, s->addr);
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, key, '{');
	if (m) {
		write_endpoint(w, names, m);
	} else {
		pk_jw_string(w, "name", s->slot ? "unknown" : stranger(names, s->addr, s->party));
		pk_flow_labels(w, NULL);
	}
	if (pk_addr_is_zero(s->addr))
		pk_jw_null(w, "ip");
	else
		pk_jw_string(w, "ip", pk_addr_format(s->addr, text));
	if (s->ports)
		pk_jw_uint(w, "port", ntohs(s->port));
	else
		pk_jw_null(w, "port");
	pk_jw_uint(w, "identity", s->identity);
	pk_jw_close(w, '}');
}

/*
 * The rule that decided. A default deny is the absence of one: policy and rule are null then, and
 * who asked for it stands apart, so that nobody reads an allow rule's name on a denied packet. The
 * baseline's protected addresses are a rule, though what it denies has the default's rank.
 */
static void write_rule(struct pk_jw *w, const struct pk_event *ev,
		       const struct pk_flow_names *names)
{
	bool absence = PK_RANK_KIND(ev->rank) == PK_KIND_DEFAULT && ev->rule != PK_RULE_PROTECTED;
	struct pk_rule_ref ref = { 0 };
	bool known = ev->rule && pk_rules_find(pk_model_rules(names->model), ev->rule, &ref) == 0;
	own_str policy = { 0 };

	if (known && ref.doc)
		pk_str_addf(&policy, "%s/%s", ref.doc->source, ref.doc->name);
	pk_jw_string(w, "policy", absence ? NULL : policy.text);
	if (known && !absence)
		pk_rule_json(&ref, w, "rule");
	else
		pk_jw_null(w, "rule");
	pk_jw_string(w, "defaultDenyBy", absence ? policy.text : NULL);
	pk_jw_string(w, "tier", PK_RANK_KIND(ev->rank) ? pk_tier_name(ev->rank) : NULL);
	pk_jw_string(w, "kind", pk_rank_kind_name(ev->rank));
}

static void write_protocol(struct pk_jw *w, const struct pk_event *ev)
{
	static const char flags[] = "FSRPAUEC";
	bool icmp = ev->proto == IPPROTO_ICMP || ev->proto == IPPROTO_ICMPV6;
	char set[9], number[8];
	size_t n = 0;

	snprintf(number, sizeof(number), "%u", ev->proto);
	pk_jw_string(w, "protocol",
		     ev->proto == IPPROTO_TCP	   ? "tcp"
		     : ev->proto == IPPROTO_UDP	   ? "udp"
		     : ev->proto == IPPROTO_ICMP   ? "icmp"
		     : ev->proto == IPPROTO_ICMPV6 ? "icmpv6"
		     : ev->proto == IPPROTO_SCTP   ? "sctp"
		     : ev->proto		   ? number
						   : NULL);
	for (unsigned int i = 0; i < 8; i++)
		if (ev->tcp_flags & 1u << i)
			set[n++] = flags[i];
	set[n] = '\0';
	pk_jw_string(w, "tcpFlags", ev->proto == IPPROTO_TCP ? set : NULL);
	if (icmp) {
		pk_jw_uint(w, "icmpType", ntohs(ev->dport) >> 8);
		pk_jw_uint(w, "icmpCode", ntohs(ev->dport) & 0xff);
	} else {
		pk_jw_null(w, "icmpType");
		pk_jw_null(w, "icmpCode");
	}
	pk_jw_uint(w, "ethertype", ev->ethertype);
}

void pk_flow_json(const struct pk_event *ev, const struct timespec *when,
		  const struct pk_flow_names *names, struct pk_str *out)
{
	bool ports =
		ev->proto == IPPROTO_TCP || ev->proto == IPPROTO_UDP || ev->proto == IPPROTO_SCTP;
	bool egress = ev->dir == PK_EGRESS;
	const struct side source = { &ev->src,	egress ? ev->slot : ev->peer_slot,
				     ev->sport, ev->src_identity,
				     ports,	egress ? PK_PARTY_NONE : ev->party };
	const struct side destination = { &ev->dst,  egress ? ev->peer_slot : ev->slot,
					  ev->dport, ev->dst_identity,
					  ports,     egress ? ev->party : PK_PARTY_NONE };
	struct pk_jw w = { .out = out };
	char time[32];

	pk_time_text(when, time);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "time", time);
	pk_jw_string(&w, "node", names->node);
	pk_jw_string(&w, "verdict", verdict_of(ev));
	pk_jw_string(&w, "audit",
		     ev->type != PK_EVENT_AUDIT	     ? NULL
		     : ev->audit_verdict == PK_ALLOW ? "allowed"
						     : "denied");
	pk_jw_string(&w, "reason", pk_reason_name(ev->reason));
	pk_jw_string(&w, "direction", egress ? "egress" : "ingress");
	write_rule(&w, ev, names);
	pk_jw_uint(&w, "revision", ev->revision);
	write_side(&w, "source", &source, names);
	write_side(&w, "destination", &destination, names);
	write_protocol(&w, ev);
	pk_jw_uint(&w, "bytes", ev->length);
	pk_jw_uint(&w, "packets", 1);
	pk_jw_uint(&w, "lost", ev->lost);
	pk_jw_close(&w, '}');
}

void pk_flow_lost_json(uint64_t lost, const char *cause, double since_s, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	struct timespec now;
	char time[32];

	clock_gettime(CLOCK_REALTIME, &now);
	pk_time_text(&now, time);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "time", time);
	pk_jw_uint(&w, "lostEvents", lost);
	pk_jw_string(&w, "cause", cause);
	pk_jw_double(&w, "sinceSeconds", since_s);
	pk_jw_close(&w, '}');
}

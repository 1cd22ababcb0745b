/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
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
	case PK_EVENT_CLOSED:
		return "closed";
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

static bool in_pools(const struct pk_settings *s, const union pk_addr *addr)
{
	for (size_t i = 0; i < s->n_pools; i++)
		if (pk_prefix_has(&s->pools[i], addr))
			return true;
	return false;
}

/* Returns what the other side was by the data path's word, else by its address. */
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

static struct pk_flow_who *who(const struct pk_flow_names *names, struct pk_flow_who_set *held,
			       const union pk_addr *addr, uint32_t slot, uint8_t party)
{
	const struct pk_local_endpoint *m = slot ? pk_model_by_slot(names->model, slot)
						 : pk_model_by_address(names->model, addr);
	const struct pk_engine *engine = pk_model_engine((struct pk_model *)names->model);

	const struct pk_remote_endpoint *remote =
		m || slot ? NULL : pk_remotes_by_address(pk_model_remotes(names->model), addr);

	if (m)
		return pk_flow_who_endpoint(held, m, pk_world_get(pk_engine_world(engine), m->key));
	if (remote)
		return pk_flow_who_remote(held, remote);
	return pk_flow_who_stranger(held, slot ? "unknown" : stranger(names, addr, party));
}

void pk_flow_take(struct pk_flow_event *f, const struct pk_event_closed *closed,
		  const struct timespec *when, const struct pk_flow_names *names,
		  struct pk_flow_who_set *held)
{
	const struct pk_event *ev = &closed->event;
	bool egress = ev->dir == PK_EGRESS;

	*f = (struct pk_flow_event){ .closed = *closed, .when = *when };
	f->source = who(names, held, &ev->src, egress ? ev->slot : ev->peer_slot,
			egress ? PK_PARTY_NONE : ev->party);
	f->destination = who(names, held, &ev->dst, egress ? ev->peer_slot : ev->slot,
			     egress ? ev->party : PK_PARTY_NONE);
}

void pk_flow_done(struct pk_flow_event *f)
{
	pk_flow_who_drop(f->source);
	pk_flow_who_drop(f->destination);
	*f = (struct pk_flow_event){ 0 };
}

struct side {
	const struct pk_flow_who *who;
	const union pk_addr *addr;
	__be16 port;
	uint32_t identity;
	bool ports; /* the protocol has ports */
};

static void write_side(struct pk_jw *w, const char *key, const struct side *s)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, key, '{');
	pk_str_add(w->out, pk_flow_who_text(s->who));
	w->comma = true;
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
 * Writes the rule that decided. A default deny is no rule: "policy" and "rule" are null, and who
 * asked for the default stands apart, so that nobody reads an allowing rule's name on a denied
 * packet. The protected addresses of the baseline count as a rule.
 */
static void write_rule(struct pk_jw *w, const struct pk_event *ev,
		       const struct pk_flow_names *names, bool whole)
{
	bool absence = PK_RANK_KIND(ev->rank) == PK_KIND_DEFAULT && ev->rule != PK_RULE_PROTECTED;
	struct pk_rule_ref ref = { 0 };
	bool known = whole && ev->rule &&
		     pk_rules_find(pk_model_rules(names->model), ev->rule, &ref) == 0;
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
	const char *word = pk_proto_word(ev->proto);
	char set[9], number[8];
	size_t n = 0;

	snprintf(number, sizeof(number), "%u", ev->proto);
	if (!word && ev->proto)
		word = number;
	pk_jw_string(w, "protocol", word);
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

/* Returns what the audit documents would have decided, where that is another verdict; else NULL. */
static const char *audit_of(const struct pk_event *ev)
{
	if (ev->type != PK_EVENT_AUDIT)
		return NULL;
	return ev->audit_verdict == PK_ALLOW ? "allowed" : "denied";
}

static const char *end_of(uint8_t how)
{
#define NAME(sym, name, text) [PK_FLOW_END_##sym] = name,
	static const char *const names[] = { PK_FLOW_ENDS(NAME) };
#undef NAME

	return how < PK_ARRAY_LEN(names) ? names[how] : NULL;
}

/* Writes bytes and packets: of a flow that ended what each side sent, else of this one packet. */
static void write_counts(struct pk_jw *w, const struct pk_event_closed *c)
{
	bool closed = c->event.type == PK_EVENT_CLOSED;

	pk_jw_uint(w, "bytes", closed ? c->bytes[0] : c->event.length);
	pk_jw_uint(w, "packets", closed ? c->packets[0] : 1);
	if (closed) {
		pk_jw_uint(w, "replyBytes", c->bytes[1]);
		pk_jw_uint(w, "replyPackets", c->packets[1]);
		pk_jw_uint(w, "seconds", c->seconds);
		pk_jw_string(w, "end", end_of(c->how));
	}
	pk_jw_uint(w, "lost", c->event.lost);
}

static void write_line(const struct pk_flow_event *f, const struct pk_flow_names *names, bool whole,
		       struct pk_str *out)
{
	const struct pk_event *ev = &f->closed.event;
	bool ports =
		ev->proto == IPPROTO_TCP || ev->proto == IPPROTO_UDP || ev->proto == IPPROTO_SCTP;
	const struct side source = { f->source, &ev->src, ev->sport, ev->src_identity, ports };
	const struct side destination = { f->destination, &ev->dst, ev->dport, ev->dst_identity,
					  ports };
	struct pk_jw w = { .out = out };
	char time[32];

	pk_time_text(&f->when, time);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "time", time);
	pk_jw_string(&w, "node", names->node);
	pk_jw_string(&w, "verdict", verdict_of(ev));
	pk_jw_string(&w, "audit", audit_of(ev));
	pk_jw_string(&w, "reason", pk_reason_name(ev->reason));
	pk_jw_string(&w, "direction", ev->dir == PK_EGRESS ? "egress" : "ingress");
	write_rule(&w, ev, names, whole);
	if (!whole)
		pk_jw_bool(&w, "cut", true);
	pk_jw_uint(&w, "revision", ev->revision);
	write_side(&w, "source", &source);
	write_side(&w, "destination", &destination);
	write_protocol(&w, ev);
	write_counts(&w, &f->closed);
	pk_jw_close(&w, '}');
}

void pk_flow_json(const struct pk_flow_event *f, const struct pk_flow_names *names,
		  struct pk_str *out)
{
	pk_str_reset(out);
	out->cap = PK_FLOW_LINE_MAX;
	write_line(f, names, true, out);
	if (!out->failed)
		return;
	/* A line that is too long is written again without the rule's description. */
	pk_str_reset(out);
	write_line(f, names, false, out);
}

void pk_flow_lost_json(const struct pk_flow_lost *lost, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	char time[32];

	pk_time_text(&lost->when, time);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "time", time);
	pk_jw_uint(&w, "lostEvents", lost->events);
	pk_jw_string(&w, "cause", lost->cause);
	pk_jw_double(&w, "sinceSeconds", lost->since_s);
	pk_jw_close(&w, '}');
}

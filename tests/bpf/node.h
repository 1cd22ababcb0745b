/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The really loaded guard, its tables filled by hand, in a network namespace of the test's own;
 * and the expectations on it: what a packet raised, and nothing else.
 */
#include <stdbool.h>
#include <stdint.h>

#include "picket/maps.h"
#include "picket/reason.h"
#include "tests/bpf/pkt.h"

#define NODE_SLOTS     5   /* 0 and the four endpoints */
#define NODE_BUDGET    8   /* flows an endpoint */
#define NODE_PLACES    320 /* there are for each, where a test gives it more */
#define NODE_FRAGMENTS (PK_FRAGMENTS_UPLINK + NODE_SLOTS * PK_FRAGMENTS)

enum node_prog {
	NODE_FROM,
	NODE_TO,
	NODE_FORWARD_TAP,
	NODE_FORWARD_ETH,
	NODE_UP,     /* at up0 */
	NODE_FABRIC, /* at the overlay's device */
	NODE_PROGS,
};
#define NODE_ROWS (NODE_SLOTS * 2 * PK_REASON_SLOTS) /* of `counters` */

/* 0 or -errno, said; -ENOEXEC: the kernel refused a program. */
int node_start(void);
void node_flow_room(uint32_t entries); /* of the flow table, before start */
void node_stop(void);
struct bpf_object;
struct bpf_object *node_object(void);
/* The guard loaded once more, reading the metadata as on a kernel without the kfunc; or NULL. */
struct pk_guard *node_open_probe(void);
/* Another object, not loaded yet, will use the guard's tables; its packets and data are its own. */
int node_share(struct bpf_object *obj);
/* A test's many rounds, as many as the machine can bear: divided by $PK_SCALE, which is said. */
uint32_t node_rounds(uint32_t rounds);
int node_prog_fd(enum node_prog prog);
const char *node_prog_name(enum node_prog prog);
void node_first_failure_ends(void);
/* Every table as at first: flows, buckets and counters empty, words of revision 1. */
void node_reset(void);
uint32_t node_ifindex(uint32_t slot);	      /* of its host veth */
void node_forwarding(uint32_t slot, bool on); /* its IPv4 sysctl */

/* Runs a packet; *p is what came out; *gso, *ingress set metadata. The program's return. */
struct node_meta {
	uint32_t gso_size, ingress_ifindex, ifindex;
	bool summed; /* the driver has summed up the packet, and the sum must follow; Linux 6.17 */
};
int node_run(enum node_prog prog, uint32_t slot, struct pkt *p, const struct node_meta *meta);
int node_run_fd(int fd, uint32_t slot, struct pkt *p, const struct node_meta *meta);
uint64_t node_counter(uint32_t slot, enum pk_dir dir, enum pk_reason reason);

/*
 * Passes where the run raised counter {slot, dir, reason} by one and no other denial, and a
 * denial raised no other counter, made no flow and let nothing out. A packet from an endpoint
 * goes through the real devices, unless meta needs a test run, and what may go must come out where
 * its destination is and nowhere else. Counts and prints; the first failure names its sentence.
 */
struct expect {
	const char *text;
	enum pk_reason reason;
	uint32_t slot;
	enum pk_dir dir;
	bool told; /* the denied packet became an ICMP error to its sender */
};
bool node_expect(const struct expect *e, enum node_prog prog, uint32_t slot, struct pkt *p,
		 const struct node_meta *meta);
/*
 * For a packet that goes in to that hook by another way: what was counted since node_watch is e and,
 * for what passed to endpoint `to`, its ingress; nothing else.
 */
void node_watch(void);
void node_await_count(void); /* until something was */
bool node_watched(const struct expect *e, uint32_t to, enum node_prog hook);
/* Passes where each reason was proved at each hook that can come to it (hooks.h). */
void node_all_proved(void);
/* The usual: from endpoint `slot`, counted at its egress. */
bool node_from(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason);
/* The same, but denied at the ingress of `at`. */
bool node_from_at(const char *text, uint32_t slot, struct pkt p, uint32_t at,
		  enum pk_reason reason);
/* The same at that counter, and its sender is told. */
bool node_from_told(const char *text, uint32_t slot, struct pkt p, uint32_t at, enum pk_dir dir,
		    enum pk_reason reason);
/* From the node's stack to endpoint `slot`. */
bool node_to(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason);
bool check(const char *text, bool holds);
/* The subject of what is checked from now on: it is printed, and said of each failure. */
void node_subject(const char *name);
void skip(const char *text, const char *why);
void node_totals(int *passed, int *failed, int *skipped);

/* Tables. */
void node_word(uint32_t slot, uint32_t rule_set, uint32_t flags, uint32_t revision);
void node_verdict(const struct pk_verdict_key *key, uint8_t verdict, uint8_t rank, uint32_t rule);
void node_no_verdict(const struct pk_verdict_key *key);
void node_pool(const char *prefix, uint32_t bits);
void node_cidr(uint32_t list, const char *prefix, uint32_t bits, uint32_t class);
/*
 * The built-in baseline `tenant`, as a compiler would write it; rule sets 1 and 2 are it at first.
 */
void node_baseline(uint32_t set_nr);
int node_map(const char *name);
void node_publish(const struct pk_published_key *key, const struct pk_published *to);
void node_endpoint(uint32_t slot, struct pk_endpoint *out);
void node_endpoint_set(uint32_t slot, const struct pk_endpoint *ep);
/* What the gateway tells it: at first the resolvers 10.0.0.53 and fd00::53, and no domain. */
void node_answers_set(uint32_t slot, const struct pk_answers *told);
extern const struct pk_answers node_told, node_untold;
void node_settings(void (*edit)(struct pk_node *n));
uint32_t node_hz(void); /* jiffies a second, as the guard counts them */
/* What a bucket of slot holds (enum pk_bucket's places). */
uint32_t node_bucket(uint32_t slot, uint32_t which);
/* A bucket that holds so many since so many milliseconds. */
uint64_t node_tokens(uint32_t tokens, int64_t ms);
/* Lets it hold so many since so many milliseconds. NODE_AHEAD: it gains nothing for a second. */
void node_bucket_set(uint32_t slot, uint32_t which, uint32_t tokens, int64_t ms);
#define NODE_AHEAD (-1000)
uint64_t node_flows(void); /* entries */
/*
 * Makes every flow as if it had been judged two seconds ago. The keys are read before: a flow that
 * is written lies at its bucket's head, before those that were read.
 */
void node_age(void);
int node_tail(uint32_t place, bool there); /* an entry of `programs` */

/* judge.bpf.c over the same tables. */
int judge_start(void);
void judge_stop(void);
struct bpf_object *judge_object(void);
uint32_t judge_clock(void); /* the jiffies that flows live by */

void cases_parse(void);
void cases_hook(void);
void cases_spoof(void);
void cases_answer(void);
void cases_dhcp(void);
void cases_dhcp6(void);
void cases_flow(void);
void cases_policy(void);
void cases_limit(void);
void cases_world(void);
void cases_fragment(void);
void cases_nat(void);
void cases_life(void);
void cases_window(void);
void cases_flood(void);
void cases_judge(void);
void cases_race(void);
void cases_verifier(void);
void cases_moment(void);
void cases_tap(void);
void cases_event(void);
void cases_error(void);
void cases_whose(void);
void cases_source(void);
void cases_asked(void);
void cases_clock(void);
void cases_wire(void);
void cases_quote(void);
void cases_end(void);
void cases_last(void);
void cases_undelivered(void);
void cases_uplink(void);
void cases_way(void);
void cases_lost(void);
void cases_tuple(void);
void cases_identification(void);
void cases_outside(void);
void cases_host_tap(void);
void cases_remote(void);
void cases_overlay(void);
void cases_wrap(void);
void cases_stranger(void);
void cases_opening(void);
void cases_close(void);

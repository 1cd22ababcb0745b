// SPDX-License-Identifier: Apache-2.0
/* Packets through the guard's programs, and what is expected of each. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/hooks.h"
#include "tests/bpf/node.h"

#define TC_OK	   0
#define TC_SHOT	   2
#define ARRIVAL_MS 10000 /* until what must come is missing */

static uint64_t before[NODE_ROWS], after[NODE_ROWS];
static int n_passed, n_failed, n_skipped;
static bool only_first;
static const char *subject = "start";

void node_subject(const char *name)
{
	subject = name;
	printf("%s\n", name);
}

void node_first_failure_ends(void)
{
	only_first = true;
}

/* Every counter, summed over the processors. */
static void counters(uint64_t rows[NODE_ROWS])
{
	static struct pk_counter *values;
	static uint32_t *keys;
	uint32_t count = NODE_ROWS, next;
	int cpus = libbpf_num_possible_cpus();

	if (!values) {
		values = calloc((size_t)NODE_ROWS * cpus, sizeof(*values));
		keys = calloc(NODE_ROWS, sizeof(*keys));
	}
	memset(rows, 0, NODE_ROWS * sizeof(*rows));
	bpf_map_lookup_batch(node_map("counters"), NULL, &next, keys, values, &count, NULL);
	for (uint32_t i = 0; i < count; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			rows[keys[i]] += values[i * cpus + cpu].packets;
}

uint64_t node_counter(uint32_t slot, enum pk_dir dir, enum pk_reason reason)
{
	counters(after);
	return after[PK_COUNTER(slot, dir, reason)];
}

int node_run_fd(int fd, uint32_t slot, struct pkt *p, const struct node_meta *meta)
{
	struct __sk_buff ctx = { .ifindex = slot ? node_ifindex(slot) : 1 };
	uint8_t out[sizeof(p->b)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = p->len,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1);

	if (fd == node_prog_fd(NODE_UP))
		ctx.ifindex = devices_uplink();
	if (meta) {
		ctx.gso_size = meta->gso_size;
		ctx.ingress_ifindex = meta->ingress_ifindex;
		if (meta->ifindex)
			ctx.ifindex = meta->ifindex;
		if (meta->summed)
			opts.flags = 1 << 2; /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE */
	}
	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	memcpy(p->b, out, opts.data_size_out);
	p->len = opts.data_size_out;
	return opts.retval;
}

int node_run(enum node_prog prog, uint32_t slot, struct pkt *p, const struct node_meta *meta)
{
	return node_run_fd(node_prog_fd(prog), slot, p, meta);
}

bool check(const char *text, bool holds)
{
	if (holds) {
		n_passed++;
	} else {
		n_failed++;
		printf("FAILED %s (%s)\n", text, subject);
		if (only_first)
			exit(1);
	}
	return holds;
}

void skip(const char *text, const char *why)
{
	printf("-- skipped: %s: %s\n", text, why);
	n_skipped++;
}

void node_totals(int *passed, int *failed, int *skipped)
{
	*passed = n_passed;
	*failed = n_failed;
	*skipped = n_skipped;
}

static bool proved[NODE_PROGS][PK_REASON_COUNT];

static const char *reason_name(uint32_t reason)
{
#define NAME(nr, sym, name, built, help) [nr] = name,
	static const char *const names[] = { PK_REASONS(NAME) };
#undef NAME

	return names[reason];
}

static void prove(enum node_prog hook, enum pk_reason reason)
{
	const char *path = getenv("PK_PROVED");
	FILE *f = path ? fopen(path, "a") : NULL;

	proved[hook][reason] = true;
	if (!f)
		return;
	fprintf(f, "%s\n", reason_name(reason));
	fclose(f);
}

void node_all_proved(void)
{
#define MASK(sym, hooks) [PK_REASON_##sym] = (hooks),
	static const uint32_t hooks[PK_REASON_COUNT] = { HOOKS_OF(MASK) };
#undef MASK
	char text[128];

	for (uint32_t reason = 0; reason < PK_REASON_COUNT; reason++)
		for (enum node_prog hook = 0; hook < NODE_PROGS; hook++) {
			bool can = hooks[reason] & 1u << hook;

			snprintf(text, sizeof(text),
				 can ? "%s at %s is proved" : "%s at %s is listed",
				 reason_name(reason), node_prog_name(hook));
			if (can != proved[hook][reason])
				check(text, false);
			else if (can)
				check(text, true);
		}
}

/* Is it a question that the gateway answers: to a group, or to the gateway itself? */
static bool is_asked(const struct pkt *p)
{
	union pk_addr gateway4 = pkt_ip4(WHO_GATEWAY), gateway6 = pkt_ip6(WHO_GATEWAY);
	union pk_addr to = pkt_destination(p);

	return pkt_is_arp(p) || p->b[0] & 1 || !memcmp(&to, &gateway4, sizeof(to)) ||
	       !memcmp(&to, &gateway6, sizeof(to));
}

/* Where must the frame of slot go, by its destination and the tables alone? */
static struct arrival destined(uint32_t slot, const struct pkt *p)
{
	union pk_addr to = pkt_destination(p), host4 = pkt_ip4(WHO_HOST), host6 = pkt_ip6(WHO_HOST);
	struct pk_endpoint ep;

	if (is_asked(p))
		return (struct arrival){ .at = AT_GUEST, .slot = slot };
	for (uint32_t at = 1; at < NODE_SLOTS; at++) {
		node_endpoint(at, &ep);
		if (!memcmp(&to, &ep.ipv4, sizeof(to)) || !memcmp(&to, &ep.ipv6, sizeof(to)))
			return (struct arrival){ .at = AT_GUEST, .slot = at };
	}
	if (!memcmp(&to, &host4, sizeof(to)) || !memcmp(&to, &host6, sizeof(to)))
		return (struct arrival){ .at = AT_STACK, .slot = slot };
	return (struct arrival){ .at = AT_UPLINK };
}

void node_watch(void)
{
	counters(before);
}

/* The kernel may be a little later with the packet than send() with its return. */
void node_await_count(void)
{
	for (int ms = 0; ms < ARRIVAL_MS; ms++) {
		counters(after);
		if (memcmp(before, after, sizeof(before)))
			return;
		usleep(ms ? 1000 : 0);
	}
}

/* Sends it for real: does it come where it must, and nowhere else? */
static bool sent(uint32_t slot, struct pkt *p, struct arrival want)
{
	static const char *const places[] = { "nobody", "guest", "stack of", "uplink" };
	struct arrival got, more;
	int r;

	devices_drain();
	r = devices_send(slot, p);
	node_await_count();
	devices_receive(&got, want.at == AT_NOBODY ? 0 : ARRIVAL_MS);
	devices_receive(&more, 0);
	if (got.at != AT_NOBODY)
		*p = got.p;
	if (!r && got.at == want.at && got.slot == want.slot && more.at == AT_NOBODY)
		return true;
	printf("  sent: %d; came to %s %u, not to %s %u; and to %s\n", r, places[got.at], got.slot,
	       places[want.at], want.slot, places[more.at]);
	return false;
}

/* Runs it where only a test run can say what came with it. */
static bool ran(enum node_prog prog, uint32_t slot, struct pkt *p, const struct node_meta *meta,
		bool denied)
{
	int verdict = node_run(prog, slot, p, meta);
	bool holds = denied ? verdict == TC_SHOT : verdict >= 0 && verdict != TC_SHOT;

	if (prog == NODE_TO && !denied)
		holds = verdict == TC_OK;
	if (!holds)
		printf("  returned %d\n", verdict);
	return holds;
}

/* Says what was counted. */
static void differ(const struct expect *e)
{
	printf("  want reason %d at slot %u dir %d; counted", e->reason, e->slot, e->dir);
	for (uint32_t row = 0; row < NODE_ROWS; row++)
		if (after[row] != before[row])
			printf(" {slot %u dir %u reason %u: %lu}", row / PK_REASON_SLOTS / 2,
			       row / PK_REASON_SLOTS % 2, row % PK_REASON_SLOTS,
			       after[row] - before[row]);
	printf("\n");
}

/*
 * Was the one reason counted, once, and nothing else? What passes from one endpoint to another
 * (`to`, else 0) counts at the other's ingress, too.
 */
static bool counted(const struct expect *e, uint32_t to)
{
	uint32_t wanted = PK_COUNTER(e->slot, e->dir, e->reason);
	uint32_t also = to ? PK_COUNTER(to, PK_INGRESS, PK_REASON_OK) : wanted;

	for (uint32_t row = 0; row < NODE_ROWS; row++)
		if (after[row] != before[row] + (row == wanted || row == also))
			return false;
	return true;
}

/*
 * What comes in by the uplink goes to whom it is counted for. What became an error to its sender
 * goes back to it.
 */
static struct arrival arrives(const struct expect *e, enum node_prog prog, uint32_t slot,
			      const struct pkt *p)
{
	if (e->told)
		return (struct arrival){ .at = prog == NODE_UP ? AT_UPLINK : AT_GUEST,
					 .slot = slot };
	if (e->reason)
		return (struct arrival){ .at = AT_NOBODY };
	if (prog == NODE_UP)
		return (struct arrival){ .at = AT_GUEST, .slot = e->slot };
	return destined(slot, p);
}

bool node_watched(const struct expect *e, uint32_t to, enum node_prog hook)
{
	node_await_count();
	if (!counted(e, to)) {
		differ(e);
		return false;
	}
	prove(hook, e->reason);
	return true;
}

bool node_expect(const struct expect *e, enum node_prog prog, uint32_t slot, struct pkt *p,
		 const struct node_meta *meta)
{
	struct arrival want = arrives(e, prog, slot, p);
	uint32_t to = prog == NODE_FROM && !e->reason && !is_asked(p) ? want.slot : 0;
	uint64_t flows = node_flows();
	bool holds;

	counters(before);
	if ((prog == NODE_FROM || prog == NODE_UP) && !meta)
		holds = sent(slot, p, want);
	else
		holds = ran(prog, slot, p, meta, e->reason);
	counters(after);
	if (!counted(e, want.at == AT_GUEST ? to : 0))
		holds = false;
	if (e->reason && node_flows() > flows)
		holds = false;
	if (holds)
		prove(prog, e->reason);
	else
		differ(e);
	return check(e->text, holds);
}

bool node_from(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_EGRESS, false };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_from_at(const char *text, uint32_t slot, struct pkt p, uint32_t at, enum pk_reason reason)
{
	struct expect e = { text, reason, at, PK_INGRESS, false };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_from_told(const char *text, uint32_t slot, struct pkt p, uint32_t at, enum pk_dir dir,
		    enum pk_reason reason)
{
	struct expect e = { text, reason, at, dir, .told = true };

	return node_expect(&e, NODE_FROM, slot, &p, NULL);
}

bool node_to(const char *text, uint32_t slot, struct pkt p, enum pk_reason reason)
{
	struct expect e = { text, reason, slot, PK_INGRESS, false };

	return node_expect(&e, NODE_TO, slot, &p, NULL);
}

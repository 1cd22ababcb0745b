// SPDX-License-Identifier: Apache-2.0
/*
 * The differential test of the data path:
 *
 *	model-test [--cases N] [--seed N] [--world N]
 *
 * N packets (1,000,000), 500 to a world of random tables; --world runs one alone. Each is asked of
 * the reference model, of the guard compiled for user space and of the loaded programs. Prints the
 * shares of what became of them, and ends with `N passed, N failed`. The seed alone decides.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/model/model.h"

#define SEED	 20261129
#define FAILURES 5  /* that are shrunk and said */
#define TRIES	 4  /* of a world that failed */
#define SHARE	 50 /* one in so many: what each of the commonest outcomes must have */
#define COMMON	 10

enum answer { AN_ARP, AN_ERROR, AN_PING, AN_NEIGHBOUR, AN_ROUTER, AN_DHCP4, AN_DHCP6, ANSWERS };

static struct {
	uint64_t cases, reason[PK_REASON_SLOTS], where[GOES_ON + 1], mutated, failed, again, held;
	uint64_t hook[TIME + 1], segmented, answer[ANSWERS], renamed;
} shares;

/* The loaded programs have a clock of their own, which goes on meanwhile. */
static const struct guard *const *guards_of(const struct world *w)
{
	static const struct guard *const both[] = { &guard_user, &guard_loaded, NULL };
	static const struct guard *const user[] = { &guard_user, NULL };

	return w->limits == LIMITS_FAST ? user : both;
}

/* What the gateway said. */
static enum answer answer_of(const struct frame *f)
{
	bool v4 = f->b[12] == 8 && !f->b[13];
	uint8_t proto = v4 ? f->b[23] : f->b[20], type = v4 ? f->b[34] : f->b[54];

	if (f->b[12] == 8 && !v4)
		return AN_ARP;
	if (proto == 17)
		return v4 ? AN_DHCP4 : AN_DHCP6;
	if (type == 134 || type == 136)
		return type == 134 ? AN_ROUTER : AN_NEIGHBOUR;
	return v4 == !type || type == 129 ? AN_PING : AN_ERROR;
}

/*
 * Does it fail each time? What fails now and then is the clock's: flows are judged again each
 * second, buckets fill, and on a busy machine time passes between two packets.
 */
static bool fails_always(const struct world *w, const struct step *steps, uint32_t n)
{
	char again[WHY];

	for (int i = 0; i < TRIES; i++)
		if (!shrink_fails(w, guards_of(w), steps, n, again))
			return false;
	return true;
}

static void failed(const struct world *w, struct step *steps, uint32_t n, uint32_t number,
		   uint64_t seed, const char *why)
{
	if (!fails_always(w, steps, n)) {
		shares.again++;
		printf("-- world %u, not again: %s\n", number, why);
		return;
	}
	if (++shares.failed > FAILURES)
		return;
	printf("FAILED packet %u of world %u; again: --seed %lu --world %u\n  %s\n", n, number,
	       seed, number, why);
	shrink(w, guards_of(w), steps, n);
}

static void one_world(uint64_t seed, uint32_t number, uint32_t packets)
{
	static struct step steps[SEQUENCE];
	static struct outcome o;
	struct dice d = { seed ^ (uint64_t)(number + 1) * 0xd1342543de82ef95 };
	struct world w;
	struct run *r;
	char why[WHY];
	bool holds = true;

	world_make(&w, d.state ^ 0x5851f42d4c957f2d);
	r = run_begin(&w, guards_of(&w), false);
	for (uint32_t i = 0; i < packets && holds; i++) {
		generate_step(run_model(r), &d, &steps[i]);
		shares.cases += is_packet(steps[i].hook);
		shares.hook[steps[i].hook]++;
		shares.segmented += steps[i].beside.honest;
		shares.mutated += steps[i].mutated;
		holds = run_step(r, &steps[i], &o, why);
		if (!holds)
			failed(&w, steps, i + 1, number, seed, why);
		if (!is_packet(steps[i].hook))
			continue;
		shares.reason[o.reason]++;
		shares.where[o.where]++;
		shares.held += holds;
		shares.renamed += o.new_id;
		if (o.where == GOES_BACK)
			shares.answer[answer_of(&o.out)]++;
	}
	if (!run_end(r) && holds)
		failed(&w, steps, packets, number, seed, "a counter rose that must not");
}

static void say(const char *name, uint64_t n)
{
	if (n)
		printf("-- %-20s %9lu  %5.2f %%\n", name, n,
		       100.0 * (double)n / (double)shares.cases);
}

/* False: some kind was never answered. */
static bool say_answers(void)
{
	static const char *const name[ANSWERS] = { "ARP",      "an error", "a ping", "a neighbour",
						   "a router", "DHCPv4",   "DHCPv6" };
	bool all = true;

	for (uint32_t i = 0; i < ANSWERS; i++) {
		printf("--   %-18s %9lu\n", name[i], shares.answer[i]);
		all &= shares.answer[i] != 0;
	}
	return all;
}

/* A generator that only makes garbage proves nothing. False: one of the commonest is too rare. */
static bool say_shares(void)
{
	static const char *const where[] = { "dropped",	     "answered",     "to an endpoint",
					     "to the stack", "to the world", "on, untouched" };
	bool said[PK_REASON_SLOTS] = {}, enough;

	for (uint32_t i = 0; i <= GOES_ON; i++)
		say(where[i], shares.where[i]);
	enough = say_answers();
	for (uint32_t place = 0; place < PK_REASON_SLOTS; place++) {
		uint32_t most = 0;

		for (uint32_t i = 0; i < PK_REASON_SLOTS; i++)
			if (!said[i] && (said[most] || shares.reason[i] > shares.reason[most]))
				most = i;
		said[most] = true;
		say(reason_name(most), shares.reason[most]);
		if (place <= COMMON && shares.reason[most] * SHARE < shares.cases)
			enough = false;
	}
	say("with a mutation", shares.mutated);
	say("segmented, honestly", shares.segmented);
	say("with another id", shares.renamed);
	say("(words changed)", shares.hook[NEW_WORD]);
	say("(budgets changed)", shares.hook[NEW_BUDGET]);
	say("(time passed)", shares.hook[TIME]);
	return enough;
}

static uint64_t number(int argc, char **argv, const char *option, uint64_t none)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], option))
			return strtoull(argv[i + 1], NULL, 0);
	return none;
}

int main(int argc, char **argv)
{
	uint64_t seed = number(argc, argv, "--seed", SEED);
	uint64_t cases = number(argc, argv, "--cases", 1000000);
	uint64_t world = number(argc, argv, "--world", UINT64_MAX);
	bool enough;
	int r;

	if (geteuid()) {
		printf("0 passed, 0 failed, 1 skipped\n");
		fprintf(stderr, "model-test: it loads programs; fix: sudo\n");
		return 77;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = loaded_start();
	if (r) {
		printf("0 passed, 1 failed\n");
		return r == -ENOEXEC ? 3 : 1;
	}
	printf("-- seed %lu\n", seed);
	if (world != UINT64_MAX)
		one_world(seed, (uint32_t)world, SEQUENCE);
	for (uint32_t nr = 0; world == UINT64_MAX && shares.cases < cases; nr++)
		one_world(seed, nr,
			  cases - shares.cases < SEQUENCE ? (uint32_t)(cases - shares.cases)
							  : SEQUENCE);
	enough = say_shares() || world != UINT64_MAX;
	if (!enough)
		printf("FAILED one of the %d commonest reasons is rarer than one in %d, or a "
		       "kind of answer was never given\n",
		       COMMON, SHARE);
	if (shares.again * 200 > shares.cases / SEQUENCE + 200)
		printf("FAILED too much depended on the clock\n"), enough = false;
	loaded_stop();
	printf("%lu passed, %lu failed\n", shares.held, shares.failed + !enough);
	return shares.failed || !enough;
}

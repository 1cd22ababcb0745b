// SPDX-License-Identifier: Apache-2.0
/*
 * What a thousand nodes ask of Consul and of Nomad in one moment: while their servers are away, as
 * they come back, and as all nodes start at once. The questions, the sessions and the keys are those
 * of the real thing, in a time that is made up. What is counted stands in each second of it, and
 * beside it what only the leader can answer.
 */
#include "many_servers.h"

#include "consul_watch.h"
#include "keys_watch.h"
#include "leader.h"
#include "log.h"
#include "nomad_watch.h"
#include "publish_private.h"

#define NODES	1000
#define TENANTS 10	      /* with an endpoint on a node */
#define WATCHES (1 + TENANTS) /* of documents: the operator's and the tenants' */
#define PARTS	(2 + TENANTS) /* of other nodes' keys: nodes, blocks and shares */
#define KEYS	(2 + TENANTS) /* that a node writes: its word, its report and its shares */
#define ASKERS	(WATCHES + PARTS)
#define EACH	(NODES * ASKERS)
#define MEAN_S	16    /* between two questions of one that fails for long */
#define BACK_MS 25000 /* until all is well again */

/* -- a node */

struct node {
	struct pk_config config;
	struct pk_docs *docs;
	struct pk_store *store;
	struct pk_consul *watches[WATCHES];
	struct pk_keys_watch *parts[PARTS];
	struct pk_leader *leader, *nomads_leader;
	struct pk_nomad *nomad;
	struct pk_publish *publish;
	unsigned int heard;
};

static void on_change(void *arg)
{
	(void)arg;
}

static void on_keys(void *arg, const struct pk_keys_answer *said)
{
	struct node *n = arg;

	(void)said;
	n->heard++;
}

/* Tells whoever asks that nobody answers, and that the servers do again. */
static void on_leader(void *arg)
{
	struct node *n = arg;
	const char *why = pk_leader_why(n->leader);

	for (size_t i = 0; i < WATCHES; i++)
		if (why)
			pk_consul_unserved(n->watches[i], why);
		else
			pk_consul_served(n->watches[i], false);
	for (size_t i = 0; i < PARTS; i++)
		if (why)
			pk_keys_watch_unserved(n->parts[i], why);
		else
			pk_keys_watch_served(n->parts[i], false);
}

static void on_nomads_leader(void *arg)
{
	struct node *n = arg;
	const char *why = pk_leader_why(n->nomads_leader);

	if (why)
		pk_nomad_unserved(n->nomad, why);
	else
		pk_nomad_served(n->nomad, false);
}

static void on_node(void *arg, const struct pk_nomad_node *node)
{
	(void)arg;
	(void)node;
}

static void on_allocs(void *arg, struct pk_allocs *allocs)
{
	(void)arg;
	(void)allocs;
}

static void watch_nomad(struct node *n)
{
	const struct pk_nomad_fns fns = { on_node, on_allocs, n };

	n->nomad = pk_nomad_new(servers.loop, NULL, &n->config, &fns);
	n->nomads_leader = pk_leader_new(&(struct pk_leader_args){ .loop = servers.loop,
								   .service = &n->config.nomad,
								   .header = "X-Nomad-Token",
								   .told = on_nomads_leader,
								   .arg = n });
}

static void watch_documents(struct node *n)
{
	for (size_t i = 0; i < WATCHES; i++) {
		own_str of = { 0 };
		struct pk_consul_args args = { .loop = servers.loop,
					       .store = n->store,
					       .docs = n->docs,
					       .changed = on_change,
					       .confirmed = on_change,
					       .meant = on_change };

		if (i)
			pk_str_addf(&of, "consul/tenant/t%zu", i);
		args.of = i ? of.text : "consul/operator";
		n->watches[i] = pk_consul_new(&args);
	}
}

static void watch_nodes(struct node *n)
{
	for (size_t i = 0; i < PARTS; i++) {
		own_str prefix = { 0 };
		struct pk_keys_watch_args args = { .loop = servers.loop,
						   .store = n->store,
						   .budget = { 4096, 1u << 20 },
						   .cap = 1u << 20,
						   .many = i < 2,
						   .fn = on_keys,
						   .arg = n };

		if (i < 2)
			pk_str_addf(&prefix, "%s%s/", n->store->prefix, i ? "blocks" : "nodes");
		else
			pk_str_addf(&prefix, "%stenants/t%zu/", n->store->prefix, i);
		args.prefix = prefix.text;
		n->parts[i] = pk_keys_watch_new(&args);
	}
}

/* Its keys are written as the model would have them; a look finds nothing else. */
static void publish(struct node *n, size_t nr)
{
	struct pk_publish_args args = { .loop = servers.loop,
					.store = n->store,
					.config = &n->config,
					.prefix = n->store->prefix };
	own_str name = { 0 };

	pk_str_addf(&name, "n%zu", nr);
	args.node = name.text;
	n->publish = pk_publish_new(&args);
	pk_timer_clear(n->publish->look);
	n->publish->looked = true;
	for (size_t i = 0; i < KEYS; i++) {
		own_str key = { 0 };

		if (i < 2)
			pk_str_addf(&key, "%s/n%zu", i ? "status/nodes" : "nodes", nr);
		else
			pk_str_addf(&key, "tenants/t%zu/n%zu", i, nr);
		publish_key(n->publish, key.text)->body = pk_strdup("{\"number\":0}");
	}
}

/* With documents, what is in force is known from before, as from disk. */
static void start(struct node *n, size_t nr, struct pk_docs *docs)
{
	pk_config_init(&n->config);
	assert_int_equal(pk_service_put_address(n->config.consul.address[0], "http://192.0.2.1"),
			 0);
	n->config.nomad.on = true;
	assert_int_equal(pk_service_put_address(n->config.nomad.address[0], NOMAD), 0);
	strcpy(n->config.nomad_node, "n");
	strcpy(n->config.paths.root, "/dev/null"); /* what it would remember is left */
	n->docs = docs ?: pk_docs_new(NULL);
	n->store = pk_store_consul_new(NULL, &n->config);
	watch_documents(n);
	watch_nodes(n);
	n->leader = pk_leader_new(&(struct pk_leader_args){ .loop = servers.loop,
							    .service = &n->config.consul,
							    .header = "X-Consul-Token",
							    .told = on_leader,
							    .arg = n });
	watch_nomad(n);
	publish(n, nr);
}

/* Ends it, and returns what is in force. */
static struct pk_docs *end(struct node *n)
{
	struct pk_docs *docs = n->docs;

	for (size_t i = 0; i < WATCHES; i++)
		pk_consul_free(n->watches[i]);
	for (size_t i = 0; i < PARTS; i++)
		pk_keys_watch_free(n->parts[i]);
	pk_leader_free(n->leader);
	pk_leader_free(n->nomads_leader);
	pk_nomad_free(n->nomad);
	pk_publish_free(n->publish);
	pk_store_free(n->store);
	pk_config_done(&n->config);
	return docs;
}

/* -- the cluster */

static bool consuls_are_well(const struct node *nodes)
{
	for (size_t i = 0; i < NODES; i++) {
		for (size_t k = 0; k < WATCHES; k++)
			if (pk_consul_source(nodes[i].watches[k])->state != PK_SOURCE_OK)
				return false;
		for (size_t k = 0; k < PARTS; k++)
			if (pk_keys_watch_source(nodes[i].parts[k])->state != PK_SOURCE_OK)
				return false;
		if (pk_publish_behind(nodes[i].publish))
			return false;
	}
	return true;
}

static unsigned int nomads_that_are_well(const struct node *nodes)
{
	unsigned int n = 0;

	for (size_t i = 0; i < NODES; i++)
		n += pk_nomad_source(nodes[i].nomad)->state == PK_SOURCE_OK;
	return n;
}

static bool all_are_well(const struct node *nodes)
{
	return consuls_are_well(nodes) && nomads_that_are_well(nodes) == NODES;
}

static int setup(void **state)
{
	struct node *nodes = pk_alloc(NODES * sizeof(*nodes));

	pk_log_init("test", PK_LOG_ERROR); /* a line of each of them at each loss */
	servers.loop = pk_loop_new();
	for (size_t i = 0; i < NODES; i++) {
		start(&nodes[i], i, NULL);
		pass(servers.loop, 60); /* one after the other */
	}
	pass(servers.loop, 60000);
	*state = nodes;
	return 0;
}

static int teardown(void **state)
{
	struct node *nodes = *state;

	for (size_t i = 0; i < NODES; i++)
		pk_docs_free(end(&nodes[i]));
	free(nodes);
	pk_loop_free(servers.loop);
	return 0;
}

/* Who waits at any server goes on waiting; one question a node tells of the loss and of the new one. */
static void test_a_leader_is_lost(void **state)
{
	const uint64_t at = servers.loop->now;

	assert_true(all_are_well(*state));
	go(LEADERLESS);
	pass(servers.loop, 30000);
	assert_false(all_are_well(*state));
	go(UP);
	pass(servers.loop, BACK_MS);
	print_message("leader lost: %u requests a second at most, %u of them the leader's\n",
		      most(servers.asked, at), most(servers.leaders, at));
	assert_true(all_are_well(*state));
	assert_in_range(most(servers.asked, at), NODES / 10, 5 * EACH / 2 / MEAN_S);
	assert_in_range(most(servers.leaders, at), 1, NODES / 3);
}

/* All servers are away for minutes, and the sessions outlive it. */
static void test_all_servers_are_away(void **state)
{
	uint64_t at;

	go(AWAY);
	pass(servers.loop, 60000);
	at = servers.loop->now;
	go(UP);
	pass(servers.loop, BACK_MS);
	print_message(
		"servers back: %u requests a second at most of %u that wait, %u the leader's\n",
		most(servers.asked, at), EACH, most(servers.leaders, at));
	assert_true(all_are_well(*state));
	/* Each asks once for what there is, and once for what is newer. */
	assert_in_range(most(servers.asked, at), EACH / MEAN_S, 5 * EACH / 2 / MEAN_S);
	assert_in_range(most(servers.leaders, at), 1, NODES / 5);
}

/* It took so long that all sessions are over: each node writes all of its keys anew. */
static void test_all_sessions_are_over(void **state)
{
	uint64_t at;

	go(AWAY);
	servers.over = servers.sessions;
	pass(servers.loop, 60000);
	at = servers.loop->now;
	go(UP);
	pass(servers.loop, BACK_MS);
	print_message("sessions over: %u requests a second at most, %u of them the leader's\n",
		      most(servers.asked, at), most(servers.leaders, at));
	assert_true(all_are_well(*state));
	assert_in_range(most(servers.leaders, at), NODES * KEYS / 60, NODES * KEYS / 8);
}

/* Nomad's servers alone are away: all nodes have heard it within that time, too, and not at once. */
static void test_nomad_alone_is_away(void **state)
{
	uint64_t at = servers.loop->now;
	unsigned int peace;

	pass(servers.loop, 60000);
	peace = most(servers.asked, at);
	go_one(true, AWAY);
	pass(servers.loop, 60000);
	assert_int_equal(nomads_that_are_well(*state), 0);
	assert_true(consuls_are_well(*state));
	at = servers.loop->now;
	go_one(true, UP);
	pass(servers.loop, BACK_MS);
	print_message("Nomad back: %u requests a second at most, %u of them the leader's\n",
		      most(servers.nomads, at), most(servers.nomads_leaders, at));
	assert_true(all_are_well(*state));
	assert_in_range(most(servers.nomads, at), NODES / MEAN_S, 3 * NODES / 5);
	assert_int_equal(most(servers.nomads_leaders, at), 0);
	/* Consul is asked no more than in peace. */
	assert_in_range(most(servers.asked, at), 1, peace + peace / 4);
}

/* Nomad's leader alone is lost: who waits goes on waiting. */
static void test_nomads_leader_is_lost(void **state)
{
	const uint64_t at = servers.loop->now;

	go_one(true, LEADERLESS);
	pass(servers.loop, 30000);
	assert_int_equal(nomads_that_are_well(*state), 0);
	assert_true(consuls_are_well(*state));
	go_one(true, UP);
	pass(servers.loop, BACK_MS);
	print_message("Nomad's leader lost: %u requests a second at most\n",
		      most(servers.nomads, at));
	assert_true(all_are_well(*state));
	assert_in_range(most(servers.nomads, at), NODES / 10, 3 * NODES / 5);
}

/* As a node's watches of shares have it: what it wrote before is there, under its session. */
static void show_shares(struct node *n, size_t nr)
{
	const struct pk_kv kv = { .value = (char *)"{\"number\":1}",
				  .held = true,
				  .holder = pk_kv_holder(n->publish->session) };

	n->publish->shows_by_ms = servers.loop->now + 2000;
	for (size_t i = 2; i < KEYS; i++) {
		own_str key = { 0 };
		struct key *k;

		pk_str_addf(&key, "tenants/t%zu/n%zu", i, nr);
		k = publish_key(n->publish, key.text);
		k->recalled = true;
		k->number = 1;
		pk_publish_seen(n->publish, key.text, &kv);
	}
}

/*
 * Each node's picketd is started in one moment, as after an upgrade of all or a power cut. What
 * Consul says is what each knows from disk, while other keys were written.
 */
static void start_all(struct node *nodes, bool session_lives)
{
	char sessions[NODES][PK_STORE_HOLDER];
	struct pk_docs *docs[NODES];
	uint64_t at, index;

	pass(servers.loop, 60000);
	index = INDEX + servers.written;
	for (size_t i = 0; i < NODES; i++) {
		strcpy(sessions[i], nodes[i].publish->session);
		docs[i] = end(&nodes[i]);
	}
	servers.written += 1000;
	pass(servers.loop, 2000);
	memset(nodes, 0, NODES * sizeof(*nodes));
	at = servers.loop->now;
	for (size_t i = 0; i < NODES; i++) {
		assert_int_equal(pk_docs_history(docs[i], "consul/operator")->index, index);
		start(&nodes[i], i, docs[i]);
		if (!session_lives)
			continue;
		strcpy(nodes[i].publish->session, sessions[i]);
		show_shares(&nodes[i], i);
	}
	pass(servers.loop, BACK_MS);
	print_message("all start, sessions %s: %u requests a second at most, %u of them the "
		      "leader's; of Nomad %u, %u\n",
		      session_lives ? "live" : "are over", most(servers.asked, at),
		      most(servers.leaders, at), most(servers.nomads, at),
		      most(servers.nomads_leaders, at));
	/* Nothing spreads these yet: a node's own start waits for nobody. Each asks so much, once. */
	assert_in_range(most(servers.asked, at), NODES * ASKERS, NODES * (2 * ASKERS + KEYS + 2));
	assert_in_range(most(servers.nomads, at), NODES, NODES * 3);
	assert_int_equal(most(servers.nomads_leaders, at), 0);
	assert_true(all_are_well(nodes));
	/* What it has to say; what Consul says is as it was, and no question for the leader. */
	assert_in_range(most(servers.leaders, at), NODES, NODES * (session_lives ? 3 : KEYS + 1));
}

static void test_all_start_at_once(void **state)
{
	start_all(*state, false);
}

/* Within a minute of their end: each renews its session, and writes its word and its report. */
static void test_all_start_soon(void **state)
{
	start_all(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_leader_is_lost),
		cmocka_unit_test(test_all_servers_are_away),
		cmocka_unit_test(test_all_sessions_are_over),
		cmocka_unit_test(test_nomad_alone_is_away),
		cmocka_unit_test(test_nomads_leader_is_lost),
		cmocka_unit_test(test_all_start_at_once),
		cmocka_unit_test(test_all_start_soon),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

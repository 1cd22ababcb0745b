/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the kernel's messages make picketd look for the node's uplinks anew. */
#include "kernel_room.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "controller/node/uplink_watch.h"
#include "netns.h"
#include "nl.h"
#include "stack.h"

#define OURS   20 /* the ifindexes of two devices */
#define UPLINK 22

static struct pk_nl *nl;
static int heard_fd = -1;

static void listen_anew(void)
{
	if (heard_fd >= 0)
		close(heard_fd);
	heard_fd = pk_uplink_watch_listen(NULL);
	assert_true(heard_fd >= 0);
}

/* How many messages were said, how many of them of that type, and how many concern `uplink`. */
struct heard {
	unsigned int n, of_type, concern;
};

static struct heard hear(uint16_t type, uint32_t uplink)
{
	const struct pk_uplinks now = { .n = 1, .list = { { .ifindex = uplink } } };
	const struct pk_uplink_names names = { 0 };
	_Alignas(struct nlmsghdr) char buf[32768];
	struct heard heard = { 0 };
	ssize_t n;

	while ((n = recv(heard_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			heard.n++;
			heard.of_type += h->nlmsg_type == type;
			heard.concern += pk_uplink_watch_concerns(&now, &names, h);
		}
	}
	return heard;
}

/* As ADD makes an endpoint's host end: guarded, set, up, with its route. */
static void make_device(uint32_t ifindex, const char *name)
{
	own_netns home = PK_NETNS_NONE;
	struct pk_nl_veth veth = { .name = name,
				   .ifindex = ifindex,
				   .mac = { 2, 0x70, 1, 2, 3, (uint8_t)ifindex },
				   .host_name = "peer0",
				   .host_mac = { 2, 0x70, 1, 2, 4, (uint8_t)ifindex },
				   .mtu = 1500 };
	struct pk_nl_route route = { .ifindex = ifindex, .to = { .len = 32 } };
	const struct pk_nl_filter filter = { .ifindex = ifindex,
					     .prog = room.bpf->prog[PK_PROG_FROM_ENDPOINT],
					     .name = "pk_from_endpoint" };

	assert_ok(pk_netns_self(&home, &e));
	veth.host_netns = home.fd;
	assert_ok(pk_addr_parse("10.40.0.7", &route.to.addr));
	pk_nl_veth(nl, &veth);
	pk_nl_clsact(nl, ifindex);
	pk_nl_filter(nl, &filter);
	pk_stack_push(nl, ifindex);
	pk_nl_up(nl, ifindex);
	pk_nl_route(nl, &route);
	assert_ok(pk_nl_send(nl, &e));
}

static void drop_device(uint32_t ifindex)
{
	pk_nl_delete(nl, ifindex);
	assert_ok(pk_nl_send(nl, &e));
}

static void test_an_endpoints_life_concerns_no_uplink(void **state)
{
	struct heard heard;

	(void)state;
	NEED_ROOM();
	listen_anew();
	make_device(OURS, "ours0");
	drop_device(OURS);
	heard = hear(RTM_NEWCHAIN, UPLINK);
	assert_true(heard.n > 5);
	assert_true(heard.of_type > 0); /* the filter's, which nobody asked for */
	assert_int_equal(heard.concern, 0);
}

static void test_what_becomes_of_an_uplink_concerns_it(void **state)
{
	(void)state;
	NEED_ROOM();
	make_device(UPLINK, "up0");
	listen_anew();
	drop_device(UPLINK);
	assert_true(hear(RTM_DELCHAIN, UPLINK).concern > 0);
}

static void test_a_chain_of_an_uplink_that_goes(void **state)
{
	const struct pk_uplinks now = { .n = 1, .list = { { .ifindex = UPLINK } } };
	const struct pk_uplink_names names = { 0 };
	struct {
		struct nlmsghdr head;
		struct tcmsg body;
	} message = { .head = { .nlmsg_len = sizeof(message), .nlmsg_type = RTM_DELCHAIN },
		      .body = { .tcm_ifindex = UPLINK } };

	(void)state;
	assert_true(pk_uplink_watch_concerns(&now, &names, &message.head));
	message.body.tcm_ifindex = OURS;
	assert_false(pk_uplink_watch_concerns(&now, &names, &message.head));
}

static int enter(void **state)
{
	if (room_load(state) < 0)
		return -1;
	return room.made ? pk_nl_open(&nl, NULL) : 0;
}

static int leave(void **state)
{
	if (heard_fd >= 0)
		close(heard_fd);
	pk_nl_close(nl);
	return room_leave(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_endpoints_life_concerns_no_uplink),
		cmocka_unit_test(test_what_becomes_of_an_uplink_concerns_it),
		cmocka_unit_test(test_a_chain_of_an_uplink_that_goes),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}

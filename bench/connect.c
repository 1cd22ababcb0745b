/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New TCP connections a second, one after the other, from one network namespace's stack to
 * another's: connected, accepted, reset.
 *
 *   connect --rounds R --count N PATH…
 * A path is NAME,SERVER_NETNS,PORT,CLIENT_NETNS,ADDRESS,TO_PORT: the server listens at PORT, the
 * client connects to ADDRESS and TO_PORT. Rounds go over all paths in turn. Prints
 * {"NAME":{"rate":[one a round]},…}.
 */
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tap.h"

#define PATHS_MAX  4
#define ROUNDS_MAX 100

struct path {
	const char *name, *client;
	struct sockaddr_in to;
	uint64_t rate[ROUNDS_MAX];
};

/* Accepts and closes for as long as its parent lives. */
static void serve(uint16_t port)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (const void *)&any, sizeof(any)) < 0 || listen(fd, 512) < 0)
		die("listen");
	if (fork()) {
		close(fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0);
	for (;;)
		close(accept(fd, NULL, NULL));
}

static void open_path(struct path *p, char *spec)
{
	char *part[6];
	int home;

	split(spec, part, 6);
	p->name = part[0];
	p->client = part[3];
	p->to.sin_family = AF_INET;
	p->to.sin_port = htons((uint16_t)atoi(part[5]));
	if (!inet_aton(part[4], &p->to.sin_addr))
		die(part[4]);
	home = enter(part[1]);
	serve((uint16_t)atoi(part[2]));
	leave(home);
}

/* A reset leaves nothing that waits behind: neither end runs out of ports. */
static void connect_once(const struct path *p)
{
	const struct linger reset = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const void *)&p->to, sizeof(p->to)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		die(p->name);
	close(fd);
}

static uint64_t run_round(const struct path *p, int count)
{
	int home = enter(p->client);
	uint64_t start;

	connect_once(p); /* the first one resolves neighbours */
	start = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < count; i++)
		connect_once(p);
	start = clock_ns(CLOCK_MONOTONIC) - start;
	leave(home);
	return (uint64_t)count * UINT64_C(1000000000) / start;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", 1, NULL, 'r' },
						 { "count", 1, NULL, 'c' },
						 { 0 } };
	static struct path paths[PATHS_MAX];
	int o, n = 0, rounds = 7, count = 1000;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'r')
			rounds = atoi(optarg);
		else if (o == 'c')
			count = atoi(optarg);
		else
			return 2;
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || count < 1)
		return 2;
	for (; optind < argc && n < PATHS_MAX; optind++)
		open_path(&paths[n++], argv[optind]);
	pin(1);
	for (int r = 0; r < rounds; r++)
		for (int i = 0; i < n; i++)
			paths[i].rate[r] = run_round(&paths[i], count);
	for (int i = 0; i < n; i++) {
		printf("%s\"%s\":{", i ? "," : "{", paths[i].name);
		print_figures("rate", paths[i].rate, rounds);
		printf("}");
	}
	printf("}\n");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "resolv.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs.h"
#include "own.h"

#define RESOLV_CONF_MAX 65536

const char *const pk_resolv_files[PK_RESOLV_FILES] = { "etc/resolv.conf",
						       "run/systemd/resolve/resolv.conf" };

bool pk_addr_is_loopback(const union pk_addr *a)
{
	static const union pk_addr one = { .b = { [15] = 1 } };

	return pk_addr_is4(a) ? a->b[12] == 127 : pk_addr_equal(a, &one);
}

/*
 * Returns whether systemd-resolved's stub listens there; 127.0.0.54 passes questions on as they
 * are.
 */
static bool is_stub(const union pk_addr *a)
{
	return pk_addr_is4(a) && pk_addr_is_loopback(a) && !a->b[13] && !a->b[14] &&
	       (a->b[15] == 53 || a->b[15] == 54);
}

static void take_server(const union pk_addr *a, const struct pk_resolv_fns *fns,
			struct pk_resolv_seen *seen)
{
	if (pk_addr_is_loopback(a)) {
		if (pk_addr_is_zero(&seen->loopback))
			seen->loopback = *a;
		seen->stub |= is_stub(a);
		return;
	}
	seen->n++;
	if (fns->server)
		fns->server(fns->arg, a);
}

static void take_line(char *line, const struct pk_resolv_fns *fns, struct pk_resolv_seen *seen)
{
	char *key = strsep(&line, " \t"), *word;
	bool search = !strcmp(key, "search") || !strcmp(key, "domain"), first = true;
	union pk_addr a;

	if (!search && strcmp(key, "nameserver") != 0)
		return;
	while ((word = strsep(&line, " \t"))) {
		if (!*word)
			continue;
		if (search && fns->search)
			fns->search(fns->arg, word, first);
		else if (!search && pk_addr_parse(word, &a) == 0)
			take_server(&a, fns, seen);
		first = false;
	}
}

void pk_resolv_conf_parse(char *text, const struct pk_resolv_fns *fns, struct pk_resolv_seen *seen)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line != '#' && *line != ';')
			take_line(line, fns, seen);
}

static void read_file(const struct pk_paths *paths, const char *file,
		      const struct pk_resolv_fns *fns, struct pk_resolv_seen *seen)
{
	own_mem char *text = NULL;
	char path[PK_PATH_ROOM];

	snprintf(path, sizeof(path), "%s/%s", paths->root, file);
	if (pk_fs_read_own(path, RESOLV_CONF_MAX, &text, NULL, NULL) == 0)
		pk_resolv_conf_parse(text, fns, seen);
}

/* The search list stays that of the first file. */
void pk_resolv_conf_read(const struct pk_paths *paths, const struct pk_resolv_fns *fns,
			 struct pk_resolv_seen *seen)
{
	const struct pk_resolv_fns servers = { .server = fns->server, .arg = fns->arg };

	*seen = (struct pk_resolv_seen){ 0 };
	read_file(paths, pk_resolv_files[0], fns, seen);
	if (seen->stub && !seen->n)
		read_file(paths, pk_resolv_files[1], &servers, seen);
}

static void say_how(struct pk_err *note)
{
	pk_fix(note, 0,
	       "name resolvers that guests reach: \"dns\": { \"servers\": [\"10.0.0.53\"] } in the "
	       "conflist; where this node is to serve, let its resolver listen on an address that "
	       "isn't loopback, and name that");
}

bool pk_resolv_none(const struct pk_resolv_seen *seen, struct pk_err *note)
{
	char text[PK_ADDR_TEXT];

	if (seen->n)
		return false;
	if (pk_addr_is_zero(&seen->loopback))
		pk_fail(note, 0, "guests get no resolver: /etc/resolv.conf names none");
	else
		pk_fail(note, 0,
			"guests get no resolver: /etc/resolv.conf names only %s, which is each "
			"guest's own",
			pk_addr_format(&seen->loopback, text));
	say_how(note);
	return true;
}

void pk_resolv_unreachable(const union pk_addr *server, struct pk_err *note)
{
	char text[PK_ADDR_TEXT];

	pk_fail(note, 0, "only the node itself reaches the resolver %s",
		pk_addr_format(server, text));
	say_how(note);
}

bool pk_addr_is_local(const union pk_addr *addr)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = pk_addr_to4(addr) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is4 = pk_addr_is4(addr);
	own_fd int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&v6.sin6_addr, addr, sizeof(v6.sin6_addr));
	if (fd < 0)
		return false;
	return bind(fd, is4 ? (void *)&v4 : (void *)&v6, is4 ? sizeof(v4) : sizeof(v6)) == 0;
}

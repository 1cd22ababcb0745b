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

bool pk_addr_is_loopback(const union pk_addr *a)
{
	static const union pk_addr one = { .b = { [15] = 1 } };

	return pk_addr_is4(a) ? a->b[12] == 127 : pk_addr_equal(a, &one);
}

static void take_line(char *line, const struct pk_resolv_fns *fns)
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
		else if (!search && pk_addr_parse(word, &a) == 0 && !pk_addr_is_loopback(&a))
			fns->server(fns->arg, &a);
		first = false;
	}
}

void pk_resolv_conf_parse(char *text, const struct pk_resolv_fns *fns)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line != '#' && *line != ';')
			take_line(line, fns);
}

void pk_resolv_conf_read(const struct pk_paths *paths, const struct pk_resolv_fns *fns)
{
	own_mem char *text = NULL;
	char path[PK_PATH_ROOM];

	snprintf(path, sizeof(path), "%s/etc/resolv.conf", paths->root);
	if (pk_fs_read(path, RESOLV_CONF_MAX, &text, NULL, NULL) == 0)
		pk_resolv_conf_parse(text, fns);
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

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reaches Nomad or Consul, and makes requests to them: address, token, certificates and scope. */
#include <stdbool.h>

#include "err.h"
#include "http_request.h"
#include "paths.h"
#include "str.h"

#define PK_SERVICE_ADDRESSES 5
#define PK_SERVICE_NAME	     256
#define PK_SERVICE_TOKEN     4096

#define PK_SERVICE_FORMS "http://HOST:PORT, https://HOST:PORT or unix:///PATH, without a password"
/* The same as a regular expression. */
#define PK_SERVICE_PATTERN "^(https?://[^/:@?#\\\\\"\\s][^@?#\\\\\"\\s]*|unix:///[^@?#\\\\\"\\s]+)$"

struct pk_service {
	bool on;
	bool said;					     /* a file has it, or null */
	char address[PK_SERVICE_ADDRESSES][PK_SERVICE_NAME]; /* asked in turn; "" ends them */
	char token_file[PK_PATH_ROOM];
	char token[128]; /* a token, from the environment only */
	char ca_file[PK_PATH_ROOM];
	char cert_file[PK_PATH_ROOM], key_file[PK_PATH_ROOM]; /* the client's own; both or none */
	char server_name[PK_SERVICE_NAME]; /* whom the server's certificate names; "" = the host */
	char region[PK_SERVICE_NAME];	   /* Nomad's; "" = the agent's own */
	char namespace[PK_SERVICE_NAME], partition[PK_SERVICE_NAME]; /* Consul's, likewise */
};

/*
 * Takes http, https and unix addresses; slashes at the end go. A password is refused, since it
 * would be shown with the address.
 */
int pk_service_put_address(char to[PK_SERVICE_NAME], const char *text);

/* The variables of both tools, by the keys that they stand for in picketd.json. */
struct pk_service_variable {
	const char *section, *key, *name;
	bool is_path;
	size_t at, room; /* of the member; room 0: the first address */
};
extern const struct pk_service_variable pk_service_variables[]; /* ends with a NULL name */
typedef const char *pk_service_env_fn(const char *name);	/* NULL: it isn't set */
/*
 * Reads an address. CONSUL_HTTP_ADDR is usually written without a scheme; CONSUL_HTTP_SSL says
 * which.
 */
int pk_service_address_from(char to[PK_SERVICE_NAME], const struct pk_service_variable *variable,
			    pk_service_env_fn *env);
int pk_service_fail_variable(const struct pk_service_variable *variable, struct pk_err *err);
void pk_service_token_from(struct pk_service *service, const char *name, pk_service_env_fn *env);
/* Read how Consul's, or Nomad's, own tool would reach it. */
int pk_service_consul(struct pk_service *service, pk_service_env_fn *env, struct pk_err *err);
int pk_service_nomad(struct pk_service *service, pk_service_env_fn *env, struct pk_err *err);

/* Returns how many addresses it has. */
unsigned int pk_service_addresses(const struct pk_service *service);
/* Returns the number of the address whose turn it is, by an asker's count of failed answers. */
unsigned int pk_service_turn(const struct pk_service *service, unsigned int turn);

/* A request points into these parts, so they must not move. */
struct pk_service_parts {
	char token[PK_SERVICE_TOKEN + 1];
	struct pk_str url;
};
/*
 * Sets where the request goes and as whom; path is encoded. Several addresses are one service's:
 * turn counts an asker's answers that failed, and each leads to the next address. The token file is
 * read anew for each request, so a rotated token counts at once.
 */
int pk_service_request(const struct pk_service *service, const char *path, unsigned int turn,
		       struct pk_service_parts *parts, struct pk_http_request *request,
		       struct pk_err *err);
void pk_service_parts_done(struct pk_service_parts *parts);

/* What parts an error that is one text from what mends it; no quoted word of a peer has it. */
#define PK_SERVICE_FIX "; fix: "
/*
 * Returns that mark in an error, NULL where it has none. It is the last one: names that others
 * chose are in the text before it, with whatever marks they have.
 */
const char *pk_service_fix_at(const char *error);
#define PK_SERVICE_NO_LEADER "the servers have no leader"
#define PK_SERVICE_OTHER                                                                           \
	PK_SERVICE_FIX                                                                             \
	"name an agent's own address: a proxy or another server seems to answer there"
#define PK_SERVICE_NO_INDEX "an answer without an index: not Nomad's" PK_SERVICE_OTHER
/*
 * Writes why an answer is no good: "status 403: Permission denied", "status 0: …". Returns false
 * where it is good (200, or allow404).
 */
bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room);
/* Appends text with everything but unreserved characters (RFC 3986) and those of keep as %XX. */
void pk_url_add(struct pk_str *url, const char *text, const char *keep);

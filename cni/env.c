/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include <stdbool.h>
#include <string.h>

#include "args.h"
#include "own.h"
#include "paths.h"
#include "picket/limits.h"

static const char *word(const char *(*get)(const char *name), const char *name)
{
	const char *value = get(name);

	return value ? value : "";
}

static int refuse(struct pk_err *err, int r, const char *fix)
{
	return pk_code(err, pk_fix(err, r, "%s", fix), PK_CODE_ENV);
}

static int read_verb(const char *text, enum cni_verb *verb, struct pk_err *err)
{
	for (unsigned int i = 0; i <= CNI_VERSION; i++) {
		if (!strcmp(text, cni_verb_name((enum cni_verb)i))) {
			*verb = (enum cni_verb)i;
			return 0;
		}
	}
	return refuse(err, pk_fail(err, 0, "CNI_COMMAND=\"%.20s\" is no CNI verb", text),
		      "use ADD, DEL, CHECK, GC, STATUS or VERSION");
}

static int check_attachment(const struct cni_env *env, struct pk_err *err)
{
	if (!cni_id_ok(env->container_id))
		return refuse(err,
			      pk_fail(err, 0,
				      "CNI_CONTAINERID=\"%.40s\" is not 1 to %d of "
				      "a-z A-Z 0-9 _ . -",
				      env->container_id, PK_CNI_ID_MAX),
			      "use the allocation's or the VM's id");
	if (!cni_ifname_ok(env->ifname) || strchr(env->ifname, '@') || !strcmp(env->ifname, "lo"))
		return refuse(
			err,
			pk_fail(err, 0, "CNI_IFNAME=\"%.40s\" is no interface name", env->ifname),
			"1 to 15 characters without '/', ':', '@' and blanks, such as eth0");
	if (env->verb == CNI_DEL)
		return 0;
	if (env->netns[0] != '/')
		return refuse(
			err, pk_fail(err, 0, "CNI_NETNS=\"%.40s\" is no absolute path", env->netns),
			"give the path of a network namespace");
	return 0;
}

int cni_env_read(const char *(*get)(const char *name), struct cni_env *env, struct pk_err *err)
{
	int r;

	*env = (struct cni_env){
		.container_id = word(get, "CNI_CONTAINERID"),
		.netns = word(get, "CNI_NETNS"),
		.ifname = word(get, "CNI_IFNAME"),
		.args = word(get, "CNI_ARGS"),
	};
	r = read_verb(word(get, "CNI_COMMAND"), &env->verb, err);
	if (r < 0 || env->verb > CNI_CHECK)
		return r;
	return check_attachment(env, err);
}

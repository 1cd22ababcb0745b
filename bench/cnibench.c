/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a list of CNI plugins as libcni does and times it: each plugin is started with the
 * environment of the spec and its own configuration (name, cniVersion and prevResult merged in)
 * on standard input. The clock runs from the first start to the last exit; making and deleting
 * the network namespace is outside of it, but for --cycles, which times whole lives.
 *
 *   cnibench --list FILE --path DIR[:DIR] --dir NETNS_DIR [--args K=V;...] [--prefix ID]
 *            [--first N] [--port HOST:CONTAINER] --count N | --cycles N --workers W | --add N | --del N
 *
 * Prints one JSON object: {"add":[ns…],"del":[ns…],"netns":[ns…],"cpu":[ns…]} (what making the
 * network namespace alone took, and the processor's time of the ADD), or {"cycles":N,"ns":T,"thousands":[ns…]} (how long each thousand lives
 * took).
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PLUGINS_MAX 8
#define LIVES_MAX   100000

struct bench {
	const char *path, *dir, *args, *prefix, *port;
	cJSON *list;
	char binary[PLUGINS_MAX][PATH_MAX];
	int n_plugins;
	int first;
	int home;	 /* our own network namespace */
	uint64_t cpu_ns; /* of the plugins of this process so far */
};

static void die(const char *what)
{
	fprintf(stderr, "cnibench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static char *read_all(int fd)
{
	static char buf[1 << 20];
	size_t n = 0;
	ssize_t r;

	lseek(fd, 0, SEEK_SET);
	while ((r = read(fd, buf + n, sizeof(buf) - 1 - n)) > 0)
		n += (size_t)r;
	buf[n] = '\0';
	return buf;
}

/* A plugin's binary is looked up once: libcni does it for each call, in a few stat calls. */
static void find_plugin(struct bench *b, int i, const char *type)
{
	char dirs[PATH_MAX], *save = NULL;

	snprintf(dirs, sizeof(dirs), "%s", b->path);
	for (char *d = strtok_r(dirs, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
		snprintf(b->binary[i], PATH_MAX, "%s/%s", d, type);
		if (access(b->binary[i], X_OK) == 0)
			return;
	}
	fprintf(stderr, "cnibench: no plugin \"%s\" in %s\n", type, b->path);
	exit(1);
}

static int memfd_with(const char *text)
{
	int fd = memfd_create("cni", MFD_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		die("memfd");
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static uint64_t cpu_of(const struct rusage *used)
{
	return (uint64_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) * 1000u;
}

/* One start of one plugin; its standard output is left in out (a memfd, emptied first). */
static void run_plugin(struct bench *b, int i, char *const env[], const char *conf, int out)
{
	posix_spawn_file_actions_t files;
	char *argv[] = { b->binary[i], NULL };
	int in = memfd_with(conf), status;
	struct rusage used;
	pid_t pid;

	if (ftruncate(out, 0) < 0 || lseek(out, 0, SEEK_SET) < 0)
		die("memfd");
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	if (posix_spawn(&pid, b->binary[i], &files, NULL, argv, env))
		die(b->binary[i]);
	if (wait4(pid, &status, 0, &used) != pid)
		die("wait");
	b->cpu_ns += cpu_of(&used);
	posix_spawn_file_actions_destroy(&files);
	close(in);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "cnibench: %s: status %d: %s\n", b->binary[i], status,
			read_all(out));
		exit(1);
	}
}

/* A TCP port for the plugins that ask for mappings, as the runtime gives it to them. */
static void add_port(const struct bench *b, cJSON *conf)
{
	const cJSON *can = cJSON_GetObjectItemCaseSensitive(conf, "capabilities");
	const char *to = b->port ? strchr(b->port, ':') : NULL;
	cJSON *runtime, *mapping;

	if (!to || !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(can, "portMappings")))
		return;
	runtime = cJSON_AddObjectToObject(conf, "runtimeConfig");
	mapping = cJSON_CreateObject();
	cJSON_AddNumberToObject(mapping, "hostPort", atoi(b->port));
	cJSON_AddNumberToObject(mapping, "containerPort", atoi(to + 1));
	cJSON_AddStringToObject(mapping, "protocol", "tcp");
	cJSON_AddItemToArray(cJSON_AddArrayToObject(runtime, "portMappings"), mapping);
}

static char *plugin_conf(struct bench *b, int i, const cJSON *prev)
{
	const cJSON *plugins = cJSON_GetObjectItemCaseSensitive(b->list, "plugins");
	cJSON *conf = cJSON_Duplicate(cJSON_GetArrayItem(plugins, i), 1);
	static const char *const keys[] = { "name", "cniVersion" };
	char *text;

	for (int k = 0; k < 2; k++)
		cJSON_AddItemToObject(
			conf, keys[k],
			cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(b->list, keys[k]), 1));
	if (prev)
		cJSON_AddItemToObject(conf, "prevResult", cJSON_Duplicate(prev, 1));
	add_port(b, conf);
	text = cJSON_PrintUnformatted(conf);
	cJSON_Delete(conf);
	return text;
}

/* ADD in order, DEL in reverse; prev is the result so far (ADD) or the final one (DEL). */
static uint64_t verb(struct bench *b, const char *command, const char *id, cJSON **prev)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char e[6][PATH_MAX + 64];
	char *env[] = { e[0], e[1], e[2], e[3], e[4], e[5], path, NULL };
	bool add = !strcmp(command, "ADD");
	int out = memfd_create("out", MFD_CLOEXEC);
	uint64_t start;

	snprintf(e[0], sizeof(e[0]), "CNI_COMMAND=%s", command);
	snprintf(e[1], sizeof(e[1]), "CNI_CONTAINERID=%s", id);
	snprintf(e[2], sizeof(e[2]), "CNI_NETNS=%s/%s", b->dir, id);
	snprintf(e[3], sizeof(e[3]), "CNI_IFNAME=eth0");
	snprintf(e[4], sizeof(e[4]), "CNI_PATH=%s", b->path);
	if (add && b->args)
		snprintf(e[5], sizeof(e[5]), "CNI_ARGS=%s;NOMAD_ALLOC_ID=%s", b->args, id);
	else
		snprintf(e[5], sizeof(e[5]), "CNI_ARGS=");
	start = now_ns();
	for (int n = 0; n < b->n_plugins; n++) {
		int i = add ? n : b->n_plugins - 1 - n;
		char *conf = plugin_conf(b, i, *prev);

		run_plugin(b, i, env, conf, out);
		free(conf);
		if (add) {
			cJSON_Delete(*prev);
			*prev = cJSON_Parse(read_all(out));
			if (!*prev)
				die("result is no JSON");
		}
	}
	start = now_ns() - start;
	close(out);
	return start;
}

static void netns_make(struct bench *b, const char *id)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", b->dir, id);
	fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	if (fd < 0 || unshare(CLONE_NEWNET) < 0 ||
	    mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0 ||
	    setns(b->home, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static void netns_drop(struct bench *b, const char *id)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", b->dir, id);
	if (umount2(path, MNT_DETACH) < 0 || unlink(path) < 0)
		die(path);
}

static void make_id(const struct bench *b, int i, char id[NAME_MAX])
{
	/* The form of an alloc id: what CNI_ARGS says must be equal to it. */
	snprintf(id, NAME_MAX, "%s-%08x", b->prefix, i);
}

static cJSON *numbers(const uint64_t *v, int n)
{
	cJSON *a = cJSON_CreateArray();

	for (int i = 0; i < n; i++)
		cJSON_AddItemToArray(a, cJSON_CreateNumber((double)v[i]));
	return a;
}

static void run_count(struct bench *b, int count)
{
	uint64_t *add = calloc((size_t)count, sizeof(*add)),
		 *del = calloc((size_t)count, sizeof(*del)),
		 *netns = calloc((size_t)count, sizeof(*netns)),
		 *cpu = calloc((size_t)count, sizeof(*cpu));
	cJSON *out = cJSON_CreateObject();

	for (int i = 0; i < count; i++) {
		cJSON *result = NULL;
		char id[NAME_MAX];

		make_id(b, b->first + i, id);
		netns[i] = now_ns();
		netns_make(b, id);
		netns[i] = now_ns() - netns[i];
		b->cpu_ns = 0;
		add[i] = verb(b, "ADD", id, &result);
		cpu[i] = b->cpu_ns;
		del[i] = verb(b, "DEL", id, &result);
		netns_drop(b, id);
		cJSON_Delete(result);
	}
	cJSON_AddItemToObject(out, "add", numbers(add, count));
	cJSON_AddItemToObject(out, "del", numbers(del, count));
	cJSON_AddItemToObject(out, "netns", numbers(netns, count));
	cJSON_AddItemToObject(out, "cpu", numbers(cpu, count));
	puts(cJSON_PrintUnformatted(out));
}

/* Shared by the workers: how many lives have ended, and when each thousandth did. */
struct tally {
	int ended;
	uint64_t at[LIVES_MAX / 1000 + 1];
};

static void one_life(struct bench *b, int i, struct tally *tally)
{
	cJSON *result = NULL;
	char id[NAME_MAX];
	int ended;

	make_id(b, b->first + i, id);
	netns_make(b, id);
	verb(b, "ADD", id, &result);
	verb(b, "DEL", id, &result);
	netns_drop(b, id);
	cJSON_Delete(result);
	ended = __atomic_add_fetch(&tally->ended, 1, __ATOMIC_RELAXED);
	if (ended % 1000 == 0)
		tally->at[ended / 1000] = now_ns();
}

static void print_cycles(const struct tally *tally, int cycles)
{
	uint64_t thousands[LIVES_MAX / 1000];
	cJSON *out = cJSON_CreateObject();
	int n = cycles / 1000;

	for (int i = 0; i < n; i++)
		thousands[i] = tally->at[i + 1] - tally->at[i];
	cJSON_AddItemToObject(out, "cycles", cJSON_CreateNumber(cycles));
	cJSON_AddItemToObject(out, "ns", cJSON_CreateNumber((double)(now_ns() - tally->at[0])));
	cJSON_AddItemToObject(out, "thousands", numbers(thousands, n));
	puts(cJSON_PrintUnformatted(out));
}

static void run_cycles(struct bench *b, int cycles, int workers)
{
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (tally == MAP_FAILED || cycles > LIVES_MAX)
		die("too many lives");
	tally->at[0] = now_ns();
	for (int w = 0; w < workers; w++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		for (int i = w; i < cycles; i += workers)
			one_life(b, i, tally);
		exit(0);
	}
	for (int w = 0; w < workers; w++) {
		int status;

		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
			exit(1);
	}
	print_cycles(tally, cycles);
}

/* ADD that stays: results go to NETNS_DIR/<id>.json, where --del finds them. */
static void run_add(struct bench *b, int count)
{
	for (int i = 0; i < count; i++) {
		char id[NAME_MAX], path[PATH_MAX];
		cJSON *result = NULL;
		FILE *f;

		make_id(b, b->first + i, id);
		netns_make(b, id);
		verb(b, "ADD", id, &result);
		snprintf(path, sizeof(path), "%s/%s.json", b->dir, id);
		f = fopen(path, "we");
		if (!f || fputs(cJSON_PrintUnformatted(result), f) < 0 || fclose(f))
			die(path);
		cJSON_Delete(result);
	}
	printf("{\"added\":%d}\n", count);
}

static void run_del(struct bench *b, int count)
{
	for (int i = 0; i < count; i++) {
		char id[NAME_MAX], path[PATH_MAX];
		cJSON *result;
		int fd;

		make_id(b, b->first + i, id);
		snprintf(path, sizeof(path), "%s/%s.json", b->dir, id);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(path);
		result = cJSON_Parse(read_all(fd));
		close(fd);
		unlink(path);
		verb(b, "DEL", id, &result);
		netns_drop(b, id);
		cJSON_Delete(result);
	}
	printf("{\"deleted\":%d}\n", count);
}

static void load_list(struct bench *b, const char *path)
{
	const cJSON *plugin, *plugins;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	b->list = cJSON_Parse(read_all(fd));
	close(fd);
	plugins = cJSON_GetObjectItemCaseSensitive(b->list, "plugins");
	if (!plugins || cJSON_GetArraySize(plugins) > PLUGINS_MAX) {
		fprintf(stderr, "cnibench: %s: no list of at most %d plugins\n", path, PLUGINS_MAX);
		exit(1);
	}
	cJSON_ArrayForEach(plugin, plugins)
	{
		const cJSON *type = cJSON_GetObjectItemCaseSensitive(plugin, "type");

		find_plugin(b, b->n_plugins++, type->valuestring);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", 1, NULL, 'l' },
		{ "path", 1, NULL, 'p' },
		{ "dir", 1, NULL, 'd' },
		{ "args", 1, NULL, 'a' },
		{ "prefix", 1, NULL, 'x' },
		{ "first", 1, NULL, 'f' },
		{ "count", 1, NULL, 'c' },
		{ "cycles", 1, NULL, 'y' },
		{ "workers", 1, NULL, 'w' },
		{ "add", 1, NULL, 'A' },
		{ "del", 1, NULL, 'D' },
		{ "port", 1, NULL, 'P' },
		{ 0 },
	};
	struct bench b = { .prefix = "bench" };
	int o, mode = 0, n = 0, workers = 8;
	const char *list = NULL;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'l':
			list = optarg;
			break;
		case 'p':
			b.path = optarg;
			break;
		case 'd':
			b.dir = optarg;
			break;
		case 'a':
			b.args = optarg;
			break;
		case 'x':
			b.prefix = optarg;
			break;
		case 'P':
			b.port = optarg;
			break;
		case 'f':
			b.first = atoi(optarg);
			break;
		case 'w':
			workers = atoi(optarg);
			break;
		case 'c':
		case 'y':
		case 'A':
		case 'D':
			mode = o;
			n = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (!list || !b.path || !b.dir || n <= 0 || workers <= 0)
		return fprintf(stderr, "cnibench: --list, --path, --dir and a count are needed\n"),
		       2;
	b.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	load_list(&b, list);
	if (mode == 'c')
		run_count(&b, n);
	else if (mode == 'y')
		run_cycles(&b, n, workers);
	else if (mode == 'A')
		run_add(&b, n);
	else
		run_del(&b, n);
	return 0;
}

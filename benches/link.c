/*
 * A link with a delay and a rate, between a client and a server on sockets.
 *
 *   link LISTEN CONNECT DELAY_US MBIT
 *
 * Accepts connections on the Unix socket LISTEN, and passes what it reads on to the
 * Unix socket CONNECT and back: DELAY_US later, and all connections together no
 * faster than MBIT a direction. A direction holds WINDOW bytes that are under way,
 * as TCP does whose windows are large enough.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WINDOW (32u << 20)
#define PIECE (64u << 10)

struct piece {
	struct piece *next;
	double due;
	size_t length;
	char bytes[];
};

/* The link in one direction: when it is free again. */
struct wire {
	pthread_mutex_t lock;
	double free_at;
};

struct pump {
	struct wire *wire;
	int from, to;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct piece *first, **last;
	size_t under_way;
	int ended;
};

static struct wire out = {PTHREAD_MUTEX_INITIALIZER, 0}, back = {PTHREAD_MUTEX_INITIALIZER, 0};
static double delay, bytes_a_second;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void wait_until(double due)
{
	struct timespec t = {(time_t)due, (long)((due - (time_t)due) * 1e9)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* When `length` bytes that are sent now arrive. */
static double arrival(struct wire *wire, size_t length)
{
	double sent = now();

	pthread_mutex_lock(&wire->lock);
	if (wire->free_at > sent)
		sent = wire->free_at;
	sent += length / bytes_a_second;
	wire->free_at = sent;
	pthread_mutex_unlock(&wire->lock);
	return sent + delay;
}

static void *receive(void *argument)
{
	struct pump *pump = argument;
	ssize_t length = 1;

	while (length > 0) {
		struct piece *piece = malloc(sizeof *piece + PIECE);

		if (piece == NULL)
			die("malloc");
		do
			length = read(pump->from, piece->bytes, PIECE);
		while (length < 0 && errno == EINTR);
		piece->next = NULL;
		piece->length = length > 0 ? (size_t)length : 0;
		piece->due = arrival(pump->wire, piece->length);
		pthread_mutex_lock(&pump->lock);
		while (pump->under_way > WINDOW && !pump->ended)
			pthread_cond_wait(&pump->changed, &pump->lock);
		*pump->last = piece;
		pump->last = &piece->next;
		pump->under_way += piece->length;
		pthread_cond_broadcast(&pump->changed);
		pthread_mutex_unlock(&pump->lock);
	}
	return NULL;
}

static void *deliver(void *argument)
{
	struct pump *pump = argument;

	for (;;) {
		struct piece *piece;
		size_t done = 0;

		pthread_mutex_lock(&pump->lock);
		while (pump->first == NULL)
			pthread_cond_wait(&pump->changed, &pump->lock);
		piece = pump->first;
		pump->first = piece->next;
		if (pump->first == NULL)
			pump->last = &pump->first;
		pthread_mutex_unlock(&pump->lock);
		wait_until(piece->due);
		while (done < piece->length) {
			ssize_t n = write(pump->to, piece->bytes + done, piece->length - done);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				break;
			done += n;
		}
		pthread_mutex_lock(&pump->lock);
		pump->under_way -= piece->length;
		pump->ended = piece->length == 0 || done < piece->length;
		pthread_cond_broadcast(&pump->changed);
		pthread_mutex_unlock(&pump->lock);
		free(piece);
		if (pump->ended) {
			/* The other direction ends with its own side; few connections are made here. */
			shutdown(pump->to, SHUT_WR);
			shutdown(pump->from, SHUT_RD);
			return NULL;
		}
	}
}

static void start(struct wire *wire, int from, int to)
{
	struct pump *pump = calloc(1, sizeof *pump);
	pthread_t thread;

	if (pump == NULL)
		die("calloc");
	pump->wire = wire;
	pump->from = from;
	pump->to = to;
	pump->last = &pump->first;
	pthread_mutex_init(&pump->lock, NULL);
	pthread_cond_init(&pump->changed, NULL);
	if (pthread_create(&thread, NULL, receive, pump) != 0 || pthread_detach(thread) != 0 ||
	    pthread_create(&thread, NULL, deliver, pump) != 0 || pthread_detach(thread) != 0)
		die("pthread_create");
}

static int socket_at(const char *path, struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket");
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof address->sun_path) {
		fprintf(stderr, "link: too long for a socket: %s\n", path);
		exit(1);
	}
	strcpy(address->sun_path, path);
	return fd;
}

int main(int count, char **words)
{
	struct sockaddr_un address;
	int listener;

	if (count != 5) {
		fprintf(stderr, "usage: link LISTEN CONNECT DELAY_US MBIT\n");
		return 2;
	}
	delay = atof(words[3]) / 1e6;
	bytes_a_second = atof(words[4]) * 1e6 / 8;
	signal(SIGPIPE, SIG_IGN);
	listener = socket_at(words[1], &address);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0)
		die(words[1]);
	for (;;) {
		int near = accept(listener, NULL, NULL);
		int far;

		if (near < 0)
			die("accept");
		far = socket_at(words[2], &address);
		if (connect(far, (struct sockaddr *)&address, sizeof address) < 0)
			die(words[2]);
		start(&out, near, far);
		start(&back, far, near);
	}
}

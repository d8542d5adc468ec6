/*
 * A disk with a seek time, for a server that is started with this library in LD_PRELOAD: a read of a
 * data file that does not follow the one before waits for its turn and for a seek; one that follows
 * takes the time of its bytes. A read that was announced by posix_fadvise (as effective_io_concurrency
 * has it) runs beside others, as many as the disk has requests under way.
 *
 *   SLOW_DISK_SEEK_US   a seek, in microseconds
 *   SLOW_DISK_MBPS      megabytes a second of reads in order
 *   SLOW_DISK_QUEUE     requests under way at a time
 *
 * What the kernel has cached is slow too: the disk alone is measured, and each run costs the same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 4096
#define MOST_QUEUE 256
#define MOST_ANNOUNCED 1024
#define BLOCK 8192

/* Shared by all processes of the server: one disk. */
struct disk {
    _Atomic int locked;
    int64_t free_at[MOST_QUEUE];
};

/* Of one descriptor in this process: 0 unknown, 1 a data file, 2 another. */
struct file {
    int kind;
    off_t next;
};

struct announced {
    int fd;
    off_t offset;
    int64_t done_at;
};

static struct disk *disk;
static struct file files[MOST_FILES];
static struct announced announced[MOST_ANNOUNCED];
static unsigned announced_next;
static int64_t seek_ns, byte_ps;
static int queue = 1;

static ssize_t (*next_pread)(int, void *, size_t, off_t);
static ssize_t (*next_preadv)(int, const struct iovec *, int, off_t);
static int (*next_fadvise)(int, off_t, off_t, int);
static int (*next_close)(int);

static int64_t number(const char *name, int64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoll(text) : otherwise;
}

/* Called by the constructor, or by a wrapper that another library's constructor came to first. */
static void find_next(void) {
    next_pread = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    next_preadv = (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "preadv");
    next_fadvise = (int (*)(int, off_t, off_t, int))dlsym(RTLD_NEXT, "posix_fadvise");
    next_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
}

__attribute__((constructor)) static void begin(void) {
    find_next();
    seek_ns = number("SLOW_DISK_SEEK_US", 0) * 1000;
    byte_ps = 1000000 / number("SLOW_DISK_MBPS", 200);
    queue = (int)number("SLOW_DISK_QUEUE", 1);
    if (queue < 1 || queue > MOST_QUEUE) {
        queue = 1;
    }
    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (disk == MAP_FAILED) {
        abort();
    }
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void wait_until(int64_t when) {
    struct timespec time = {.tv_sec = when / 1000000000LL, .tv_nsec = when % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0) {
    }
}

/* Puts a request of so many nanoseconds to the disk; when it will be done. */
static int64_t request(int64_t takes) {
    int expected = 0, best = 0;
    int64_t begins, now = now_ns();
    while (!atomic_compare_exchange_weak(&disk->locked, &expected, 1)) {
        expected = 0;
    }
    for (int n = 1; n < queue; n++) {
        if (disk->free_at[n] < disk->free_at[best]) {
            best = n;
        }
    }
    begins = disk->free_at[best] > now ? disk->free_at[best] : now;
    disk->free_at[best] = begins + takes;
    atomic_store(&disk->locked, 0);
    return begins + takes;
}

static bool is_data(int fd) {
    char link[64], path[512];
    ssize_t length;
    if (seek_ns == 0 || fd < 0 || fd >= MOST_FILES) {
        return false;
    }
    if (files[fd].kind == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        files[fd].kind = strstr(path, "/base/") ? 1 : 2;
        files[fd].next = -1;
    }
    return files[fd].kind == 1;
}

static void slow_read(int fd, off_t offset, size_t bytes) {
    int64_t transfer = (int64_t)bytes * byte_ps / 1000;
    bool follows = files[fd].next == offset;
    files[fd].next = offset + (off_t)bytes;
    for (unsigned n = 0; n < MOST_ANNOUNCED; n++) {
        struct announced *known = &announced[n];
        if (known->done_at && known->fd == fd && known->offset == offset) {
            wait_until(known->done_at);
            known->done_at = 0;
            return;
        }
    }
    if (!follows) {
        wait_until(request(seek_ns + transfer));
    } else if (transfer > 0) {
        /* Read ahead by the kernel: slept for once it is worth a sleep. */
        static int64_t owed;
        owed += transfer;
        if (owed > 1000000) {
            wait_until(now_ns() + owed);
            owed = 0;
        }
    }
}

ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset) {
    if (is_data(fd)) {
        slow_read(fd, offset, bytes);
    }
    if (!next_pread) {
        find_next();
    }
    return next_pread(fd, buffer, bytes, offset);
}

ssize_t pread64(int fd, void *buffer, size_t bytes, off_t offset) {
    return pread(fd, buffer, bytes, offset);
}

ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset) {
    if (is_data(fd)) {
        size_t bytes = 0;
        for (int n = 0; n < count; n++) {
            bytes += parts[n].iov_len;
        }
        slow_read(fd, offset, bytes);
    }
    if (!next_preadv) {
        find_next();
    }
    return next_preadv(fd, parts, count, offset);
}

ssize_t preadv64(int fd, const struct iovec *parts, int count, off_t offset) {
    return preadv(fd, parts, count, offset);
}

int posix_fadvise(int fd, off_t offset, off_t length, int advice) {
    if (advice == POSIX_FADV_WILLNEED && is_data(fd)) {
        /* A range is announced block by block. */
        for (off_t at = offset; at < offset + length; at += BLOCK) {
            struct announced *free_one = &announced[announced_next++ % MOST_ANNOUNCED];
            *free_one = (struct announced){fd, at, request(seek_ns)};
        }
    }
    if (!next_fadvise) {
        find_next();
    }
    return next_fadvise(fd, offset, length, advice);
}

int posix_fadvise64(int fd, off_t offset, off_t length, int advice) {
    return posix_fadvise(fd, offset, length, advice);
}

int close(int fd) {
    if (fd >= 0 && fd < MOST_FILES) {
        files[fd].kind = 0;
        for (unsigned n = 0; n < MOST_ANNOUNCED; n++) {
            if (announced[n].fd == fd) {
                announced[n].done_at = 0;
            }
        }
    }
    if (!next_close) {
        find_next();
    }
    return next_close(fd);
}

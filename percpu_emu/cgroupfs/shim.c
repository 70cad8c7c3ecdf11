/* A preload library for programs that ask the mount instead of the files: which file system, which mounts, which cgroup.
 *
 * FUSE cannot answer these. Here statfs says cgroup2 of what lies in /sys/fs/cgroup, /proc/mounts and its like call that
 * mount cgroup2, and /proc/PID/cgroup has the cgroup in which the machine has a process. clone3 into a cgroup, which the
 * host would refuse for a directory of FUSE, does not exist (ENOSYS), as before Linux 5.7. All else goes to libc.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <mntent.h>
#include <unistd.h>

#define TREE "/sys/fs/cgroup"
#define CGROUP2_SUPER_MAGIC 0x63677270
#define FUSE_SUPER_MAGIC 0x65735546
#define KIND "fuse.percpu-emu"
#define INTO_CGROUP 0x200000000ULL /* CLONE_INTO_CGROUP */
#define MEMBER TREE "/.percpu-emu.cgroup."

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_in_tree(const char *path)
{
    char real[4096];
    return path && realpath(path, real) && !strncmp(real, TREE, strlen(TREE));
}

static int is_fd_in_tree(int fd)
{
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    return length >= (ssize_t)strlen(TREE) && !strncmp(path, TREE, strlen(TREE));
}

#define STATFS(name, type, what, is_ours)                                                                          \
    int name(what, struct type *found)                                                                             \
    {                                                                                                              \
        int result = REAL(name)(of, found);                                                                        \
        if (result == 0 && found->f_type == FUSE_SUPER_MAGIC && is_ours(of))                                       \
            found->f_type = CGROUP2_SUPER_MAGIC;                                                                   \
        return result;                                                                                             \
    }
STATFS(statfs, statfs, const char *of, is_in_tree)
STATFS(statfs64, statfs64, const char *of, is_in_tree)
STATFS(fstatfs, statfs, int of, is_fd_in_tree)
STATFS(fstatfs64, statfs64, int of, is_fd_in_tree)

static int is_mounts(const char *path)
{
    return path && (!strcmp(path, "/proc/mounts") || !strcmp(path, "/proc/self/mounts") || !strcmp(path, "/etc/mtab")
                    || !strcmp(path, "/proc/self/mountinfo") || !strcmp(path, "/proc/self/mountstats"));
}

static long is_cgroup_of(const char *path)
{
    char rest[16];
    int pid;
    if (!path)
        return 0;
    if (!strcmp(path, "/proc/self/cgroup") || !strcmp(path, "/proc/thread-self/cgroup"))
        return getpid();
    return sscanf(path, "/proc/%d/%15s", &pid, rest) == 2 && !strcmp(rest, "cgroup") ? pid : 0;
}

/* A line of mounts as it has to be: the mount of the tree is the only one of its kind, and its kind is cgroup2. */
static void mended(FILE *to, char *line)
{
    char *kind = strstr(line, KIND), *point = strstr(line, " " TREE " ");
    if (!kind || !point) {
        if (!strstr(line, " cgroup "))
            fputs(line, to);
    } else if (!strstr(line, " / " TREE " ")) {
        *kind = 0;
        fputs(line, to);
        fputs("cgroup2 ", to);
        fputs(strchr(kind + 1, ' ') + 1, to);
    }
}

static int memory_of_mounts(const char *path)
{
    int fd = memfd_create("mounts", MFD_CLOEXEC);
    FILE *from = REAL(fopen)(path, "re"), *to = fdopen(dup(fd), "w");
    char *line = NULL;
    size_t room = 0;
    while (from && to && getline(&line, &room, from) > 0)
        mended(to, line);
    free(line);
    if (from)
        fclose(from);
    if (to)
        fclose(to);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* The file that stands for `path`, -1 where it stands for itself. */
static int instead(const char *path)
{
    char member[128];
    long pid = is_cgroup_of(path);
    if (is_mounts(path))
        return memory_of_mounts(path);
    if (!pid)
        return -1;
    snprintf(member, sizeof member, MEMBER "%ld", pid);
    return REAL(open)(member, O_RDONLY | O_CLOEXEC);
}

#define OPEN(name, parameters, arguments)                                                                          \
    int name parameters                                                                                            \
    {                                                                                                              \
        mode_t mode = 0;                                                                                           \
        int fd = instead(path);                                                                                    \
        if (fd >= 0)                                                                                               \
            return fd;                                                                                             \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                                     \
            va_list list;                                                                                          \
            va_start(list, flags);                                                                                 \
            mode = va_arg(list, mode_t);                                                                           \
            va_end(list);                                                                                          \
        }                                                                                                          \
        return REAL(name) arguments;                                                                               \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

#define FOPEN(name)                                                                                                \
    FILE *name(const char *path, const char *mode)                                                                 \
    {                                                                                                              \
        int fd = *mode == 'r' ? instead(path) : -1;                                                                \
        return fd >= 0 ? fdopen(fd, "r") : REAL(name)(path, mode);                                                 \
    }
FOPEN(fopen)
FOPEN(fopen64)

FILE *setmntent(const char *path, const char *mode)
{
    int fd = instead(path);
    return fd >= 0 ? fdopen(fd, "r") : REAL(setmntent)(path, mode);
}

/* libc itself makes no such call: programs come here. Six arguments are read, whatever the call has, as libc does. */
long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
#ifdef SYS_clone3
    if (number == SYS_clone3 && a[0] && (*(const unsigned long long *)a[0] & INTO_CGROUP)) {
        errno = ENOSYS;
        return -1;
    }
#endif
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

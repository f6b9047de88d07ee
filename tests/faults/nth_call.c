/* Preloaded into a process, makes the n-th call that touches a folder fail, once.
 *
 * Calls of the kinds below are counted where they name a path in the folder, or a descriptor that was opened from one.
 * The count lies in shared memory, so that worker processes count on. Calls that libc makes within itself (fwrite's
 * write) are not seen; Python, torch, FFmpeg and libstdc++ call write by its name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 20000, SAID = 100 };
struct plan { int count, at, number; char calls[MOST][SAID]; };
static struct plan *plan;  /* of this process and those that it forks; NULL: nothing is counted */
static char folder[PATH_MAX];

/* Begin to count; the call number `at` (from 1; 0: none) fails with the error `number`. */
int fail_call(const char *of, int at, int number) {
    struct plan *fresh = mmap(NULL, sizeof *fresh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) return -1;
    fresh->at = at, fresh->number = number;
    strncpy(folder, of, sizeof folder - 1);
    plan = fresh;
    return 0;
}

int calls_counted(void) { return plan ? plan->count : 0; }
const char *call_counted(int which) { return plan && 0 < which && which <= plan->count && which < MOST ? plan->calls[which] : ""; }

static const char *path_at(int directory, const char *path, char *whole) {
    char link[64];
    ssize_t length = 0;
    if (path && path[0] == '/') return path;
    if (directory == AT_FDCWD) length = getcwd(whole, PATH_MAX) ? (ssize_t)strlen(whole) : 0;
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = readlink(link, whole, PATH_MAX - 1);
    }
    if (length < 0) length = 0;
    whole[length] = 0;
    if (path && length + strlen(path) + 2 < PATH_MAX) strcat(strcat(whole, "/"), path);
    return whole;
}

/* Whether this call is the one that fails; then errno says why. */
static int fails(const char *kind, int directory, const char *path) {
    char whole[PATH_MAX];
    size_t length = strlen(folder);
    if (!plan) return 0;
    int before = errno;
    const char *named = path_at(directory, path, whole);
    if (strncmp(named, folder, length) || (named[length] && named[length] != '/')) { errno = before; return 0; }
    int which = __sync_add_and_fetch(&plan->count, 1);
    if (which < MOST) snprintf(plan->calls[which], SAID, "%s %.80s", kind, named[length] ? named + length + 1 : ".");
    errno = which == plan->at ? plan->number : before;
    return which == plan->at;
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define OPENER(name, directory, path, taken, given)                               \
    int name taken {                                                              \
        static typeof(&name) real;                                                \
        va_list more;                                                             \
        va_start(more, flags);                                                    \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more);                                                             \
        if (!real) real = REAL(name);                                             \
        return fails("open", directory, path) ? -1 : real given;                  \
    }
#define OPENS(name) OPENER(name, AT_FDCWD, path, (const char *path, int flags, ...), (path, flags, mode))
#define OPENS_AT(name) \
    OPENER(name, directory, path, (int directory, const char *path, int flags, ...), (directory, path, flags, mode))
#define WRAPS(type, name, failed, kind, directory, path, taken, given) \
    type name taken {                                                  \
        static typeof(&name) real;                                     \
        if (!real) real = REAL(name);                                  \
        return fails(kind, directory, path) ? failed : real given;     \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
WRAPS(FILE *, fopen, NULL, "open", AT_FDCWD, path, (const char *path, const char *mode), (path, mode))
WRAPS(FILE *, fopen64, NULL, "open", AT_FDCWD, path, (const char *path, const char *mode), (path, mode))
WRAPS(ssize_t, write, -1, "write", file, NULL, (int file, const void *from, size_t size), (file, from, size))
WRAPS(ssize_t, writev, -1, "write", file, NULL, (int file, const struct iovec *from, int parts), (file, from, parts))
WRAPS(ssize_t, pwrite, -1, "write", file, NULL, (int file, const void *from, size_t size, off_t at), (file, from, size, at))
WRAPS(ssize_t, pwrite64, -1, "write", file, NULL, (int file, const void *from, size_t size, off64_t at), (file, from, size, at))
WRAPS(ssize_t, copy_file_range, -1, "write", to, NULL,
      (int from, off64_t *read_at, int to, off64_t *at, size_t size, unsigned flags), (from, read_at, to, at, size, flags))
WRAPS(ssize_t, sendfile, -1, "write", to, NULL, (int to, int from, off_t *at, size_t size), (to, from, at, size))
WRAPS(ssize_t, sendfile64, -1, "write", to, NULL, (int to, int from, off64_t *at, size_t size), (to, from, at, size))
WRAPS(int, ftruncate, -1, "write", file, NULL, (int file, off_t size), (file, size))
WRAPS(int, fsync, -1, "fsync", file, NULL, (int file), (file))
WRAPS(int, fdatasync, -1, "fsync", file, NULL, (int file), (file))
WRAPS(int, rename, -1, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
WRAPS(int, renameat, -1, "rename", there, to, (int here, const char *from, int there, const char *to), (here, from, there, to))
WRAPS(int, link, -1, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
WRAPS(int, linkat, -1, "link", there, to, (int here, const char *from, int there, const char *to, int flags), (here, from, there, to, flags))
WRAPS(int, mkdir, -1, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
WRAPS(int, mkdirat, -1, "mkdir", directory, path, (int directory, const char *path, mode_t mode), (directory, path, mode))
WRAPS(int, unlink, -1, "unlink", AT_FDCWD, path, (const char *path), (path))
WRAPS(int, unlinkat, -1, "unlink", directory, path, (int directory, const char *path, int flags), (directory, path, flags))
WRAPS(int, rmdir, -1, "unlink", AT_FDCWD, path, (const char *path), (path))

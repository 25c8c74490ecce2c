// Linux's answers to os.h.
#include "base/os.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

const bool os_vhost_user = true;
const char os_name[] = "linux";

void os_random(void *out, size_t n)
{
    if (getrandom(out, n, 0) != (ssize_t)n)
        abort();
}

int os_memory_file(const char *name, uint64_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int os_unnamed_file(int dirfd)
{
    int fd = openat(dirfd, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EISDIR || errno == ENOENT)) // what older kernels say (open(2))
        errno = EOPNOTSUPP;
    return fd;
}

void os_fd_path(int fd, char *out, size_t n)
{
    snprintf(out, n, "/proc/self/fd/%d", fd);
}

int os_open_name(const char *path)
{
    return open(path, O_PATH | O_CLOEXEC);
}

void os_die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) // it died before the line above
        _exit(127);
}

void os_small_pages(void)
{
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

int os_process_watch(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

void os_close_on_exec(int first)
{
    if (close_range((unsigned)first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    // A kernel before 5.11.
    for (int fd = first, end = getdtablesize(); fd < end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int os_reflink(int src, int dst)
{
    return ioctl(dst, FICLONE, src);
}

void os_start_writing(int fd, off_t off, off_t n)
{
    sync_file_range(fd, off, n, SYNC_FILE_RANGE_WRITE);
}

int os_rename_exclusive(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE);
}

int64_t os_created(int fd)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) < 0 || !(st.stx_mask & STATX_BTIME))
        return 0;
    return (int64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
}

struct timespec os_modified(const struct stat *st)
{
    return st->st_mtim;
}

void os_punch_hole(int fd, off_t off, off_t n)
{
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, n);
}

int os_peer_uid(int fd, uid_t *uid)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return -1;
    *uid = cred.uid;
    return 0;
}

void os_boot_id(char *out, size_t n)
{
    AUTO_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(out, (int)n, f))
        snprintf(out, n, OS_BOOT_UNKNOWN);
    out[strcspn(out, "\n")] = 0;
}

int os_exe_dir(char *out, size_t n)
{
    ssize_t got = readlink("/proc/self/exe", out, n - 1);
    if (got < 0)
        return -1;
    out[got] = 0;
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
    return 0;
}

uint64_t os_memory_available(void)
{
    AUTO_FCLOSE FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    return kib * 1024;
}

size_t os_datagram_pending(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCINQ, &n) < 0 || n < 0 ? 0 : (size_t)n;
}

int os_receive(int fd, struct os_datagram *d, int n, bool names)
{
    struct mmsghdr m[OS_DATAGRAMS_MAX];
    struct iovec io[OS_DATAGRAMS_MAX];
    n = n < OS_DATAGRAMS_MAX ? n : OS_DATAGRAMS_MAX;
    for (int i = 0; i < n; i++) {
        io[i] = (struct iovec){d[i].data, d[i].size};
        m[i].msg_hdr = (struct msghdr){.msg_name = names ? &d[i].from : NULL,
                                       .msg_namelen = names ? sizeof d[i].from : 0,
                                       .msg_iov = &io[i],
                                       .msg_iovlen = 1};
    }
    int got = recvmmsg(fd, m, (unsigned)n, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        d[i].size = m[i].msg_len;
        d[i].from_size = m[i].msg_hdr.msg_namelen;
    }
    return got;
}

int os_send(int fd, const struct os_datagram *d, int n, const struct sockaddr_un *to,
            socklen_t to_size)
{
    struct mmsghdr m[OS_DATAGRAMS_MAX];
    struct iovec io[OS_DATAGRAMS_MAX];
    n = n < OS_DATAGRAMS_MAX ? n : OS_DATAGRAMS_MAX;
    for (int i = 0; i < n; i++) {
        io[i] = (struct iovec){d[i].data, d[i].size};
        m[i].msg_hdr = (struct msghdr){
            .msg_name = (void *)to, .msg_namelen = to_size, .msg_iov = &io[i], .msg_iovlen = 1};
    }
    return sendmmsg(fd, m, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int os_message_pair(int out[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out);
}

void os_precise_timers(void)
{
    prctl(PR_SET_TIMERSLACK, 1UL);
}

int os_realtime(void)
{
    // Children are as they were: a hog among them would be worse than a late frame.
    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
                              &(struct sched_param){.sched_priority = 1});
}

int os_tap_name(int fd, char out[static OS_TAP_NAME])
{
    struct ifreq ifr = {0};
    static_assert(OS_TAP_NAME == IFNAMSIZ, "the same limit");
    if (ioctl(fd, TUNGETIFF, &ifr) < 0)
        return -1;
    errno = EINVAL;
    if ((ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI))
        return -1;
    memcpy(out, ifr.ifr_name, IFNAMSIZ);
    out[IFNAMSIZ - 1] = 0;
    return 0;
}

// macOS's answers to os.h. Not yet run on a Mac.
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <mach-o/dyld.h>
#include <mach/mach.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/clonefile.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysctl.h>
#include <unistd.h>

const bool os_vhost_user = false;
const char os_name[] = "macos";

void os_random(void *out, size_t n)
{
    arc4random_buf(out, n);
}

int os_memory_file(const char *name, uint64_t size)
{
    // shm_open() objects cannot be opened again through /dev/fd, so an unlinked file serves.
    (void)name;
    char path[] = "/tmp/tailmac-ram-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -1;
    unlink(path);
    if (ftruncate(fd, (off_t)size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int os_unnamed_file(int dirfd)
{
    (void)dirfd;
    errno = EOPNOTSUPP;
    return -1;
}

void os_fd_path(int fd, char *out, size_t n)
{
    snprintf(out, n, "/dev/fd/%d", fd);
}

int os_open_name(const char *path)
{
    errno = ENOTSUP; // a socket's file cannot be opened
    return -1;
}

void os_die_with_parent(pid_t parent)
{
    (void)parent; // no such signal here: the engine's end of its control socket tells it
}

void os_small_pages(void)
{
}

int os_process_watch(pid_t pid)
{
    (void)pid;
    errno = ENOTSUP;
    return -1;
}

void os_close_on_exec(int first)
{
    for (int fd = first, end = getdtablesize(); fd < end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int os_reflink(int src, int dst)
{
    // clonefile(2) makes a new name and cannot fill an open file; fcopyfile(3) is no reflink.
    (void)src;
    (void)dst;
    errno = ENOTSUP;
    return -1;
}

void os_start_writing(int fd, off_t off, off_t n)
{
    (void)fd;
    (void)off;
    (void)n;
}

int os_rename_exclusive(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameatx_np(from_dir, from, to_dir, to, RENAME_EXCL);
}

int64_t os_created(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return 0;
    return (int64_t)st.st_birthtimespec.tv_sec * 1000000000 + st.st_birthtimespec.tv_nsec;
}

struct timespec os_modified(const struct stat *st)
{
    return st->st_mtimespec;
}

void os_punch_hole(int fd, off_t off, off_t n)
{
    fpunchhole_t hole = {.fp_offset = off, .fp_length = n};
    fcntl(fd, F_PUNCHHOLE, &hole);
}

int os_peer_uid(int fd, uid_t *uid)
{
    gid_t gid;
    return getpeereid(fd, uid, &gid);
}

void os_boot_id(char *out, size_t n)
{
    size_t len = n;
    if (sysctlbyname("kern.bootsessionuuid", out, &len, NULL, 0) < 0)
        snprintf(out, n, OS_BOOT_UNKNOWN);
}

int os_exe_dir(char *out, size_t n)
{
    uint32_t size = (uint32_t)n;
    if (_NSGetExecutablePath(out, &size) < 0)
        return -1;
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
    return 0;
}

uint64_t os_memory_available(void)
{
    vm_statistics64_data_t vm;
    mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&vm, &n) != KERN_SUCCESS)
        return 0;
    return ((uint64_t)vm.free_count + vm.inactive_count) * vm_page_size;
}

size_t os_datagram_pending(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) < 0 || n < 0 ? 0 : (size_t)n;
}

int os_receive(int fd, struct os_datagram *d, int n, bool names)
{
    for (int i = 0; i < n && i < OS_DATAGRAMS_MAX; i++) {
        d[i].from_size = names ? sizeof d[i].from : 0;
        ssize_t got =
            recvfrom(fd, d[i].data, d[i].size, MSG_DONTWAIT,
                     names ? (struct sockaddr *)&d[i].from : NULL, names ? &d[i].from_size : NULL);
        if (got < 0)
            return i > 0 ? i : -1;
        d[i].size = (size_t)got;
    }
    return n < OS_DATAGRAMS_MAX ? n : OS_DATAGRAMS_MAX;
}

int os_send(int fd, const struct os_datagram *d, int n, const struct sockaddr_un *to,
            socklen_t to_size)
{
    for (int i = 0; i < n; i++)
        if (sendto(fd, d[i].data, d[i].size, MSG_DONTWAIT, (const struct sockaddr *)to, to_size) <
            0)
            return i > 0 ? i : -1;
    return n;
}

int os_message_pair(int out[2])
{
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, out) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        fcntl(out[i], F_SETFD, FD_CLOEXEC);
    return 0;
}

void os_precise_timers(void)
{
}

int os_realtime(void)
{
    errno = ENOTSUP; // threads have a policy of their own, which takes Mach's calls
    return -1;
}

int os_tap_name(int fd, char out[static OS_TAP_NAME])
{
    (void)fd;
    (void)out;
    errno = ENOTSUP;
    return -1;
}

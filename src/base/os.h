// What differs between Linux and macOS: os-linux.c and os-darwin.c, chosen by the build.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>

// Fills `out` from the kernel's random source; ends the process when there is none.
void os_random(void *out, size_t n);

// An unnamed file in memory, `size` bytes of zeros, close-on-exec. -1 with errno.
int os_memory_file(const char *name, uint64_t size);

// An empty file without a name in a directory's file system, close-on-exec. -1 with errno:
// EOPNOTSUPP where there is no such thing.
int os_unnamed_file(int dirfd);

// A path by which a child that inherited `fd` can open it again.
void os_fd_path(int fd, char *out, size_t n);

// A descriptor for a socket's file itself, by which it can be connected to (os_fd_path()) whatever
// becomes of its name. -1 with errno.
int os_open_name(const char *path);

// Asks the kernel to end this process when `parent` dies (Linux); on macOS the caller must watch.
// Called in the child between fork and exec.
void os_die_with_parent(pid_t parent);

// This process, and what it executes, gets memory in small pages only: a huge one is there whole as
// soon as a byte of it is used. Nothing where the kernel has none of its own accord.
void os_small_pages(void);

// A descriptor that becomes readable when that process ends, and that children may inherit. -1 with
// errno (ENOTSUP on macOS, whose kqueues are not inherited).
int os_process_watch(pid_t pid);

// Makes every descriptor from `first` on close-on-exec. Called between fork and exec.
void os_close_on_exec(int first);

// Makes `dst` share the blocks of `src`; -1 with errno where the file system cannot.
int os_reflink(int src, int dst);

// Lets the kernel begin to write a range to the disk, so that a later fsync(2) has little to wait
// for.
void os_start_writing(int fd, off_t off, off_t n);

// Renames, failing with EEXIST where `to` exists. Paths are relative to the directories.
int os_rename_exclusive(int from_dir, const char *from, int to_dir, const char *to);

// When a file's content changed last.
// When the file was made, in ns: with its inode number this tells it from every other file,
// although numbers are used again. 0 where the file system does not say.
int64_t os_created(int fd);

struct timespec os_modified(const struct stat *st);

// Punches a hole; best effort.
void os_punch_hole(int fd, off_t off, off_t n);

// The uid of the process at the other end of a unix stream socket. -1 with errno.
int os_peer_uid(int fd, uid_t *uid);

// A text that changes at each boot of this host; OS_BOOT_UNKNOWN where none can be had.
#define OS_BOOT_UNKNOWN "unknown"
void os_boot_id(char *out, size_t n);

// Path of the running executable's directory. -1 with errno.
int os_exe_dir(char *out, size_t n);

// Memory that can be had without swapping, in bytes; 0 when unknown.
uint64_t os_memory_available(void);

// Bytes waiting to be read at a datagram socket (0: nothing).
size_t os_datagram_pending(int fd);

// Datagrams of unix sockets, many at a time; never waits.
enum { OS_DATAGRAMS_MAX = 32 };
struct os_datagram {
    void *data;
    size_t size; // received: of the buffer, then of what is in it
    struct sockaddr_un from;
    socklen_t from_size; // 0: who sent it was not asked for
};
// Returns how many were received, at most OS_DATAGRAMS_MAX; -1 with errno. What is longer than its
// buffer is cut. `names` asks who sent them.
int os_receive(int fd, struct os_datagram *d, int n, bool names);
// Sends to one address; NULL: on a connected socket. Returns how many went, at least one; -1 with
// errno.
int os_send(int fd, const struct os_datagram *d, int n, const struct sockaddr_un *to,
            socklen_t to_size);

// A pair of connected unix sockets, both close-on-exec, that keep the bounds of messages; one tells
// the end of the other where the system can. -1 with errno.
int os_message_pair(int out[2]);

// Asks for timers as precise as the system has them, for this thread.
void os_precise_timers(void);

// Puts this process before all that are not real-time. -1 with errno.
int os_realtime(void);

// The name of the TAP device (whole frames, without a header of packet information) behind `fd`. -1
// with errno where it is none.
enum { OS_TAP_NAME = 16 };
int os_tap_name(int fd, char out[static OS_TAP_NAME]);

extern const bool os_vhost_user; // whether QEMU has devices that another process is
extern const char os_name[];     // "linux" or "macos"

// The KVM probe on Linux: a child process runs the loop, so that a KVM that hangs hangs only it.
#include "engine/qemu/kvm-loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/os.h"

const char kvm_loop_accel[] = "kvm";

// How long a killed child may take to go. One that is stuck inside the kernel is left behind: to
// wait for it would be to hang after all.
enum { REAP_MS = 200 };

void kvm_loop_failed(struct kvm_loop *out, const char *what)
{
    const char *text = strerror(errno);
    *out = (struct kvm_loop){.state = KVM_LOOP_FAILED};
    snprintf(out->why, sizeof out->why, "%s: %s", what, text);
}

static int kvm_open(struct kvm_loop *out)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        kvm_loop_failed(out, "this host has no KVM: /dev/kvm");
    else if (errno == EACCES || errno == EPERM)
        kvm_loop_failed(out, "this user may not use KVM: /dev/kvm");
    else
        kvm_loop_failed(out, "cannot open /dev/kvm");
    return -1;
}

bool kvm_loop_present(struct kvm_loop *out)
{
    AUTO_CLOSE int kvm = kvm_open(out);
    if (kvm < 0)
        return false;
    int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
    if (version == KVM_API_VERSION)
        return true;
    *out = (struct kvm_loop){.state = KVM_LOOP_FAILED};
    snprintf(out->why, sizeof out->why, "/dev/kvm does not speak version %d of KVM's interface",
             KVM_API_VERSION);
    return false;
}

// The child: one report per run, into the pipe.
static _Noreturn void probe_main(int pipe_end, pid_t parent)
{
    os_die_with_parent(parent);
    // It keeps nothing but the pipe: should it get stuck, it must not hold Host's lock or output.
    if (dup2(pipe_end, STDIN_FILENO) < 0)
        _exit(1);
    close_range(STDIN_FILENO + 1, ~0U, 0);

    struct kvm_loop report;
    int kvm = kvm_open(&report);
    for (int i = 0; i < KVM_LOOP_RUNS; i++) {
        if (kvm >= 0)
            kvm_loop_guest(kvm, &report);
        if (write(STDIN_FILENO, &report, sizeof report) != sizeof report)
            _exit(1);
        if (report.state != KVM_LOOP_RAN || report.ms <= KVM_LOOP_LIMIT_MS)
            break;
    }
    _exit(0);
}

// Forks with every signal blocked and leaves them so in the child: the parent's handlers write to
// the parent's own pipes, which the child shares.
static pid_t probe_start(const int fds[2])
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        probe_main(fds[1], parent);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return child;
}

// Reads reports until the child has closed the pipe or the time is up; the best one counts.
static void collect(int fd, struct kvm_loop *best)
{
    bool any = false;
    double end = kvm_loop_clock_ms() + KVM_LOOP_DEADLINE_MS;
    for (double now; (now = kvm_loop_clock_ms()) < end;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)(end - now) + 1) <= 0)
            continue;
        struct kvm_loop one;
        ssize_t n = read(fd, &one, sizeof one);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != sizeof one)
            return;
        if (!any || (one.state == KVM_LOOP_RAN && one.ms < best->ms))
            *best = one;
        any = true;
    }
    if (!any)
        *best = (struct kvm_loop){.state = KVM_LOOP_TIMED_OUT, .ms = KVM_LOOP_DEADLINE_MS};
}

static void reap(pid_t child)
{
    kill(child, SIGKILL);
    double end = kvm_loop_clock_ms() + REAP_MS;
    for (;;) {
        pid_t gone = waitpid(child, NULL, WNOHANG);
        if (gone == child || (gone < 0 && errno != EINTR) || kvm_loop_clock_ms() >= end)
            return;
        poll(NULL, 0, 1);
    }
}

void kvm_loop_measure(struct kvm_loop *out)
{
    if (!kvm_loop_present(out))
        return;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        kvm_loop_failed(out, "cannot make a pipe for the KVM probe");
        return;
    }
    pid_t child = probe_start(fds);
    if (child < 0)
        kvm_loop_failed(out, "cannot start the KVM probe");
    close(fds[1]);
    if (child > 0) {
        *out = (struct kvm_loop){.why = "the KVM probe died without a word"};
        collect(fds[0], out);
        reap(child);
    }
    close(fds[0]);
}

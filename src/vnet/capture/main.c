// The capture process: opens the file, says so, and copies until the daemon is gone.
//
// The answer on the socket is one byte, 0, once the file is open; whenever something fails an
// err_code follows (or stands instead) and the message, up to the end of file.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vnet/capture/capture.h"
#include "vnet/capture/pcapng.h"
#include "vnet/capture/writer.h"

enum { LOCK_SECONDS = 2 };

// A terminal's ^C and a kill of the whole group are for the daemon: the rest is still to be
// written. A full disk and a daemon that is gone come as errors.
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
}

static void on_alarm(int sig)
{
    (void)sig; // fcntl() returns with EINTR
}

// The process of a daemon that was killed a moment ago is still writing down its last frames.
static int lock(int fd, struct err *e)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    alarm(LOCK_SECONDS);
    int failed = fcntl(fd, F_OFD_SETLKW, &whole);
    int why = errno;
    alarm(0);
    if (failed < 0 && why == EINTR)
        return err_set(e, ERR_BUSY, "another capture writes to it");
    errno = why;
    return failed < 0 ? err_sys(e, "cannot lock it") : 0;
}

static int open_file(const char *path, struct err *e)
{
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_sys(e, "cannot open it");
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "it is no regular file");
    return lock(fd, e) < 0 ? -1 : TAKE_FD(fd);
}

static struct writer *open_writer(const char *path, int *file, struct err *e)
{
    *file = open_file(path, e);
    off_t end = *file < 0 ? -1 : pcapng_end(*file, e);
    return end < 0 ? NULL : writer_new(*file, end, e);
}

static bool input_waits(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

// Whoever looks at the file while nothing happens sees all that happened.
static int copy(struct writer *w, int fd, struct err *e)
{
    for (;;) {
        size_t room;
        void *to = writer_space(w, &room);
        if (!input_waits(fd) && writer_flush(w, e) < 0)
            return -1;
        ssize_t n = read(fd, to, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET) // the daemon was killed, an answer unread
            return err_sys(e, "cannot read from vnet");
        if (n <= 0)
            return 0;
        if (writer_added(w, (size_t)n, e) < 0)
            return -1;
    }
}

static int run(const char *path, int fd, struct err *e)
{
    AUTO_CLOSE int file = -1;
    struct writer *w = open_writer(path, &file, e);
    if (!w)
        return -1;
    if (write(fd, "", 1) < 0)
        errno = 0; // the daemon is gone; what it left is to be written
    struct err second;
    int result = copy(w, fd, e);
    if (writer_finish(w, result < 0 ? &second : e) < 0) // a bad record has good ones before it
        result = -1;
    writer_free(w);
    return result;
}

static void answer(int fd, const struct err *e)
{
    char text[1 + sizeof e->msg];
    size_t n = strlen(e->msg);
    text[0] = (char)e->code;
    memcpy(text + 1, e->msg, n);
    if (write(fd, text, 1 + n) < 0)
        return; // nobody is left to hear it
}

int capture_main(const char *path, int fd)
{
    struct err e;
    ignore_signals();
    if (run(path, fd, &e) == 0)
        return 0;
    answer(fd, &e);
    return e.code;
}

// AF_VSOCK inside the guest, for test_vsock.py, which compiles it and puts it on the data disk.
//
//   vsock read PORT          connect to the host's PORT, copy what it says to standard output
//   vsock write PORT BYTES   connect, send so many zeros, wait for the end
//   vsock accept PORT        listen, print the peer of the first connection, hold it until it ends
//   vsock echo PORT          listen and echo, each connection in a process of its own, for ever
//   vsock send PORT BYTES    connect, send a pattern, print how many bytes came back equal
//   vsock many PORT N        connect N times at once, then send a line on each and have it back
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum { PIECE = 64 << 10 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int dial(unsigned port)
{
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    return fd;
}

static int serve(unsigned port)
{
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1024) < 0)
        die("listen");
    printf("listening\n");
    fflush(stdout);
    return fd;
}

static void send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, data, n, MSG_NOSIGNAL);
        if (w < 0)
            die("send");
        data += w;
        n -= (size_t)w;
    }
}

static void copy(int from, int to)
{
    static char data[PIECE];
    ssize_t n;
    while ((n = read(from, data, sizeof data)) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(to, data + at, (size_t)(n - at))) < 0)
                die("write");
    if (n < 0)
        die("read");
}

static void accept_one(unsigned port)
{
    struct sockaddr_vm from;
    socklen_t size = sizeof from;
    int fd = accept(serve(port), (struct sockaddr *)&from, &size);
    if (fd < 0)
        die("accept");
    printf("connected from %u\n", from.svm_cid);
    fflush(stdout);
    copy(fd, STDOUT_FILENO);
    printf("ended\n");
}

static void echo(unsigned port)
{
    int fd = serve(port);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int one = accept(fd, NULL, NULL);
        if (one < 0)
            die("accept");
        if (fork() == 0) {
            copy(one, one);
            exit(0);
        }
        close(one);
    }
}

static void write_zeros(unsigned port, unsigned long total)
{
    static char data[PIECE];
    int fd = dial(port);
    for (unsigned long at = 0; at < total; at += PIECE)
        send_all(fd, data, total - at < PIECE ? total - at : PIECE);
    shutdown(fd, SHUT_WR);
    if (read(fd, data, sizeof data) < 0)
        die("read");
}

static char pattern(unsigned long at)
{
    return (char)(at * 2654435761U >> 13);
}

static void send_pattern(unsigned port, unsigned long total)
{
    static char data[PIECE];
    int fd = dial(port);
    if (fork() == 0) {
        for (unsigned long at = 0; at < total;) {
            size_t n = total - at < PIECE ? total - at : PIECE;
            for (size_t i = 0; i < n; i++)
                data[i] = pattern(at + i);
            send_all(fd, data, n);
            at += n;
        }
        shutdown(fd, SHUT_WR);
        exit(0);
    }
    unsigned long good = 0;
    ssize_t n;
    while ((n = read(fd, data, sizeof data)) > 0)
        for (ssize_t i = 0; i < n; i++)
            good += data[i] == pattern(good);
    if (n < 0)
        die("read");
    printf("%lu\n", good);
}

static void many(unsigned port, int n)
{
    int *fds = calloc((size_t)n, sizeof *fds);
    int good = 0;
    char line[32];
    char back[32];
    for (int i = 0; i < n; i++)
        fds[i] = dial(port);
    for (int i = 0; i < n; i++)
        send_all(fds[i], line, (size_t)snprintf(line, sizeof line, "%08d", i));
    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof line, "%08d", i);
        good += recv(fds[i], back, 8, MSG_WAITALL) == 8 && memcmp(line, back, 8) == 0;
    }
    printf("%d\n", good);
}

int main(int argc, char **argv)
{
    unsigned port = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "read") == 0)
        copy(dial(port), STDOUT_FILENO);
    else if (strcmp(verb, "accept") == 0)
        accept_one(port);
    else if (strcmp(verb, "echo") == 0)
        echo(port);
    else if (strcmp(verb, "write") == 0 && argc > 3)
        write_zeros(port, strtoul(argv[3], NULL, 10));
    else if (strcmp(verb, "send") == 0 && argc > 3)
        send_pattern(port, strtoul(argv[3], NULL, 10));
    else if (strcmp(verb, "many") == 0 && argc > 3)
        many(port, atoi(argv[3]));
    else
        return 2;
    return 0;
}

// The flag that a signal sets and long jobs look at.
#include "base/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

void interrupt_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction was;
        if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN) // nohup
            sigaction(signals[i], &action, NULL);
    }
}

int interrupt_check(struct err *e)
{
    return caught ? err_set(e, ERR_INTERRUPTED, "interrupted") : 0;
}

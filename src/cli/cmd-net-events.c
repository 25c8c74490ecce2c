// `tailmac net events`: what happens in vnet, as it happens.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/interrupt.h"
#include "cli/net.h"

enum { CALL_MS = 10000, LOOK_MS = 200 };

// "14:03:07 lease network=home address=192.168.0.17", in this computer's time.
static void print_line(const json_t *event)
{
    char clock[16];
    time_t now = time(NULL);
    struct tm tm;
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
    printf("%s %s", clock, json_string_value(json_object_get(event, "event")));
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        if (strcmp(key, "event") == 0)
            continue;
        AUTO_FREE char *text = print_value(value);
        printf(" %s=%s", key, text);
    }
    putchar('\n');
}

static void print_json(const json_t *event)
{
    AUTO_FREE char *text = json_dumps(event, JSON_COMPACT);
    puts(text);
}

// Until ^C, the end of vnet, or of who reads what we print. Waits in turns: a signal that comes
// just before the wait does not end it.
static int follow(struct client_conn *c, void (*print)(const json_t *event), struct err *e)
{
    bool gone = false;
    while (!gone && interrupt_check(e) == 0 && !ferror(stdout)) {
        json_t *event = client_event(c, LOOK_MS, &gone, e);
        if (!event && !gone && e->code != ERR_TIMEOUT && e->code != ERR_INTERRUPTED)
            return -1;
        if (event)
            print(event);
        fflush(stdout);
        json_decref(event);
    }
    return 0;
}

static int run_events(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    struct client_conn *c = net_connect(cli, e);
    if (!c)
        return -1;
    interrupt_catch();
    json_t *ok = client_call(c, "events", NULL, CALL_MS, NULL, e);
    int result = -1;
    if (ok) {
        cli_say(cli, "waiting for events");
        result = follow(c, cli->format && !cli->json ? print_line : print_json, e);
    }
    json_decref(ok);
    client_close(c);
    return result;
}

const struct command cmd_net_events = {
    .name = "events",
    .summary = "Print what happens, a JSON line each, until ^C",
    .family = &cmd_net,
    .run = run_events,
    .no_store = true,
};

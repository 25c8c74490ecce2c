// The record of a VM's last run.
#include "vm/record.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "vm/store.h"

enum { RECORD_MAX = 64 << 10 };

static json_t *now(void)
{
    char text[32];
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

static json_t *load(int vm_fd)
{
    struct err e;
    AUTO_FREE char *text = file_read(vm_fd, VM_RUN, RECORD_MAX, NULL, &e);
    json_t *record = text ? json_loads(text, 0, NULL) : NULL;
    if (json_is_string(json_object_get(record, "ended")))
        return record;
    json_decref(record);
    return json_pack("{s:s}", "ended", ENDED_NEVER);
}

json_t *record_read(int vm_fd, bool locked)
{
    json_t *record = load(vm_fd);
    const char *ended = json_string_value(json_object_get(record, "ended"));
    if (!locked && strcmp(ended, ENDED_RUNNING) == 0) {
        json_object_set_new(record, "ended", json_string(ENDED_KILLED));
        json_object_set_new(record, "reason",
                            json_string("Host was killed, or this computer went down"));
    }
    return record;
}

// Not synced: after a power cut an older record at worst tells of an older run.
static int store(int vm_fd, json_t *record, struct err *e)
{
    AUTO_FREE char *dumped = json_dumps(record, JSON_INDENT(2));
    json_decref(record);
    AUTO_FREE char *text = xasprintf("%s\n", dumped);
    return file_write_atomic(vm_fd, VM_RUN, text, strlen(text), false, e);
}

int record_begin(int vm_fd, const char *boot, const char *note, struct err *e)
{
    return store(vm_fd,
                 json_pack("{s:s, s:s, s:s*, s:o}", "ended", ENDED_RUNNING, "boot", boot, "note",
                           note, "started", now()),
                 e);
}

int record_end(int vm_fd, const char *ended, const char *reason, struct err *e)
{
    json_t *record = load(vm_fd);
    json_object_set_new(record, "ended", json_string(ended));
    json_object_set_new(record, "at", now());
    json_object_del(record, "reason");
    if (reason)
        json_object_set_new(record, "reason", json_string(reason));
    return store(vm_fd, record, e);
}

// Chooses the accelerator: the decision from a measurement, and the measurement's cache.
#include "engine/qemu/accel.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/os.h"

static const char cache_name[] = "accel.json";
enum {
    CACHE_LIMIT = 4096,
    // Goes up when the measurement changes, so that an older tailmac's figure is not believed.
    CACHE_VERSION = 1,
    BOOT_ID_MAX = 128,
};

static const char *const names[] = {
    [ACCEL_AUTO] = "auto",
    [ACCEL_KVM] = "kvm",
    [ACCEL_HVF] = "hvf",
    [ACCEL_TCG] = "tcg",
};
static_assert(sizeof names / sizeof *names == ACCEL_TCG + 1, "an accelerator has no name");

// Names of the outcomes in the cache; one without a name is not kept.
static const char *const kept[] = {
    [KVM_LOOP_RAN] = "ran",
    [KVM_LOOP_WRONG] = "wrong",
    [KVM_LOOP_TIMED_OUT] = "timed-out",
    [KVM_LOOP_UNMEASURED] = NULL,
};

const char *accel_name(enum accel accel)
{
    return names[accel];
}

int accel_parse(const char *text, enum accel *out, struct err *e)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum accel)i;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "no accelerator \"%s\": auto, kvm, hvf or tcg", text);
}

// Whether the accelerator may be used, and the clause that says why (not).
static bool judge(const char *name, const struct kvm_loop *loop, char *why, size_t n)
{
    switch (loop->state) {
    case KVM_LOOP_FAILED:
        snprintf(why, n, "%s", loop->why);
        return false;
    case KVM_LOOP_WRONG:
        snprintf(why, n, "a simple loop under %s ended with a wrong result", name);
        return false;
    case KVM_LOOP_TIMED_OUT:
        snprintf(why, n, "%s did not end a loop of %d iterations within %d ms", name,
                 KVM_LOOP_ITERATIONS, KVM_LOOP_DEADLINE_MS);
        return false;
    case KVM_LOOP_UNMEASURED:
        snprintf(why, n, "%s is available (its speed was not measured)", name);
        return true;
    case KVM_LOOP_RAN:
        break;
    }
    bool fast = loop->ms <= KVM_LOOP_LIMIT_MS;
    if (fast)
        snprintf(why, n, "%s ran %d iterations in %.2f ms", name, KVM_LOOP_ITERATIONS, loop->ms);
    else
        snprintf(why, n, "%s runs slower than any CPU: %d iterations took %.0f ms (limit %d ms)",
                 name, KVM_LOOP_ITERATIONS, loop->ms, KVM_LOOP_LIMIT_MS);
    return fast;
}

// Whether the decision depends on what the hardware can do.
static bool needs_loop(enum accel wanted, const char *guest_arch, const struct accel_host *host)
{
    return (wanted == ACCEL_AUTO || wanted == host->native) && strcmp(guest_arch, host->arch) == 0;
}

// The reason why hardware is out of the question, before anything is measured.
static void rule_out(enum accel wanted, const char *guest_arch, const struct accel_host *host,
                     char *why, size_t n)
{
    if (wanted == ACCEL_TCG)
        snprintf(why, n, "tcg was asked for");
    else if (wanted != ACCEL_AUTO && wanted != host->native)
        snprintf(why, n, "this system's accelerator is %s", accel_name(host->native));
    else
        snprintf(why, n, "the guest is %.40s and this host %.40s", guest_arch, host->arch);
}

int accel_decide(enum accel wanted, const char *guest_arch, const struct accel_host *host,
                 const struct kvm_loop *loop, struct accel_choice *out, struct err *e)
{
    struct accel_choice c = {.accel = ACCEL_TCG};
    if (!needs_loop(wanted, guest_arch, host)) {
        rule_out(wanted, guest_arch, host, c.why, sizeof c.why);
    } else {
        if (judge(accel_name(host->native), loop, c.why, sizeof c.why))
            c.accel = host->native;
        c.loop_ms = loop->state == KVM_LOOP_RAN ? loop->ms : 0;
    }
    if (wanted != ACCEL_AUTO && wanted != c.accel)
        return err_set(e, ERR_HOST_CANNOT, "cannot use %s: %s", accel_name(wanted), c.why);
    *out = c;
    return 0;
}

static bool kept_parse(const char *name, enum kvm_loop_state *out)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (kept[i] && strcmp(kept[i], name) == 0) {
            *out = (enum kvm_loop_state)i;
            return true;
        }
    }
    return false;
}

bool accel_cache_load(const char *runtime_dir, const char *boot_id, struct kvm_loop *out)
{
    struct err ignored;
    AUTO_CLOSE int dir = dir_open(AT_FDCWD, runtime_dir, &ignored);
    size_t n;
    AUTO_FREE char *text = dir < 0 ? NULL : file_read(dir, cache_name, CACHE_LIMIT, &n, &ignored);
    if (!text)
        return false;

    json_auto_t *doc = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    int version;
    const char *accel, *boot, *state;
    struct kvm_loop loop = {0};
    if (json_unpack(doc, "{s:i, s:s, s:s, s:s, s:F !}", "version", &version, "accel", &accel,
                    "boot", &boot, "loop", &state, "ms", &loop.ms) < 0)
        return false;
    if (version != CACHE_VERSION || strcmp(accel, kvm_loop_accel) != 0 ||
        strcmp(boot, boot_id) != 0 || !kept_parse(state, &loop.state) || loop.ms < 0)
        return false;
    *out = loop;
    return true;
}

void accel_cache_store(const char *runtime_dir, const char *boot_id, const struct kvm_loop *loop)
{
    if (!kept[loop->state])
        return;
    struct err ignored;
    AUTO_CLOSE int dir = dir_open(AT_FDCWD, runtime_dir, &ignored);
    json_auto_t *doc =
        json_pack("{s:i, s:s, s:s, s:s, s:f}", "version", CACHE_VERSION, "accel", kvm_loop_accel,
                  "boot", boot_id, "loop", kept[loop->state], "ms", loop->ms);
    AUTO_FREE char *text = json_dumps(doc, JSON_REAL_PRECISION(6));
    if (dir >= 0 && text)
        file_write_atomic(dir, cache_name, text, strlen(text), false, &ignored);
}

// The measurement, from this boot's cache or made now. Returns whether it came from the cache.
static bool measure(const char *runtime_dir, struct kvm_loop *out)
{
    if (!kvm_loop_present(out))
        return false;
    char boot[BOOT_ID_MAX] = "";
    os_boot_id(boot, sizeof boot);
    if (runtime_dir && accel_cache_load(runtime_dir, boot, out))
        return true;
    kvm_loop_measure(out);
    if (runtime_dir)
        accel_cache_store(runtime_dir, boot, out);
    return false;
}

// This machine's architecture under QEMU's name for it.
static const char *host_arch(struct utsname *u)
{
    if (uname(u) < 0)
        return "unknown";
    return strcmp(u->machine, "arm64") == 0 ? "aarch64" : u->machine;
}

int accel_choose(enum accel wanted, const char *guest_arch, const char *runtime_dir,
                 struct accel_choice *out, struct err *e)
{
    struct utsname u;
    struct accel_host host = {.arch = host_arch(&u)};
    if (accel_parse(kvm_loop_accel, &host.native, e) < 0)
        return -1;
    struct kvm_loop loop = {0};
    bool cached = needs_loop(wanted, guest_arch, &host) && measure(runtime_dir, &loop);
    if (accel_decide(wanted, guest_arch, &host, &loop, out, e) < 0)
        return -1;
    out->cached = cached;
    return 0;
}

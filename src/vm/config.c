// config.json: one table of keys, and what reads and writes the struct through it.
#include "vm/config.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum key_type { KEY_TEXT, KEY_CHOICE, KEY_DIR, KEY_NUMBER, KEY_SIZE, KEY_MAC, KEY_BOOL };

struct key {
    const char *name;
    enum key_type type;
    size_t offset;                   // into struct vm_config
    const char *fallback;            // the default; NULL: none, and an empty option unsets it
    const char *allowed;             // texts: completes "is not …"; choices: "a|b"
    bool (*valid)(const char *text); // KEY_TEXT
    uint64_t min, max;               // KEY_NUMBER, KEY_SIZE
};

static const char word_chars[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=,";

static bool is_word(const char *text, const char *except, size_t max)
{
    size_t n = strlen(text);
    return n >= 1 && n <= max && strspn(text, word_chars) == n && !strpbrk(text, except);
}

// Machine and CPU become part of QEMU's arguments, where a comma starts another property: a CPU has
// such (`max,pauth-impdef=on`), a machine must not.
static bool is_machine(const char *text)
{
    return is_word(text, ",+=", 64);
}

static bool is_cpu(const char *text)
{
    return is_word(text, "", 255) && text[0] != ',';
}

// A file of the VM's own directory, and not one that tailmac writes there by itself.
static bool is_file_name(const char *text)
{
    return id_valid(text) && strcmp(text, "config.json") != 0 && strcmp(text, "lock") != 0;
}

static bool is_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    return true;
}

static bool is_cmdline(const char *text)
{
    return strlen(text) <= 2047 && is_printable(text); // the x86 kernel's limit, with its NUL
}

static bool is_socket_path(const char *text)
{
    struct err ignored;
    return socket_path_check(text, &ignored) == 0;
}

static bool is_dir_path(const char *text)
{
    return text[0] == '/' && strlen(text) < PATH_MAX && is_printable(text);
}

#define AT(field) offsetof(struct vm_config, field)
#define FILE_ALLOWED "the name of a file in the VM's directory"

static const struct key keys[] = {
    {"vmID", KEY_TEXT, AT(vm_id), NULL, "an id: 1 to 64 of A-Z a-z 0-9 . _ -", id_valid, 0, 0},
    {"serverSocket", KEY_TEXT, AT(server_socket), "/tmp/qemu-dgram.sock",
     "an absolute path of at most 103 bytes without control characters", is_socket_path, 0, 0},
    {"memorySize", KEY_SIZE, AT(memory_size), "4294967296", NULL, NULL, 16 << 20, 1ULL << 40},
    {"mac", KEY_MAC, AT(mac), "52:cc:cc:cc:cc:01", NULL, NULL, 0, 0},
    {"ethermac", KEY_MAC, AT(ethermac), "52:cc:cc:cc:ce:01", NULL, NULL, 0, 0},
    // 4294967295 is VMADDR_PORT_ANY.
    {"port", KEY_NUMBER, AT(port), "51009", NULL, NULL, 1, 4294967294},
    {"sharedDir", KEY_DIR, AT(shared_dir), NULL,
     "the absolute path of a directory, without control characters", is_dir_path, 0, 0},
    {"engine", KEY_CHOICE, AT(engine), "qemu", "qemu|vz", NULL, 0, 0},
    {"arch", KEY_CHOICE, AT(arch), "x86_64", "x86_64|aarch64", NULL, 0, 0}, // or the host's
    {"machine", KEY_TEXT, AT(machine), NULL, "1 to 64 of A-Z a-z 0-9 . _ -", is_machine, 0, 0},
    {"cpu", KEY_TEXT, AT(cpu), NULL, "1 to 255 of A-Z a-z 0-9 . _ - + = ,", is_cpu, 0, 0},
    {"cpus", KEY_NUMBER, AT(cpus), "1", NULL, NULL, 1, 255},
    {"diskFormat", KEY_CHOICE, AT(disk_format), NULL, "raw|qcow2", NULL, 0, 0},
    {"kernel", KEY_TEXT, AT(kernel), NULL, FILE_ALLOWED, is_file_name, 0, 0},
    {"initrd", KEY_TEXT, AT(initrd), NULL, FILE_ALLOWED, is_file_name, 0, 0},
    {"cmdline", KEY_TEXT, AT(cmdline), NULL, "at most 2047 bytes without control characters",
     is_cmdline, 0, 0},
    {"firmware", KEY_CHOICE, AT(firmware), NULL, "bios|uefi", NULL, 0, 0},
    {"vsock", KEY_BOOL, AT(vsock), "true", NULL, NULL, 0, 0},
};
enum { KEYS = sizeof keys / sizeof *keys };

const struct config_option config_options[] = {
    {"mem", "memorySize", "SIZE", "memory, as bytes or 512M, 8G", NULL},
    {"cpus", "cpus", "N", "number of processors", NULL},
    {"mac", "mac", "MAC", "address of the socket NIC", NULL},
    {"ethermac", "ethermac", "MAC", "address of the NAT NIC", NULL},
    {"sock", "serverSocket", "PATH", "the virtual network's datagram socket", NULL},
    {"port", "port", "N", "guest vsock port that is connected to on start", NULL},
    {"vsock", "vsock", "BOOL", "whether the guest has a vsock device", "true|false"},
    {"share", "sharedDir", "DIR", "directory the guest may use; '' for none", NULL},
    {"engine", "engine", "NAME", "hypervisor", "qemu|vz"},
    {"arch", "arch", "ARCH", "processor architecture", "x86_64|aarch64"},
    {"machine", "machine", "NAME", "machine type; '' for the engine's own", NULL},
    {"cpu", "cpu", "MODEL", "processor model; '' for the engine's own", NULL},
    {"firmware", "firmware", "KIND", "firmware; '' for the machine's own", "bios|uefi"},
    {"cmdline", "cmdline", "TEXT", "the kernel's command line", NULL},
    {0},
};
static_assert(sizeof config_options / sizeof *config_options <= CONFIG_OPTIONS_MAX,
              "struct cli has room for every option");

static const struct key *find_key(const char *name)
{
    for (int i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    abort(); // a name in our own code
}

static void *field(const struct vm_config *c, const struct key *key)
{
    return (char *)(uintptr_t)c + key->offset; // readers do not write through it
}

static bool is_text(const struct key *key)
{
    return key->type == KEY_TEXT || key->type == KEY_CHOICE || key->type == KEY_DIR;
}

static bool store_text(const struct key *key, struct vm_config *c, const char *text)
{
    if (key->type == KEY_CHOICE ? !choice_valid(key->allowed, text) : !key->valid(text))
        return false;
    char **to = field(c, key);
    free(*to);
    *to = xstrdup(text);
    return true;
}

static bool store_number(const struct key *key, struct vm_config *c, uint64_t n)
{
    if (n < key->min || n > key->max)
        return false;
    *(uint64_t *)field(c, key) = n;
    return true;
}

static bool store_bool(const struct key *key, struct vm_config *c, const char *text)
{
    bool yes = choice_valid("true|on|yes|1", text);
    if (!yes && !choice_valid("false|off|no|0", text))
        return false;
    *(bool *)field(c, key) = yes;
    return true;
}

static bool store_dir(const struct key *key, struct vm_config *c, const char *text)
{
    struct stat st;
    AUTO_FREE char *path = realpath(text, NULL);
    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode) && store_text(key, c, path);
}

// Sets a field from what a person typed.
static bool from_text(const struct key *key, struct vm_config *c, const char *text)
{
    struct err ignored;
    uint64_t n;
    switch (key->type) {
    case KEY_DIR:
        return store_dir(key, c, text);
    case KEY_NUMBER:
        return number_parse(text, "", key->min, key->max, &n, &ignored) == 0 &&
               store_number(key, c, n);
    case KEY_SIZE:
        return size_parse(text, &n, &ignored) == 0 && store_number(key, c, n);
    case KEY_MAC:
        return mac_parse(text, field(c, key), &ignored) == 0;
    case KEY_BOOL:
        return store_bool(key, c, text);
    case KEY_TEXT:
    case KEY_CHOICE:
        break;
    }
    return store_text(key, c, text);
}

// Sets a field from a value of the file.
static bool from_json(const struct key *key, struct vm_config *c, const json_t *value)
{
    struct err ignored;
    if (json_is_null(value) && !key->fallback)
        return true; // as if the key were not there
    if (key->type == KEY_NUMBER || key->type == KEY_SIZE)
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               store_number(key, c, (uint64_t)json_integer_value(value));
    if (key->type == KEY_BOOL) {
        *(bool *)field(c, key) = json_is_true(value);
        return json_is_boolean(value);
    }
    if (!json_is_string(value))
        return false;
    if (key->type == KEY_MAC)
        return mac_parse(json_string_value(value), field(c, key), &ignored) == 0;
    return store_text(key, c, json_string_value(value));
}

static json_t *to_json(const struct key *key, const struct vm_config *c)
{
    char mac[MAC_TEXT];
    switch (key->type) {
    case KEY_NUMBER:
    case KEY_SIZE:
        return json_integer((json_int_t) * (uint64_t *)field(c, key));
    case KEY_MAC:
        mac_format(field(c, key), mac);
        return json_string(mac);
    case KEY_BOOL:
        return json_boolean(*(bool *)field(c, key));
    case KEY_TEXT:
    case KEY_CHOICE:
    case KEY_DIR:
        break;
    }
    const char *text = *(char **)field(c, key);
    return text ? json_string(text) : NULL;
}

// What may stand after "is not"; `typed` by a person, or in the file.
static void describe(const struct key *key, bool typed, char *out, size_t n)
{
    unsigned long long min = key->min;
    unsigned long long max = key->max;
    if (key->type == KEY_NUMBER)
        snprintf(out, n, "a whole number from %llu to %llu", min, max);
    else if (key->type == KEY_SIZE && typed)
        snprintf(out, n, "a size from %lluM to %lluT, such as 268435456, 512M or 8G", min >> 20,
                 max >> 40);
    else if (key->type == KEY_SIZE)
        snprintf(out, n, "a whole number of bytes from %llu to %llu", min, max);
    else if (key->type == KEY_MAC)
        snprintf(out, n, "a unicast MAC address such as 52:cc:cc:cc:cc:01");
    else if (key->type == KEY_BOOL)
        snprintf(out, n, "true or false");
    else if (key->type == KEY_CHOICE)
        snprintf(out, n, "%.*s or %s", (int)strcspn(key->allowed, "|"), key->allowed,
                 strchr(key->allowed, '|') + 1);
    else if (key->type == KEY_DIR && typed)
        snprintf(out, n, "a directory");
    else
        snprintf(out, n, "%s", key->allowed);
}

static int refuse(const struct key *key, enum err_code code, const char *who, const json_t *value,
                  struct err *e)
{
    char allowed[128];
    // ASCII only: a value from outside must not steer the terminal it is shown on.
    AUTO_FREE char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);
    describe(key, code == ERR_USAGE, allowed, sizeof allowed);
    bool cut = shown && strlen(shown) > 120;
    return err_set(e, code, "%s: %.120s%s is not %s", who, shown ? shown : "the value",
                   cut ? "…" : "", allowed);
}

static const char *host_arch(void)
{
    struct utsname host;
    bool arm = uname(&host) == 0 && choice_valid("aarch64|arm64", host.machine);
    return arm ? "aarch64" : "x86_64";
}

void config_init(struct vm_config *c, const char *id)
{
    *c = (struct vm_config){.keys = json_object()};
    for (int i = 0; i < KEYS; i++)
        if (keys[i].fallback && !from_text(&keys[i], c, keys[i].fallback))
            abort(); // a default outside its own range
    free(c->arch);
    c->arch = xstrdup(host_arch());
    c->vm_id = xstrdup(id);
}

void config_free(struct vm_config *c)
{
    for (int i = 0; i < KEYS; i++)
        if (is_text(&keys[i]))
            free(*(char **)field(c, &keys[i]));
    json_decref(c->keys);
    *c = (struct vm_config){0};
}

static json_t *load_object(const char *text, struct err *e)
{
    json_error_t where;
    json_t *doc = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!doc) {
        for (char *p = where.text; *p; p++) // it quotes the file
            if (iscntrl((unsigned char)*p))
                *p = ' ';
        err_set(e, ERR_FAILED, "line %d, column %d: %s", where.line, where.column, where.text);
        return NULL;
    }
    if (!json_is_object(doc)) {
        json_decref(doc);
        err_set(e, ERR_FAILED, "it is not a JSON object");
        return NULL;
    }
    return doc;
}

static int fill(struct vm_config *c, struct err *e)
{
    for (int i = 0; i < KEYS; i++) {
        const json_t *value = json_object_get(c->keys, keys[i].name);
        if (value && !from_json(&keys[i], c, value))
            return refuse(&keys[i], ERR_FAILED, keys[i].name, value, e);
    }
    if (config_check(c, e) < 0) {
        e->code = ERR_FAILED;
        return -1;
    }
    return 0;
}

int config_parse(const char *text, const char *id, struct vm_config *c, char **warning,
                 struct err *e)
{
    *warning = NULL;
    *c = (struct vm_config){0};
    json_t *doc = load_object(text, e);
    if (!doc)
        return -1;
    config_init(c, id);
    json_decref(c->keys);
    c->keys = doc;
    if (fill(c, e) < 0) {
        config_free(c);
        return -1;
    }
    if (strcmp(c->vm_id, id) != 0) {
        *warning = xasprintf("vmID says %s: the directory's name '%s' counts", c->vm_id, id);
        free(c->vm_id);
        c->vm_id = xstrdup(id);
    }
    return 0;
}

bool config_has(const struct vm_config *c, const char *key)
{
    const json_t *value = json_object_get(c->keys, key);
    return value && !json_is_null(value);
}

int config_set_as(struct vm_config *c, const char *who, const char *name, const char *text,
                  struct err *e)
{
    const struct key *key = find_key(name);
    if (!*text && !key->fallback && is_text(key)) {
        char **to = field(c, key);
        free(*to);
        *to = NULL;
        json_object_del(c->keys, name);
        return 0;
    }
    if (from_text(key, c, text)) {
        json_object_set_new(c->keys, name, to_json(key, c));
        return 0;
    }
    json_t *shown = json_string(text);
    if (!shown)
        shown = json_string("(not UTF-8)");
    refuse(key, ERR_USAGE, who, shown, e);
    json_decref(shown);
    return -1;
}

int config_set(struct vm_config *c, const char *key, const char *text, struct err *e)
{
    return config_set_as(c, key, key, text, e);
}

int config_check(const struct vm_config *c, struct err *e)
{
    char mac[MAC_TEXT];
    mac_format(&c->mac, mac);
    if (memcmp(&c->mac, &c->ethermac, sizeof c->mac) == 0)
        return err_set(e, ERR_USAGE, "mac and ethermac are both %s: two NICs need two addresses",
                       mac);
    return 0;
}

static json_t *document(const struct vm_config *c, bool all)
{
    struct vm_config usual;
    config_init(&usual, c->vm_id);
    json_t *doc = json_deep_copy(c->keys);
    for (int i = 0; i < KEYS; i++) {
        json_t *value = to_json(&keys[i], c);
        json_t *fallback = to_json(&keys[i], &usual);
        bool write = all || json_object_get(doc, keys[i].name) || !json_equal(value, fallback);
        if (!value)
            json_object_del(doc, keys[i].name);
        else if (write)
            json_object_set(doc, keys[i].name, value);
        json_decref(value);
        json_decref(fallback);
    }
    config_free(&usual);
    return doc;
}

json_t *config_to_json(const struct vm_config *c)
{
    return document(c, true);
}

json_t *config_to_file(const struct vm_config *c)
{
    return document(c, false);
}

void config_settle(struct vm_config *c)
{
    json_t *all = document(c, true);
    json_t *sorted = json_object(); // as the table has them, then what is unknown
    for (int i = 0; i < KEYS; i++)
        json_object_set(sorted, keys[i].name, json_object_get(all, keys[i].name));
    json_object_update_missing(sorted, all);
    json_decref(all);
    json_decref(c->keys);
    c->keys = sorted;
}

void config_copy(const struct vm_config *from, const char *id, struct vm_config *to)
{
    config_init(to, id);
    json_decref(to->keys);
    to->keys = document(from, false);
    if (json_object_get(to->keys, "vmID"))
        json_object_set_new(to->keys, "vmID", json_string(id));
    for (int i = 0; i < KEYS; i++) {
        json_t *value = to_json(&keys[i], from);
        if (value && strcmp(keys[i].name, "vmID") != 0 && !from_json(&keys[i], to, value))
            abort(); // it was checked when `from` was filled
        json_decref(value);
    }
}

# shellcheck disable=SC2016 # backquotes of Markdown
# What the programs have and what the documents tell of is the same, both ways. Prints what is only
# on one side: '<' in the program, '>' in the document.
docs=$GOLDEN/../../../docs
src=$GOLDEN/../../../src

compare() { # WHAT PROGRAM DOCUMENT
    sort -u "$2" >a
    sort -u "$3" >b
    if [ ! -s a ]; then
        echo "$1: nothing found"
    elif diff a b >difference; then
        echo "$1: complete"
    else
        echo "$1:"
        grep '^[<>]' difference
    fi
}

commands() {
    tailmac help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# The members of a family of commands.
members() { # COMMAND
    tailmac "$1" --help | sed -n '/^commands/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# Options of a usage text, without those of every command or of a whole family, and --id.
options_of_help() {
    sed -e '/^shared options/,$d' -e '/^options of every command/,$d' | sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' |
        sed '/^id$/d'
}

# Long options in a subsection of tailmac(1).
options_of_page() { # SUBSECTION
    awk -v want=".Ss $1" '/^\.S[sh]/ { in_it = $0 == want } in_it && /^\.It/' "$docs/man/tailmac.1" |
        long_options
}

long_options() {
    grep -o 'Fl -[a-z-]*' | sed 's/Fl -//'
}

commands >program
awk '/^\.Sh/ { in_it = $2 == "COMMANDS" } in_it && /^\.Ss [a-z]/ { print $2 }' "$docs/man/tailmac.1" \
    >document
compare 'commands' program document

members net >program
sed -n 's/^\.Ss net \([a-z]*\)$/\1/p' "$docs/man/tailmac.1" >document
compare 'commands of net' program document
tailmac net --help | sed '1,/^shared options/d; /^$/q' | options_of_help >program
options_of_page net >document
compare 'options of net' program document

for command in $(commands | sed '/^net$/d') $(members net | sed 's/^/net-/'); do
    command=$(echo "$command" | tr - ' ')
    tailmac $command --help | options_of_help >program
    options_of_page "$command" >document
    case $command in
    create | configure) options_of_page 'What a VM is made of' >>document ;;
    esac
    if [ -s program ] || [ -s document ]; then
        compare "options of $command" program document
    fi
done

tailmac help | sed '1,/^options of every command/d' |
    sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' >program
options_of_page 'Options of every command' >document
compare 'options of every command' program document

Host --help | grep -o '^ *\(-., *\)\{0,1\}-\{1,2\}[a-z][a-z-]*' | sed 's/.*[ ,]-*//; s/^-*//' >program
grep '^\.It' "$docs/man/Host.1" | long_options >document
compare 'options of Host' program document

sed -n '/^static const struct key keys/,/^};/s/^    {"\([a-zA-Z]*\)".*/\1/p' "$src/vm/config.c" >program
awk '/^\.Sh/ { in_it = $2 == "KEYS" } in_it && /^\.It Li/ { print $3 }' "$docs/man/tailmac-config.5" \
    >document
compare 'keys of config.json' program document

sed -n '/^const struct config_option/,/^};/s/^    {"\([a-z]*\)", "\([a-zA-Z]*\)".*/\2 \1/p' \
    "$src/vm/config.c" >program
sed -n 's/^\.It Li \([a-zA-Z]*\) Pq Fl -\([a-z]*\)$/\1 \2/p' "$docs/man/tailmac-config.5" |
    sed '/^kernel /d; /^initrd /d' >document # these two are options of their own
compare 'options of keys' program document

vnet --help | sed -n 's/^ *\(-., \)\{0,1\}--\([a-z-]*\).*/\2/p' >program
grep '^\.It' "$docs/man/vnet.1" | long_options >document
compare 'options of vnet' program document

vnet plug --help | sed -n 's/^ *\(-., \)\{0,1\}--\([a-z]*\).*/\2/p' >program
grep '^\.It' "$docs/man/vnet-plug.1" | long_options >document
compare 'options of vnet plug' program document

# Keys of a kind of mapping in lab files: in its table, and in its subsection of vnet-lab(5).
keys_of_table() { # NAME
    sed -n "/^static const struct key $1_keys/,/^};/s/^    {\"\([a-z0-9-]*\)\".*/\1/p" \
        "$src/vnet/labfile/schema.c"
}

keys_of_lab() { # SUBSECTION TABLE...
    subsection=$1
    shift
    for table; do
        keys_of_table "$table"
    done >program
    awk -v want=".Ss $subsection" '/^\.S[sh]/ { in_it = $0 == want } in_it && /^\.It Li/ { print $3 }' \
        "$docs/man/vnet-lab.5" >document
    compare "keys of lab files: $subsection" program document
}

keys_of_lab 'The lab' lab
keys_of_lab 'A network' network ra
keys_of_lab 'A node' node link
keys_of_lab "A link's direction" direction
keys_of_lab 'The internet' internet
keys_of_lab 'A DNS name' name

sed -n 's/^    ERR_[A-Z_]* = \([0-9]*\),$/\1/p' "$src/base/err.h" >program
awk '/^\.Sh/ { in_it = $2 == "EXIT" } in_it && /^\.It [1-9]/ { print $2 }' "$docs/man/tailmac.1" >document
compare 'exit codes' program document

sed -n '/^} names\[\]/,/^};/s/.*{ERR_[A-Z_]*, "\([a-z-]*\)"}.*/\1/p' "$src/base/err.c" >program
sed -n 's/^| [0-9]* | `\([a-z-]*\)` |.*/\1/p' "$docs/interfaces.md" >document
compare 'names of exit codes' program document

sed -n '/^const struct verb host_verbs/,/^};/p' "$src/host/control.c" | grep -o '{"[a-z]*"' |
    tr -d '{"' >program
echo events >>program # served by src/proto/server.c
awk '/^\| verb/ { in_it = 1; next } /^$/ { in_it = 0 } in_it' "$docs/interfaces.md" |
    cut -d '|' -f 2 | grep -o '`[a-z]*`' | tr -d '`' >document
compare 'control verbs' program document

# Names in the first column of a table of interfaces.md.
names_of_table() { # HEAD
    awk -v head="^\\| $1 \\|" '$0 ~ head { in_it = 1; next } /^$/ { in_it = 0 } in_it' \
        "$docs/interfaces.md" | cut -d '|' -f 2 | grep -o '`[a-z0-9-]*`' | tr -d '`'
}

sed -n '/^static const struct verb pool_verbs/,/};/p' "$src/host/pool.c" | grep -o '{"[a-z]*"' |
    tr -d '{"' >program
echo events >>program
names_of_table 'pool verb' >document
compare 'control verbs of a pool' program document

vnet=$src/vnet/daemon
sed -n '/^const struct verb vnet_verbs/,/^};/p' "$vnet/control.c" | grep -o '{"[a-z]*"' |
    tr -d '{"' >program
echo events >>program
names_of_table 'vnet verb' >document
compare 'control verbs of vnet' program document

sed -n '/names\[REFUSED_COUNT\]/,/^};/p' "$vnet/refusals.c" | grep -o '"[a-z-]*"' | tr -d '"' >program
names_of_table 'refusal' >document
compare 'refusals of vnet' program document

sed -n '/^} drops\[\]/,/^};/s/.*{"\([a-z0-9-]*\)",.*/\1/p' "$src/vnet/drops.c" >program
sed -n 's/.*"drops"), "\([a-z-]*\)", p->.*/\1/p' "$vnet/documents.c" >>program
names_of_table 'drop' >document
compare 'drops of vnet' program document

sed -n '/state_names\[\]/,/^};/p' "$src/host/state.c" | grep -o '"[a-z-]*"' | tr -d '"' >program
awk '/^\| state \|/ { in_it = 1; next } /^$/ { in_it = 0 } in_it && !/---/' "$docs/architecture.md" |
    cut -d '|' -f 2 | tr ',' '\n' | tr -d ' ' >document
compare 'states' program document

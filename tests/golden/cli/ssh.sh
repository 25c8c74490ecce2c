# What `ssh` says where there is nothing to log in to, and what it has others say to ssh. (The
# directory of our programs is shown as BIN.)
bin=$(dirname "$(command -v tailmac)")
try() {
    echo "\$ tailmac ssh $*"
    tailmac ssh "$@" 2>&1 | sed "s,$bin,BIN,"
}

mkdir "$HOME/box"
echo '{"vmID": "box"}' >"$HOME/box/config.json"
try
try none
try box
try box --config -- true
try box --config --proxy
try box --user 'root x'
try box --config --user joe
PATH=$bin tailmac delete box >/dev/null
mkdir "$HOME/other"
echo '{"vmID": "other"}' >"$HOME/other/config.json"
PATH=$bin tailmac ssh other --config

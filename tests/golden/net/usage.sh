# What is wrong with a command line of `net`, and where no vnet is running.
try() {
    echo "\$ tailmac net $*"
    tailmac net "$@" --listen "$HOME/net.sock"
    echo "exit: $?"
}

try
try leses
try status
try leases --format json
try down
try down --format json
try dns lan
try up a b
try counters --prometheus --format json
tailmac net status --listen relative.sock
tailmac net leases --help
tailmac help net

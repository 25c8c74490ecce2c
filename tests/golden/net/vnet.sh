# The life of a vnet, in a private directory.
try() {
    echo "\$ tailmac net $*"
    said=$(tailmac net --listen "$HOME/net.sock" "$@" 2>&1)
    code=$?
    echo "$said" | sed 's/pid\(":\)* [0-9][0-9]*/pid\1 N/; s/ [0-9.]* s$/ N s/'
    [ $code = 0 ] || echo "exit: $code"
}
trap 'tailmac net --listen "$HOME/net.sock" down >/dev/null' EXIT

cat >lab.yaml <<'LAB'
networks:
  home: { lan: 192.168.7.1/24, nat: none, domain: home.test }
  office: { lan: 10.2.0.1/16, lan6: "2000:52::1/64", nat: none, domain: office.test }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
LAB
echo 'networks: { home: { lan: here } }' >wrong.yaml

try up wrong.yaml
try up missing.yaml
try up lab.yaml --capture lab.pcapng --listen-stream "$HOME/stream.sock"
try up
try status
try links
try leases --format json
try counters
try counters --prometheus
try dns nowhere silent
try dns home silent
try dns home ok
try down
try status
ls

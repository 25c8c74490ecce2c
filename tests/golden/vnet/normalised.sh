# vnet -n prints a lab with every key in its place and every default; that print is the same lab.
cat >lab.yaml <<'END'
# Keys in any order, values in any of their forms.
seed: 42
capture: traces/lab.pcapng
nodes:
  a: { mac: "52:CC:CC:CC:CC:01", network: home, ip: 192.168.1.50, ip6: "2000:52:0::50",
       link: { delay: 1.50ms, queue: 9, up: { delay: 20us }, down: { down: true } } }
  b:
default-network: office
unknown-macs: refuse
mac-takeover: any
networks:
  home: { lan: 192.168.1.1/24, lan6: "2000:52::1/64", wan: 2.1.1.1, wan-mtu: 1400 }
  office: { lan: 10.2.0.1/16, wan: 2.2.2.2, nat: none, mtu: 9000, lease-time: 1.5m,
            ra: { interval: 5s, managed: true, other: true }, domain: Office.Test.,
            transparent: true, flood-unknown: false, dns-fault: servfail }
  six: { lan6: 2000:99::1/64, dns: { Mail: { cname: x.test }, old.: 10.2.0.9 } }
  usual:
internet:
  dns:
    example.test: [5.0.0.1, "2052::1"]
    text.test: { txt: ["v=1 \"q\" äö☃\n", b], address: 5.0.0.1 }
  hosts: 8.8.8.8
  egress: host
  host-lan: allow
  forward: { 5.0.0.1:80: 127.0.0.1:8080, 5.0.0.1:53/udp: { to: 127.0.0.1:5353 }, "5.0.0.2:22": unix:/a b }
  from-host: { 8080: a:80, 0.0.0.0:53/udp: { to: "52:cc:cc:cc:cc:01:53" }, "127.0.0.2:1": 10.2.0.9:65535 }
END
vnet -n lab.yaml | tee once.yaml
vnet -n once.yaml >twice.yaml
cmp once.yaml twice.yaml && echo 'read back: the same'

echo '--- without a lab file'
vnet -n

# What is wrong with a lab, and where; exit code 2.
refuse() {
    cat >lab.yaml
    vnet -n lab.yaml
    code=$?
    [ $code -eq 2 ] || echo "exit: $code"
}

refuse <<'END'
networks:
  home: { lan: 192.168.1.1/24, wan: 2.1.1.1 }
  office:
    lan: 10.2.0.1/16
    wan: 2.2.2.2, nat: easy
END
refuse <<'END'
networks:
  home: { lan: 192.168.1.1/24 }
  office:
    wan: 2.2.2.2
    mtu: 1500      # as usual
    nat: easey
END
refuse <<'END'
networks:
  home: { wan: 2.1.1.1 }
  office: { wan: 2.1.1.1 }
END
refuse <<'END'
networks:
  home: { lan: 192.168.1.4x2/24 }
END
refuse <<'END'
networks: { home: }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01" }
  b: { mac: "52:cc:cc:cc:cc:02", network: offcie }
END
refuse <<'END'
networks: { home: }
nodes:
  a: { link: { up: { delay: 20ms, rate: 20mbit } } }
END
refuse <<'END'
networks: { home: }
nodes: { a: , b: { ip: 192.168.0.1 } }
END
refuse <<'END'
networks: { home: }
nodes: { a: , router: }
END
refuse <<'END'
networks: { home: , home: }
END
refuse <<'END'
networks: &them { home: }
nodes: *them
END
refuse <<'END'
networks: { home: }
internet: { forward: { 5.0.0.1: 127.0.0.1:80 } }
END
refuse <<'END'
networks: { home: }
internet: { forward: { "5.0.0.1:53/udp": "unix:/tmp/socket" } }
END
refuse <<'END'
networks: { home: }
internet: { forward: { "5.0.0.1:53/udp": "127.0.0.1:53/tcp" } }
END
refuse <<'END'
networks: { home: }
internet: { forward: { "192.168.0.9:80": "127.0.0.1:80" } }
END
refuse <<'END'
networks: { home: }
internet: { forward: { "5.0.0.1:80": "127.0.0.1:80", "5.0.0.1:80/tcp": "127.0.0.1:81" } }
END
refuse <<'END'
networks: { home: }
internet: { egress: hots }
END
refuse </dev/null
printf 'networks: { home: \377 }\n' | refuse
printf 'seed: "\\e]0;title\\a"\n' | refuse
refuse <<'END'
networks: { home: }
internet: { egress: host, from-host: { 8080: a:80, "127.0.0.1:8080": b:80 } }
END
refuse <<'END'
networks: { home: }
internet: { egress: host, from-host: { 8080: a } }
END
refuse <<'END'
networks: { home: }
internet: { egress: host, from-host: { "localhost:80": a:80 } }
END
refuse <<'END'
networks: { home: }
internet: { from-host: { 8080: a:80 } }
END
refuse <<'END'
networks: { home: { lan: 192.0.0.9/24 } }
END
refuse <<'END'
networks:
  home: { lan: 192.168.1.1/24,
          wan: 192.0.0.5 }
END
refuse <<'END'
networks: { home: }
internet: { hosts: [5.0.0.1, 192.0.0.2] }
END
refuse <<'END'
networks: { home: }
internet: { forward: { "192.0.0.6:80": "127.0.0.1:80" } }
END
refuse <<END
networks: { home: }
internet: { forward: { "5.0.0.1:80": { page: "$(printf %065537d 0)" } } }
END
vnet -n nothing-here.yaml

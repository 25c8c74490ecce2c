"""dig in a node: one question, and its answer taken apart."""
import re
from dataclasses import dataclass

from .wait import SOON


@dataclass(frozen=True)
class Answer:
    status: str    # "NOERROR"
    flags: set     # {"qr", "aa", …}
    edns: dict     # {"version": "0", "udp": "1472"}; empty: there was none
    question: str  # as it came back
    records: dict  # {section: [(name, type, value), …]}
    size: int      # of the message

    @property
    def values(self):
        """What the answer section says, without the names."""
        return [value for _, _, value in self.records.get("ANSWER", [])]

    def types(self, section):
        return [kind for _, kind, _ in self.records.get(section, [])]


def sections(text):
    """{"ANSWER": [lines], …}"""
    found = re.findall(r";; (\w+) SECTION:\n((?:.+\n)+)", text)
    return {name: body.splitlines() for name, body in found}


def record(line):
    name, _, _, kind, value = line.split(None, 4)
    return name, kind, value


def parse(text):
    parts = sections(text)
    edns = re.search(r"; EDNS: version: (\d+), flags:[^;]*; udp: (\d+)", text)
    return Answer(status=re.search(r"status: (\w+)", text)[1],
                  flags=set(re.search(r";; flags: ([\w ]*);", text)[1].split()),
                  edns={"version": edns[1], "udp": int(edns[2])} if edns else {},
                  question=parts["QUESTION"][0].lstrip(";").split()[0],
                  records={name: [record(line) for line in lines] for name, lines in parts.items()
                           if name not in ("QUESTION", "PSEUDOSECTION")},
                  size=int(re.search(r"MSG SIZE +rcvd: (\d+)", text)[1]))


def dig(node, server, *question, check=True):
    """The Answer, or where check is False the run of a dig that may fail. Asks once."""
    done = node.run("dig", f"@{server}", "+tries=1", f"+time={SOON // 2}", "+nocookie", *question,
                    check=check)
    return parse(done.stdout) if check else done

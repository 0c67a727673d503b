"""What is done to whom and when: a list made from a seed.

One action a line, `SECONDS KIND TARGET KEY=VALUE...`; parse() reads what
str() writes, so a schedule can be kept, cut down and played again.

    kill TARGET pause=S            SIGKILL, started again after S
    term TARGET pause=S twice=0|1  SIGTERM (and a second one), must end with 0
    stop TARGET for=S              SIGSTOP, SIGCONT after S
    cut CABLE for=S way=WAY        see proxy.py and network.py
    fill disk for=S                the store's disk is full
"""
import dataclasses
import random

WORKERS = ("f0", "f1", "f2", "h0", "h1", "h2")
FETCHERS, HASHERS = WORKERS[:3], WORKERS[3:]
# The last of each are the ones in namespaces.
IN_NAMESPACE = ("f2", "h2")

# Who is killed how often; a client is whichever of ours runs.
WEIGHTS = {"f0": 12, "f1": 12, "f2": 11, "h0": 10, "h1": 10, "h2": 10,
           "broker": 20, "client": 15}
# The others, for each kill.
SHARES = {"stop": 0.35, "term": 0.3, "cut": 0.6, "fill": 0.07}
# The first moment: everybody has just begun.
FIRST_S = 2.0
# A stop by SIGTERM may take the programs' grace and something.
TERM_S = 8.0


@dataclasses.dataclass
class Action:
    at: float
    kind: str
    target: str
    args: dict

    def __str__(self):
        args = "".join(f" {key}={value}" for key, value in self.args.items())
        return f"{self.at:.3f} {self.kind} {self.target}{args}"

    def number(self, key):
        return float(self.args[key])


def parse(text):
    actions = []
    for line in text.splitlines():
        line = line.split("#")[0].split()
        if line:
            actions.append(Action(float(line[0]), line[1], line[2],
                                  dict(arg.split("=") for arg in line[3:])))
    return actions


def _seconds(chance, low, high, long_share=0.0, long=(9, 14)):
    """Mostly short; a share of them longer than the broker's patience."""
    if chance.random() < long_share:
        low, high = long
    return round(chance.uniform(low, high), 2)


def _args(chance, kind):
    """How it is done, and for how long its target is busy with it."""
    if kind == "kill":
        # A supervisor is quick as a rule.
        pause_s = _seconds(chance, 0, 1.5, 0.1, (6, 12))
        return {"pause": pause_s}, 1.5 + pause_s
    if kind == "term":
        pause_s = _seconds(chance, 0, 1)
        return {"pause": pause_s, "twice": int(chance.random() < 0.25)}, \
            TERM_S + pause_s
    seconds = {"stop": lambda: _seconds(chance, 0.2, 3, 0.3),
               "cut": lambda: _seconds(chance, 0.2, 3, 0.3),
               "fill": lambda: _seconds(chance, 3, 7)}[kind]()
    return {"for": seconds}, seconds + 0.5


def _target(chance, kind, args, ways):
    if kind == "fill":
        return "disk"
    if kind == "cut":
        name = chance.choice([*WORKERS, "client"])
        args["way"] = chance.choice(ways[name])
        return name + "-cable"
    # Without a broker for long nothing happens, good or bad.
    names = [name for name in WEIGHTS if name != "broker" or
             max(args.get("pause", 0), args.get("for", 0)) < 6]
    return chance.choices(names, [WEIGHTS[name] for name in names])[0]


def _place(chance, kind, part, parts, seconds, ways, busy):
    """Finds one action of a kind a time and a free target, or returns None."""
    args, lasts = _args(chance, kind)
    for tried in range(300):
        # Evenly spread, for a kill that comes late meets no work; anywhere
        # when that part of the time is taken.
        place = (part + chance.random()) / parts if tried < 100 else \
            chance.random()
        at = FIRST_S + place * max(seconds - FIRST_S, 1)
        target = _target(chance, kind, args, ways)
        spans = busy.setdefault(target, [])
        if all(end <= at or at + lasts <= begin for begin, end in spans):
            spans.append((at, at + lasts))
            return Action(round(at, 3), kind, target, args)
    return None


def make(seed, seconds, kills, ways, fills=True):
    """The schedule of a seed. ways: of cutting, a target. Whoever is busy
    with one action gets no other one meanwhile."""
    chance = random.Random(f"schedule {seed}")
    counts = {"kill": kills}
    for kind, share in SHARES.items():
        counts[kind] = round(kills * share)
    if not fills:
        counts["fill"] = 0
    actions, busy = [], {}
    # Those that take long choose first.
    for kind in ("fill", "term", "stop", "cut", "kill"):
        for part in range(counts[kind]):
            action = _place(chance, kind, part, counts[kind], seconds, ways,
                            busy)
            if action:
                actions.append(action)
    return sorted(actions, key=lambda action: action.at)

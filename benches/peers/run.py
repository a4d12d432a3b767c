"""Measures Lockgate beside its peers and writes docs/benchmarks.md: `make bench-peers`.

Each server in turn gets a core and the load another; rounds are interleaved, so that whatever else
the machine does meets all of them. Everything is started fresh for every run, on free ports of
loopback, and is gone afterwards.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import page
from plan import ROWS, SCENARIOS, Results
from servers import HOME, PEERS, ROOT, TARGET, Lockgate, Running, Trouble, say

# The node and a player each have a file for every connection, and rows 1 and 5 have thousands.
FILES = 20000

HELP = """\
make bench-peers                         the whole table, into docs/benchmarks.md
make bench-peers ROWS="1 4"              these rows only; a part of the table goes to target/peers
make bench-peers ROUNDS=1                one round instead of three
make bench-peers PEERS="nginx nms xiu"   xiu as well (cargo builds it first)

DURATION=SECONDS   how long each run is measured, instead of what its preset says
SCALE=0.1          a tenth of all publishers and players: does it run at all?
OUT=DIRECTORY      where benchmarks.md and its pictures go
FROM=FILE          measure nothing, write the page anew from a results.json
"""


def environment(name, default, convert):
    text = os.environ.get(name) or default
    try:
        return convert(text)
    except (ValueError, KeyError):
        raise Trouble(f"{name}={text}: cannot be read\n\n{HELP}") from None


def rows(text):
    return [number for number in ROWS if number in {int(word) for word in text.split()}]


def peers(text):
    return {key: PEERS[key]() for key in text.split()}


def allow_files():
    """Raises the limit of open files for everything that is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in ((30000, 30000), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
            break
        except (ValueError, OSError):
            continue
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < FILES:
        raise Trouble(f"{files} open files are allowed and {FILES} are needed: run as root, or raise ulimit -Hn")


def hurry():
    """Server and load alike go before what else the machine does, where that is allowed."""
    try:
        os.nice(-10)
    except OSError:
        say("no right to raise priority (root has it): whatever else runs here will disturb more")


def cores():
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Trouble("two cores are needed, one for the server and one for the load")
    return str(usable[0]), str(usable[1])


class Bench:
    def __init__(self):
        self.rounds = environment("ROUNDS", "3", int)
        self.rows = environment("ROWS", " ".join(map(str, ROWS)), rows)
        self.peers = environment("PEERS", "nginx nms", peers)
        self.duration = environment("DURATION", "0", float)
        self.scale = environment("SCALE", "1", float)
        self.server_core, self.load_core = cores()
        self.results = []

    def install(self):
        say("building Lockgate, installing peers")
        Lockgate().install()
        for peer in self.peers.values():
            peer.install()

    def plan(self):
        """(round, scenario's name, server's name, server), in the order in which they run."""
        wanted = {name for number in self.rows for name in ROWS[number].scenarios}
        beside = {name for number in self.rows if ROWS[number].beside for name in ROWS[number].scenarios}
        steps = []
        for turn in range(1, self.rounds + 1):
            for name, scenario in SCENARIOS.items():
                if name not in wanted or (scenario.once and turn > 1):
                    continue
                servers = scenario.servers(self.peers if name in beside else {})
                # Who comes first changes, in case it matters.
                servers = servers if turn % 2 else servers[::-1]
                steps += [(turn, name, called, server) for called, server in servers]
        return steps

    def run(self):
        steps = self.plan()
        started = time.monotonic()
        for at, (turn, name, called, server) in enumerate(steps, 1):
            passed = int(time.monotonic() - started)
            say(f"[{at}/{len(steps)}, {passed // 60}:{passed % 60:02}] round {turn}: {SCENARIOS[name].title}: {called}")
            report, failure = None, None
            try:
                report = self.measure(SCENARIOS[name], server)
                say(f"    {brief(report)}")
            except Trouble as trouble:
                failure = str(trouble)
                say(f"    failed: {failure}")
            self.results.append(
                {"round": turn, "scenario": name, "server": called, "report": report, "failure": failure}
            )

    def measure(self, scenario, server):
        both = f"{self.server_core},{self.load_core}"
        server_cores, load_cores = (both, both) if scenario.both_cores else (self.server_core, self.load_core)
        with Running(server, server_cores, HOME / "run") as running:
            load = [
                *("taskset", "-c", load_cores, TARGET / "release/lockgate-loadgen"),
                *("--preset", scenario.preset, "--quiet", "--json", "-"),
                *("--pid", running.pid),
                *(["--api", f"127.0.0.1:{running.http}"] if isinstance(server, Lockgate) else []),
                *(["--spin"] if scenario.spin else []),
                *self.scaled(scenario.preset),
                *(["--play", running.url(scenario.play)] if scenario.play else []),
                running.url(scenario.publish),
            ]
            # A loadgen that hangs must not hang the bench; a ramp takes minutes.
            try:
                done = subprocess.run(
                    list(map(str, load)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600
                )
            except subprocess.TimeoutExpired:
                raise Trouble("the load did not end within ten minutes") from None
            if not done.stdout:
                raise Trouble(f"{done.stderr.strip()}\n{running.said()}")
            return json.loads(done.stdout)

    def scaled(self, preset):
        options = ["--duration", self.duration] if self.duration else []
        if self.scale != 1:
            for line in (ROOT / f"crates/loadgen/presets/{preset}.toml").read_text().splitlines():
                key, _, value = line.partition(" = ")
                # A ramp that starts low climbs for long.
                if preset == "capacity" and key == "players":
                    continue
                if key in ("players", "publishers", "judges", "late", "late-rate") and int(value) > 1:
                    options += [f"--{key}", max(1, int(int(value) * self.scale))]
        return options


def brief(report):
    """One line of what a run found."""
    server, delay = report["server"], report["video_delay_ms"]
    words = [f"CPU {server['cpu_percent']:.0f} %"]
    if report["messages"]:
        words.append(f"{server['cpu_us_per_message']:.2f} us a {report['unit']}")
        words.append(f"p50 {delay['p50']:.2f} p99 {delay['p99']:.2f} ms")
        words.append(f"{server['rss_kib_per_player']:.1f} KiB a player")
    lost = report["video_lost"] + report["audio_lost"]
    for count, what in ((lost, "frames lost"), (report["packets_lost"], "packets lost"), (report["behind"], "behind"), (report["ended"], "ended")):
        if count:
            words.append(f"{count} {what}")
    if report["ramp"]:
        words.append("held " + ", ".join(str(step["players"]) for step in report["ramp"] if step["held"]))
    if report["late"]:
        words.append(f"join p99 {report['late']['first_frame_ms']['p99']:.1f} ms")
    words.append(f"load {report['own_cpu_percent']:.0f} %")
    if report["failure"]:
        words.append(report["failure"])
    return ", ".join(words)


def write(raw):
    whole = raw["rows"] == list(ROWS) and raw["scale"] == 1
    out = Path(os.environ.get("OUT") or (ROOT / "docs" if whole else HOME)).resolve()
    (out / "benchmarks").mkdir(parents=True, exist_ok=True)
    (out / "benchmarks/results.json").write_text(json.dumps(raw, indent=1) + "\n")
    page.write(raw, out)
    say(f"wrote {out / 'benchmarks.md'}")


def show(raw):
    """The table, as far as it was measured."""
    results = Results(raw["runs"])
    for number in raw["rows"]:
        row = ROWS[number]
        verdict = row.verdict(results)
        met = {True: "met", False: "NOT MET", None: "–"}[verdict.met]
        say(f"row {number:2}  {met:12}  {row.work}: {'; '.join(verdict.parts)}  (goal: {row.goal})")


def main():
    if sys.argv[1:]:
        say(HELP)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 64
    # SIGTERM unwinds as Ctrl-C does, so that whatever runs is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if os.environ.get("FROM"):
            raw = json.loads(Path(os.environ["FROM"]).read_text())
            show(raw)
            write(raw)
            return 0
        bench = Bench()
        allow_files()
        bench.install()
        hurry()
        raw = {
            "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "rounds": bench.rounds,
            "rows": bench.rows,
            "scale": bench.scale,
            "machine": page.machine(),
            "versions": {server.name: server.version() for server in [Lockgate(), *bench.peers.values()]},
            "runs": bench.results,
        }
        bench.run()
        show(raw)
        write(raw)
        return 0
    except Trouble as trouble:
        print(f"bench-peers: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-peers: broken off; nothing was written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

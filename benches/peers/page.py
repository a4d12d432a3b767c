"""The page and its pictures, from results alone: nothing on it is written by hand but the method."""

import os
import platform
from pathlib import Path

import plan
from plan import NGINX, OURS, ROWS, SCENARIOS, Results
from picture import bars, lines

INTRO = """\
# Benchmarks

Lockgate beside what else one would pick, measured in one run on one machine by `make bench-peers`, which wrote this page.
`make bench-peers ROWS="1 4"` measures some rows only; `python3 benches/peers/run.py --help` has the rest.
"""

METHOD = """\
## Method

- The stream is what [`lockgate-loadgen`](../crates/loadgen) makes: H.264 at 30 frames a second with a keyframe every two
  seconds, 1 Mbit/s or 300 kbit/s, and AAC at 128 kbit/s. A keyframe is six times another frame. Each frame carries when it
  was sent.
- The server has one core, publishers and players have the other, by `taskset`; in row 9 both share both. Both run at
  `nice -n -10`, so that what else the machine does disturbs less. All is loopback.
- Every run starts a fresh server and stops it. Rounds are interleaved, the order of servers turns around in every other
  round, and each figure is the median of its rounds.
- The load never sleeps: it asks its sockets over and over (`--spin`). A player that sleeps is woken by the server's core,
  which costs it microseconds a message where players are far between, and none on a network. Of a load that never sleeps,
  *load* is the time in which there was work. In row 9 it shares the cores, so there it sleeps, in the runs on one core too.
- Every player reads as soon as something is there. Some 50 of them, spread evenly, parse every message: they tell delay,
  losses and timestamps that go back. The others only count bytes (`recv` with `MSG_TRUNC`). A player that got less than
  nine tenths of the bytes of the one in the middle counts as behind.
- A message is one audio or video message delivered to one player. Messages of those who count are worked out from their
  bytes and the judges' bytes a message, so whoever was skipped is not counted for what it did not get.
- CPU is user and system time of the server's process from `/proc`; on loopback that contains the kernel's work of sending
  and of receiving at the other end. nginx is its worker. Memory is what RSS grew by while players joined, per player; of a
  stream, what it grew by from the server's start to 12 s of 50 publishers, per publisher.
- Delay is from the frame's sending to a player's having read all of it, both on the load's clock. It contains what the
  load's own core needs to get to it: *load* in the tables is that core's use, and near 100 % it is the load that is
  measured. Lockgate holds audio, and video where frames follow each other faster, for `egress.max_hold`; nginx holds
  nothing.
- Row 5 adds a tenth more players at a time and measures 6 s at each step. A step holds when p99 of video is under 100 ms, no
  judge lost a frame, nobody is behind and nobody was cut; the row compares the last steps that held.
- Row 8 mutes by the admin API, before measuring: audio of every second player, video of every second one of the others.
- In row 9 a second core makes a fan-out task's walk shorter, so a loaded node holds less and makes more writes a message: CPU a
  message grows where delay falls. Where the holding is the same (`max_hold` of 0 or 350 ms), it does not.
- Row 10 brings 100 players, 20 a second, after row 1 was measured and while its 2,500 play. First decodable frame is the
  first keyframe, sequence header included. The storm brings 2,000 in two seconds to 500 who play: by how much their worst
  delay grows meanwhile, and by how much it stays grown with 2,500 there, which the holding of a loaded node does.
- Rows 11 to 13 speak what browsers do. By WHEP, CPU is over RTP packets, each of which is counted: 1 Mbit/s makes five
  or six a frame, and 50 a second are of audio. Of 200 viewers 20 go through a whole client (str0m), which decrypts and puts
  frames together: they tell delay and losses of frames. The others join as those do, and from their first keyframe on only
  read RTP's headers, which are in the clear; their connectivity checks and receiver reports go on, and they ask for nothing
  again, since on loopback nothing is lost. Sockets take what was sent in one call in one read (UDP_GRO). Read a
  datagram at a time, the kernel would cut it on the server's side, as it does in front of a network card that cannot: a
  call of four datagrams then took some 6 µs instead of 3 here. The first keyframe counts from the POST of the offer.
  Publishers by WHIP send the same H.264, and 128 kbit/s of Opus in packets of 20 ms, which the node codes to AAC whether
  anybody watches or not.
- Audio's delay is measured where it arrives as it was sent. AAC becomes Opus on its way to WHEP, so there it is not.
- nginx has no FLV over HTTP; node-media-server has it, by the same path. Rows 11 and 13 have no peer: Debian's and npm's
  packages hold no server that plays by WHEP what came by RTMP, and what crates.io has takes minutes to build.
- nginx runs with one worker and defaults: `chunk_size 4096`, `access_log off`. It has no cache of the GOP, so a player that
  joins waits for the next keyframe. node-media-server runs with defaults, which cache it.
"""


DWELL = """\
How long packets stayed in the node, `lockgate_node_dwell_seconds` of `/metrics`, beside their delay as players saw it, of
video and audio together. What lies between the ends of the metric's buckets, from 30 to 35 ms, say, is evened out;
it counts a packet from being read to its write, while delay has the way to the node and to the player as well.
"""


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, TCP {congestion}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def goals(raw, results):
    rows = []
    for number in raw["rows"]:
        row = ROWS[number]
        verdict = row.verdict(results)
        met = {True: "yes", False: "**no**", None: "–"}[verdict.met]
        rows.append([str(number), row.work, row.goal, "; ".join(verdict.parts), met])
    return table(["#", "work", "goal", "measured", "met"], rows)


def figure(results, name, server, value, form):
    found = results.median(name, server, value)
    return "–" if found is None else form.format(found)


def all_figures(results):
    parts = []
    for name, scenario in SCENARIOS.items():
        servers = results.servers(name)
        if not servers:
            continue
        unit = results.reports(name, servers[0])[0].get("unit", "message")
        head = ["server", "CPU of a core"]
        values = [(plan.percent, "{:.0f} %")]
        if scenario.play:
            head += [f"CPU a {unit}", "video delay p50", "p99", "audio p99", "memory a player", "lost", "behind"]
            values += [
                (plan.cpu, "{:.2f} µs"),
                (plan.p50, "{:.2f} ms"),
                (plan.p99, "{:.2f} ms"),
                (plan.of_audio("p99"), "{:.2f} ms"),
                (plan.player_kib, "{:.1f} KB"),
                (lambda report: report["video_lost"] + report["audio_lost"], "{:.0f}"),
                (lambda report: report["behind"], "{:.0f}"),
            ]
        else:
            head.append("memory a stream")
            values.append((plan.stream_kib, "{:.0f} KB"))
        late = any(report["late"] for server in servers for report in results.reports(name, server))
        if late:
            head += ["join p50", "p99", "others' p99 meanwhile"]
            values += [
                (lambda report: report["late"]["first_frame_ms"]["p50"], "{:.1f} ms"),
                (plan.joined, "{:.1f} ms"),
                (lambda report: report["late"]["video_delay_ms"]["p99"], "{:.1f} ms"),
            ]
        if name == "capacity":
            head.append("players held")
            values.append((plan.held, "{:.0f}"))
        head.append("load")
        values.append((lambda report: report["own_cpu_percent"], "{:.0f} %"))
        rows = [
            [server, *(figure(results, name, server, value, form) for value, form in values)] for server in servers
        ]
        parts.append(f"### {scenario.title}\n\n{table(head, rows)}")
    return "\n".join(parts)


def dwelt(results):
    """How long packets stayed in the node by its own metrics, beside what players saw."""
    rows = []
    for name, scenario in SCENARIOS.items():
        # By WebRTC players see RTP packets and frames, the node counts packets of its ring.
        if scenario.play not in ("rtmp", "flv") or name == "capacity":
            continue
        for server in results.servers(name):
            values = [
                figure(results, name, server, lambda report: (report.get(of) or {}).get(percentile), "{:.2f} ms")
                for of in ("dwell_ms", "delay_ms")
                for percentile in ("p50", "p99")
            ]
            if values[0] != "–":
                rows.append([scenario.title, server, *values])
    head = ["work", "server", "dwell p50", "p99", "delay p50", "p99"]
    return f"## By the node's own account\n\n{DWELL}\n{table(head, rows)}" if rows else ""


# What is compared to find what somebody else does better; less is better in all of it.
COMPARED = [
    ("CPU a message", plan.cpu, "{:.2f} µs"),
    ("CPU", plan.percent, "{:.1f} %"),
    ("p50 of video's delay", plan.p50, "{:.2f} ms"),
    ("p99 of video's delay", plan.p99, "{:.2f} ms"),
    ("p50 of audio's delay", plan.of_audio("p50"), "{:.2f} ms"),
    ("p99 of audio's delay", plan.of_audio("p99"), "{:.2f} ms"),
    ("memory a player", plan.player_kib, "{:.1f} KB"),
    ("memory of all", lambda report: report["server"]["rss_kib"] / 1024, "{:.0f} MB"),
]


def losses(results):
    found = []
    for name, scenario in SCENARIOS.items():
        servers = results.servers(name)
        # A capacity is reached at different numbers of players: its figures do not compare.
        if OURS not in servers or name == "capacity":
            continue
        for peer in servers:
            if peer.startswith(OURS):
                continue
            for what, value, form in COMPARED:
                if not scenario.play and value not in (plan.percent, COMPARED[-1][1]):
                    continue
                ours, theirs = results.median(name, OURS, value), results.median(name, peer, value)
                if ours is not None and theirs is not None and ours > theirs * 1.02 and ours - theirs > 0.05:
                    found.append(f"- {scenario.title}: {what} is {form.format(ours)}, {peer}'s {form.format(theirs)}.")
    return "\n".join(found) or "- Nothing in this run."


def failures(raw):
    found = []
    for run in raw["runs"]:
        report = run["report"]
        what = run["failure"] or (report and report["failure"])
        if what and run["scenario"] != "capacity":
            line = what.strip().splitlines()[0]
            found.append(f"- Round {run['round']}, {SCENARIOS[run['scenario']].title}, {run['server']}: {line}")
    return "\n### What failed\n\n" + "\n".join(found) + "\n" if found else ""


def pictures(results, folder):
    """Draws what there is; the names and captions of what was drawn."""
    drawn = []

    def draw(name, caption, svg):
        (folder / f"{name}.svg").write_text(svg)
        drawn.append(f"![{caption}](benchmarks/{name}.svg)\n")

    compared = [name for name in ("one-stream", "thousand", "rooms") if results.servers(name)]
    groups = [
        (SCENARIOS[name].title, [(server, results.median(name, server, plan.cpu)) for server in results.servers(name)])
        for name in compared
    ]
    if groups:
        draw("cpu", "CPU a delivered message", bars("CPU a delivered message, in µs", groups))
    groups = [
        (
            SCENARIOS[name].title,
            [(server, results.median(name, server, plan.p99)) for server in results.servers(name)],
        )
        for name in compared
    ]
    if groups:
        draw("delay", "p99 of video's delay", bars("p99 of video's delay, in ms", groups))
    climbs = []
    for server in results.servers("capacity"):
        report = results.reports("capacity", server)[0]
        steps = [(step["players"], step["video_delay_ms"]["p99"]) for step in report["ramp"]]
        climbs.append((server, steps))
    if climbs:
        draw("capacity", "p99 by players", lines("p99 of video's delay in ms, by players on one core", climbs, top=120))
    return "\n".join(drawn)


def write(raw, out):
    results = Results(raw["runs"])
    drawn = pictures(results, out / "benchmarks")
    versions = "; ".join(f"{name} {version}" for name, version in raw["versions"].items())
    scaled = "" if raw["scale"] == 1 else f" **All numbers of players and publishers were scaled by {raw['scale']}.**"
    rounds = "1 round" if raw["rounds"] == 1 else f"{raw['rounds']} rounds"
    measured = f"Measured {raw['started']}, {rounds}, on {raw['machine']}. {versions}.{scaled}\n"
    parts = [
        INTRO,
        measured if raw["runs"] else "Nothing was measured yet.\n",
        "## Goals\n\nRatios are against nginx-rtmp in the same run.\n",
        goals(raw, results),
        drawn,
        "## All figures\n",
        (all_figures(results) + failures(raw)) or "None.\n",
        dwelt(results),
        f"## What we lose\n\nWhere Lockgate with its defaults was behind by more than 2 %:\n\n{losses(results)}\n",
        METHOD,
        "What each run reported is in [benchmarks/results.json](benchmarks/results.json).\n",
    ]
    (out / "benchmarks.md").write_text("\n".join(part for part in parts if part))

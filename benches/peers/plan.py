"""What is run, and what each row of the table makes of it."""

from dataclasses import dataclass, field
from statistics import median

from servers import Lockgate

OURS = "Lockgate"
NGINX = "nginx-rtmp"
NMS = "node-media-server"


@dataclass(frozen=True)
class Scenario:
    """One load, carried by several servers in turn."""

    title: str
    preset: str
    # How each of our own variants is called, and what it is set to.
    ours: dict = field(default_factory=lambda: {OURS: {}})
    peers: tuple = ("nginx",)
    # Whether server and load share both cores, instead of having one each.
    both_cores: bool = False
    # Whether the load never sleeps; on cores that it shares it has to.
    spin: bool = True
    # The first round says all there is to say.
    once: bool = False
    # By what is published and played; nothing is played where nobody watches.
    publish: str = "rtmp"
    play: str = "rtmp"

    def servers(self, peers):
        """The servers, with the name that each has in results."""
        ours = [(name, Lockgate(**sets)) for name, sets in self.ours.items()]
        return ours + [(peer.name, peer) for key, peer in peers.items() if key in self.peers]


HOLD_0 = "Lockgate, hold 0"
HOLD_350 = "Lockgate, hold 350 ms"
EVERYBODY = ("nginx", "nms", "xiu")

SCENARIOS = {
    "one-stream": Scenario("1 stream, 2,500 players", "joins"),
    "thousand": Scenario(
        "1 stream, 1,000 players",
        "thousand",
        {
            OURS: {},
            HOLD_0: {"egress.max_hold": "0"},
            HOLD_350: {"egress.max_hold": "350ms"},
        },
        EVERYBODY,
    ),
    "rooms": Scenario("200 streams, 5 players each", "rooms", peers=EVERYBODY),
    "capacity": Scenario("1 stream, more and more players", "capacity"),
    "publishers": Scenario("400 publishers, no player", "publishers", peers=EVERYBODY, play=""),
    "streams": Scenario("50 publishers at 1 Mbit/s, no player", "streams", peers=EVERYBODY, once=True, play=""),
    "mutes": Scenario("1 stream, 2,500 players, most of them muted", "mutes", peers=()),
    "one-stream-one": Scenario("1 stream, 2,500 players that sleep", "one-stream", peers=(), spin=False),
    "one-stream-both": Scenario(
        "1 stream, 2,500 players that sleep, both cores", "one-stream", peers=(), both_cores=True, spin=False
    ),
    "rooms-one": Scenario("200 streams, 5 players each that sleep", "rooms", peers=(), spin=False),
    "rooms-both": Scenario(
        "200 streams, 5 players each that sleep, both cores", "rooms", peers=(), both_cores=True, spin=False
    ),
    "storm": Scenario("500 players, then 2,000 join in two seconds", "storm"),
    "whep": Scenario("1 stream, 200 viewers by WHEP", "whep", peers=(), play="whep"),
    "flv": Scenario("1 stream, 500 players of FLV over HTTP", "flv", peers=("nms",), play="flv"),
    "whip": Scenario("20 publishers by WHIP, no player", "whip", peers=(), publish="whip", play=""),
    "whip-watched": Scenario(
        "20 publishers by WHIP, 5 viewers by WHEP each", "whip-watched", peers=(), publish="whip", play="whep"
    ),
}


class Results:
    """Reports of runs, and medians over their rounds."""

    def __init__(self, runs):
        self.runs = runs

    def reports(self, scenario, server):
        return [
            run["report"]
            for run in self.runs
            if (run["scenario"], run["server"]) == (scenario, server) and run["report"]
        ]

    def servers(self, scenario):
        names = [run["server"] for run in self.runs if run["scenario"] == scenario and run["report"]]
        return list(dict.fromkeys(names))

    def median(self, scenario, server, value):
        """The median of what `value` takes from each report; None without reports."""
        values = [value(report) for report in self.reports(scenario, server)]
        values = [value for value in values if value is not None]
        return median(values) if values else None


def cpu(report):
    """Microseconds of CPU a delivered message."""
    return report["server"]["cpu_us_per_message"]


def percent(report):
    return report["server"]["cpu_percent"]


def of_audio(percentile):
    """A percentile of audio's delay: none where audio was coded anew on its way, which hides when it was sent."""

    def value(report):
        delay = report["audio_delay_ms"]
        return delay[percentile] if delay["count"] else None

    return value


def p50(report):
    return report["video_delay_ms"]["p50"]


def p99(report):
    return report["video_delay_ms"]["p99"]


def player_kib(report):
    return report["server"]["rss_kib_per_player"]


def stream_kib(report):
    server = report["server"]
    return (server["rss_kib"] - server["rss_at_start_kib"]) / report["publishing"]


def busiest(report):
    """The share that the busiest thread has of all that the threads used, in percent."""
    used = [spent for _, spent in report["server"]["threads"]]
    return 100 * used[0] / sum(used) if used else None


def held(report):
    """The most players of a ramp that all went well."""
    steps = [step["players"] for step in report["ramp"] if step["held"]]
    return steps[-1] if steps else 0


def joined(report):
    return report["late"] and report["late"]["first_frame_ms"]["p99"]


def disturbed(report):
    """By how much the worst delay of those already there grew while others joined."""
    late = report["late"]
    return late and late["video_delay_ms"]["max"] - report["video_delay_ms"]["max"]


def crowded(report):
    """By how much it stays grown once all of them are there."""
    late = report["late"]
    return late and "later_delay_ms" in late and late["later_delay_ms"]["max"] - report["video_delay_ms"]["max"]


class Verdict:
    """Collects what a row measured; met when every part is. Of a row without a goal nothing is said."""

    def __init__(self, met=True):
        self.parts, self.met = [], met

    def say(self, text, value):
        """A figure that no goal is for."""
        return self.part(text, value, True)

    def at_most(self, text, value, bound):
        return self.part(text, value, value is not None and bound is not None and value <= bound)

    def at_least(self, text, value, bound):
        return self.part(text, value, value is not None and value >= bound)

    def part(self, text, value, met):
        if value is None:
            self.parts.append("not measured")
            self.met = None
            return self
        self.parts.append(text.format(value))
        if self.met is not None:
            self.met = self.met and met
        return self


def over(one, other):
    return one / other if one is not None and other else None


def row_1(r):
    ours, nginx = (lambda value: r.median("one-stream", OURS, value)), (lambda value: r.median("one-stream", NGINX, value))
    return (
        Verdict()
        .at_most("{:.2f} ×", over(ours(cpu), nginx(cpu)), 0.55)
        .at_most(f"p50 {{:.1f}} ms of {nginx(p50) or 0:.1f}", ours(p50), nginx(p50))
        .at_most(f"p99 {{:.1f}} ms of {nginx(p99) or 0:.1f}", ours(p99), nginx(p99))
    )


def row_2(r):
    ours, nginx = (lambda value: r.median("thousand", HOLD_0, value)), (lambda value: r.median("thousand", NGINX, value))
    return (
        Verdict()
        .at_most("{:.2f} ×", over(ours(cpu), nginx(cpu)), 1.0)
        .at_most(f"p50 {{:.2f}} × (of {nginx(p50) or 0:.1f} ms)", over(ours(p50), nginx(p50)), 0.2)
    )


def row_3(r):
    ratio = over(r.median("thousand", HOLD_350, cpu), r.median("thousand", NGINX, cpu))
    return Verdict().at_most("{:.3f} ×", ratio, 0.13)


def row_4(r):
    ratio = over(r.median("rooms", OURS, cpu), r.median("rooms", NGINX, cpu))
    return Verdict().at_most("{:.2f} ×", ratio, 0.7)


def row_5(r):
    ours, nginx = r.median("capacity", OURS, held), r.median("capacity", NGINX, held)
    return Verdict().at_least(f"{{:.2f}} × ({ours or 0:.0f} of {nginx or 0:.0f})", over(ours, nginx), 2.5)


def row_6(r):
    ratio = over(r.median("publishers", OURS, percent), r.median("publishers", NGINX, percent))
    return Verdict().at_most("{:.2f} ×", ratio, 0.8)


def row_7(r):
    stream = r.median("streams", OURS, stream_kib)
    return (
        Verdict()
        .at_most("{:.1f} KB a player", r.median("thousand", OURS, player_kib), 4.0)
        .at_most("{:.2f} MB a stream", stream and stream / 1024, 1.2)
    )


def row_8(r):
    ratio = over(r.median("mutes", OURS, percent), r.median("one-stream", OURS, percent))
    return Verdict().at_most("{:.2f} × row 1", ratio, 1.0)


def row_9(r):
    verdict = Verdict()
    for name in ("one-stream", "rooms"):
        one, both = name + "-one", name + "-both"
        ratio = over(r.median(both, OURS, cpu), r.median(one, OURS, cpu))
        verdict.at_most("{:.2f} ×", ratio, 1.1)
        verdict.at_most("busiest thread {:.0f} %", r.median(both, OURS, busiest), 60)
    return verdict


def row_10(r):
    return (
        Verdict()
        .at_most("{:.1f} ms", r.median("one-stream", OURS, joined), 30)
        .at_most("a storm of 2,000 delays others by {:.1f} ms", r.median("storm", OURS, disturbed), 20)
        .part("{:.1f} ms once all are there", r.median("storm", OURS, crowded), True)
    )


def row_11(r):
    ours = lambda value: r.median("whep", OURS, value)
    return (
        Verdict()
        .at_most("{:.2f} µs", ours(cpu), 1.2)
        .at_most("{:.0f} KB", ours(player_kib), 150)
        .say("p50 {:.2f} ms", ours(p50))
        .say("p99 {:.1f} ms", ours(p99))
    )


def row_12(r):
    ours, nms = (lambda value: r.median("flv", OURS, value)), (lambda value: r.median("flv", NMS, value))
    return (
        Verdict(None)
        .say(f"{{:.2f}} µs of {nms(cpu) or 0:.2f}", ours(cpu))
        .say(f"p99 {{:.1f}} ms of {nms(p99) or 0:.1f}", ours(p99))
        .say(f"{{:.1f}} KB a player of {nms(player_kib) or 0:.1f}", ours(player_kib))
    )


def row_13(r):
    return (
        Verdict(None)
        .say("unwatched {:.1f} % of a core", r.median("whip", OURS, percent))
        .say("{:.2f} MB a stream", over(r.median("whip", OURS, stream_kib), 1024))
        .say("watched {:.1f} %", r.median("whip-watched", OURS, percent))
        .say("p99 {:.1f} ms", r.median("whip-watched", OURS, p99))
    )


@dataclass(frozen=True)
class Row:
    work: str
    goal: str
    scenarios: tuple
    verdict: object
    # Whether peers carry these scenarios too, or the node is compared to itself.
    beside: bool = True


ROWS = {
    1: Row(
        "1 stream × 2,500 players, `max_hold` 40 ms",
        "CPU a message ≤ 0.55 × nginx-rtmp; p50 and p99 of video ≤ nginx-rtmp's",
        ("one-stream",),
        row_1,
    ),
    2: Row("1,000 players, `max_hold` 0", "CPU ≤ 1.0 ×; p50 ≤ 0.2 ×", ("thousand",), row_2),
    3: Row("1,000 players, `max_hold` 350 ms", "CPU ≤ 0.13 ×", ("thousand",), row_3),
    4: Row("200 streams × 5 players, 300 kbit/s each", "CPU ≤ 0.7 ×", ("rooms",), row_4),
    5: Row("players on one core, p99 < 100 ms, no frame lost", "≥ 2.5 ×", ("capacity",), row_5),
    6: Row("400 publishers at 300 kbit/s, nobody watching", "CPU ≤ 0.8 ×", ("publishers",), row_6),
    7: Row("memory (RSS)", "≤ 4 KB a player; ≤ 1.2 MB a 1 Mbit/s stream with its GOP", ("thousand", "streams"), row_7),
    8: Row("row 1, half audio-muted, a quarter video-muted", "CPU a player ≤ row 1's", ("one-stream", "mutes"), row_8, False),
    9: Row(
        "rows 1 and 4 on both cores",
        "CPU a message ≤ 1.1 × one core's; split ≤ 60:40",
        ("one-stream-one", "one-stream-both", "rooms-one", "rooms-both"),
        row_9,
        False,
    ),
    10: Row(
        "join to first decodable frame, under row 1",
        "p99 ≤ 30 ms; 2,000 joins in 2 s delay others ≤ 20 ms",
        ("one-stream", "storm"),
        row_10,
    ),
    11: Row("1 stream × 200 viewers by WHEP", "CPU ≤ 1.2 µs a packet; ≤ 150 KB a viewer", ("whep",), row_11),
    12: Row("1 stream × 500 players of FLV over HTTP", "none: beside node-media-server", ("flv",), row_12),
    13: Row("20 publishers by WHIP, unwatched and × 5 viewers by WHEP", "none", ("whip", "whip-watched"), row_13),
}

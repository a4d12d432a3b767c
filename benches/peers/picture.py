"""Bars and lines as SVG, plain enough to read in a diff."""

from html import escape
from math import floor, log10

COLOURS = ["#0969da", "#bf3989", "#2da44e", "#bf8700", "#8250df", "#57606a"]
WIDTH = 720


def start(height, title):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        text(16, 24, title, size=15),
    ]


def text(x, y, what, anchor="start", size=12):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(what)}</text>'


def round_up(value):
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def bars(title, groups):
    """Horizontal bars: groups are (title, [(label, value)]), each as wide as its largest value."""
    groups = [(name, [(label, value) for label, value in bars if value is not None]) for name, bars in groups]
    height = 50 + sum(30 + 22 * len(bars) for _, bars in groups)
    colours = {}
    svg, y = start(height, title), 52
    for name, bars in groups:
        svg.append(text(16, y + 4, name))
        y += 12
        top = max((value for _, value in bars), default=0) or 1
        for label, value in bars:
            colour = colours.setdefault(label, COLOURS[len(colours) % len(COLOURS)])
            width = max(value / top * 400, 1)
            svg.append(text(186, y + 13, label, "end"))
            svg.append(f'<rect x="194" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>')
            svg.append(text(200 + width, y + 13, f"{value:.2f}" if value < 100 else f"{value:.0f}"))
            y += 22
        y += 18
    return "\n".join([*svg, "</svg>"]) + "\n"


def lines(title, series, top):
    """Lines through (x, y); what lies above `top` is drawn at it."""
    left, right, upper, lower = 60, 560, 50, 330
    most = max(x for _, points in series for x, _ in points) * 1.05
    svg = start(370, title)
    step = round_up(top / 6)
    for at in range(int(top / step) + 1):
        y = lower - at * step / top * (lower - upper)
        svg.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        svg.append(text(left - 8, y + 4, f"{at * step:g}", "end"))
    step = round_up(most / 6)
    for at in range(int(most / step) + 1):
        svg.append(text(left + at * step / most * (right - left), lower + 20, f"{at * step:g}", "middle"))
    for at, (label, points) in enumerate(series):
        colour = COLOURS[at % len(COLOURS)]
        places = [
            (left + x / most * (right - left), lower - min(y, top) / top * (lower - upper)) for x, y in points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        svg.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        svg += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        svg.append(text(right + 30, upper + 14 + 18 * at, label))
        svg.append(f'<rect x="{right + 12}" y="{upper + 4 + 18 * at}" width="12" height="12" fill="{colour}"/>')
    return "\n".join([*svg, "</svg>"]) + "\n"

"""Samples to a table and a picture."""
import statistics

BASE = "go"
PAPER = "#ffffff"
COLOURS = {  # peers in greys and pale tints, ours in full colour
    "asyncio": "#c9b8a8",
    "go": "#8a8f98",
    "curl": "#c5ccd6",
    "bare": "#dfe3e8",
    "embedded": "#0b6e99",
    "four": "#e07a1f",
}


def median_of(samples, field):
    return statistics.median(getattr(s, field) for s in samples)


def spread_of(samples):
    walls = [s.wall_s for s in samples]
    return (max(walls) - min(walls)) / statistics.median(walls)


def rate(case, samples):
    """URLs a second, or GB/s of a bulk case."""
    wall_s = median_of(samples, "wall_s")
    if case.is_bulk:
        return case.count * case.bytes / wall_s / 1e9
    return case.count / wall_s


def shown_rate(case, value):
    return f"{value:.2f} GB/s" if case.is_bulk else f"{value:,.0f} URL/s"


def ratio(results, case, key):
    """How often faster than the base, or None."""
    base = results.get((case.key, BASE))
    samples = results.get((case.key, key))
    if not base or not samples:
        return None
    return rate(case, samples) / rate(case, base)


def case_table(results, case, programs, failures):
    lines = [f"### {case.title}", "",
             "| program | rate | beside Go | CPU a URL | spread |",
             "|---|--:|--:|--:|--:|"]
    for program in programs:
        samples = results.get((case.key, program.key))
        if not samples:
            why = failures.get((case.key, program.key), "not measured")
            lines.append(f"| {program.title} | {why} | | | |")
            continue
        cpu_us = median_of(samples, "cpu_s") / case.count * 1e6
        beside = ratio(results, case, program.key)
        wrong = failures.get((case.key, program.key))
        lines.append(
            f"| {program.title} | {shown_rate(case, rate(case, samples))} | "
            f"{'' if beside is None else f'{beside:.2f} x'} | "
            f"{cpu_us:,.0f} us | {spread_of(samples):.0%} |"
            + (f" **{wrong}**" if wrong else ""))
    return lines + [""]


def gigabytes_a_second(case, samples):
    return case.count * case.bytes / median_of(samples, "wall_s") / 1e9


def keys_table(results, cases, programs, failures):
    """Plain beside encrypted."""
    lines = ["| case | program | rate | GB/s | beside plain | CPU a URL | "
             "GB a CPU second | beside plain | spread |",
             "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for case in cases:
        plain = results.get((case.key, programs[0].key))
        for program in programs:
            key = (case.key, program.key)
            samples = results.get(key)
            if not samples or not plain:
                why = failures.get(key, "not measured")
                lines.append(f"| {case.title} | {program.title} | {why} "
                             "| | | | | | |")
                continue
            speed = gigabytes_a_second(case, samples)
            beside = speed / gigabytes_a_second(case, plain)
            url_s = case.count / median_of(samples, "wall_s")
            cpu_s = median_of(samples, "cpu_s")
            wrong = failures.get(key)
            lines.append(
                f"| {case.title} | {program.title} | {url_s:,.0f} URL/s | "
                f"{speed:.2f} | {beside:.2f} x | "
                f"{cpu_s / case.count * 1e6:,.0f} us | "
                f"{case.count * case.bytes / cpu_s / 1e9:.2f} | "
                f"{median_of(plain, 'cpu_s') / cpu_s:.2f} x | "
                f"{spread_of(samples):.0%} |"
                + (f" **{wrong}**" if wrong else ""))
    return lines + [""]


def limits_table(limits):
    lines = ["### Limits of the libraries", "",
             "| what | rate |", "|---|--:|"]
    return lines + [f"| {what} | {value} |" for what, value in limits] + [""]


def others_note(results):
    """Says it when somebody else had the machine at the same time."""
    worst = max((s.others for samples in results.values() for s in samples),
                default=0)
    if worst < 0.05:
        return "Nothing else ran on the machine."
    return (f"Not a quiet machine: other processes used up to {worst:.0%} of "
            "it during a run.")


def draw(results, cases, programs, path):
    """Grouped bars of the ratio beside Go."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [p for p in programs
             if any((c.key, p.key) in results for c in cases)]
    width = 0.84 / max(1, len(shown))
    figure, axes = pyplot.subplots(figsize=(10, 4.8), dpi=150,
                                   facecolor=PAPER)
    for n, program in enumerate(shown):
        left = (n - (len(shown) - 1) / 2) * width
        for x, case in enumerate(cases):
            value = ratio(results, case, program.key)
            if value is None:
                continue
            is_ours = program.key in ("embedded", "four")
            axes.bar(x + left, value, width * 0.92,
                     color=COLOURS.get(program.key, "#444444"),
                     label=program.title if x == 0 else None, zorder=2)
            axes.text(x + left, value + 0.02, f"{value:.2f}", ha="center",
                      va="bottom", fontsize=7.5 if len(cases) > 2 else 9,
                      weight="bold" if is_ours else "normal", color="#222222")
    axes.axhline(1, color="#8a8f98", linewidth=1, linestyle="--", zorder=1)
    axes.set_xticks(range(len(cases)), [c.title for c in cases])
    axes.set_ylabel("speed beside Go (1 = as fast)")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.08)
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=0)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncol=3, frameon=False,
                  fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.88))
    figure.savefig(path)
    pyplot.close(figure)

"""Turn the JSON of `pytest bench --benchmark-json` into the README's table and the plot.

    python bench/report.py results.json [--plot steps.svg]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
OURS = "deltaprop"
DEFAULT = 0  # as in workers.py, which this script does without


def ours(record: Record) -> float:
    """Return our seconds: with default threads and from a worker, as the peers', where there is one."""
    if record.get("ours_from_worker") and OURS in peers(record):
        return peers(record)[OURS]["seconds"]
    default = [lane for lane in record["lanes"] if lane["peer"] == OURS and lane["threads"] == DEFAULT]
    return default[0]["seconds"] if default else record["seconds"]


def peers(record: Record) -> dict[str, Record]:
    """Return for each peer the lane of its best thread count."""
    best: dict[str, Record] = {}
    for lane in record["lanes"]:
        if lane["peer"] not in best or lane["seconds"] < best[lane["peer"]]["seconds"]:
            best[lane["peer"]] = lane
    return best


def rivals(record: Record) -> list[Record]:
    """Return the other libraries' best lanes, the fastest first."""
    others = [lane for peer, lane in peers(record).items() if peer != OURS]
    return sorted(others, key=lambda lane: lane["seconds"])


def gate(record: Record, lane: Record) -> float | None:
    """Return the ratio that has to hold against this lane, if one was set."""
    gates = record["gates"]
    if "best" in gates and lane is rivals(record)[0]:
        return gates["best"]
    return gates.get(lane["peer"])


def own_threads(record: Record) -> dict[int, float]:
    lanes = [lane for lane in record["lanes"] if lane["peer"] == OURS and lane["threads"] != DEFAULT]
    return {lane["threads"]: lane["seconds"] for lane in lanes}


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def shown(record: Record, seconds: float) -> str:
    steps = record.get("steps")
    return duration(seconds / steps) + "/step" if steps else duration(seconds)


def ping_pong(record: Record) -> str:
    known = [f"{ns:.0f}" for ns in record["ping_pong_ns"] if ns is not None]
    return " → ".join(known) or "unknown"


def rows(records: Iterable[Record]) -> list[list[str]]:
    """Return the table's cells, a row for each work and rival; rows that we lose are among them."""
    table = []
    for record in records:
        if "seconds" in record["gates"]:
            limit = record["gates"]["seconds"]
            mark = "" if record["seconds"] <= limit else " (missed)"
            cells = [record["work"], shown(record, record["seconds"]), "", "", "", ""]
            table.append([*cells, f"{duration(limit)}{mark}"])
            continue
        if "megabytes" in record:
            used, limit = record["megabytes"], record["gates"]["megabytes"]
            mark = "" if used <= limit else " (missed)"
            table.append([record["work"], f"{used:.1f} MB", "", "", "", "", f"{limit:.0f} MB{mark}"])
            continue
        if "share_of_peak" in record:
            share, limit = record["share_of_peak"], record["gates"].get("share of peak")
            mark = "" if limit is None or share >= limit else " (missed)"
            figure = f"{share:.1%} (lowest {record['lowest_share']:.0%})"
            wanted = "" if limit is None else f"{limit:.0%}{mark}"
            table.append([record["work"], "", "", "FMA peak, median", "", figure, wanted])
            continue
        own = own_threads(record)
        threads = " / ".join(shown(record, own[n]).removesuffix("/step") for n in sorted(own))
        start = [record["work"], shown(record, ours(record)), threads]
        for lane in rivals(record) or [None]:
            if lane is None:
                table.append([*start, "", "", "", ""])
                continue
            ratio, wanted = lane["seconds"] / ours(record), gate(record, lane)
            mark = "" if wanted is None or ratio >= wanted else " (missed)"
            table.append(
                [
                    *start,
                    f"{lane['peer']}, {lane['threads']} T",
                    shown(record, lane["seconds"]),
                    f"{ratio:.3g}×",
                    "" if wanted is None else f"{wanted:g}×{mark}",
                ]
            )
            start = ["", "", ""]
    return table


def header(records: Iterable[Record]) -> list[str]:
    counts = sorted({n for record in records for n in own_threads(record)})
    own = f"ours, {' / '.join(map(str, counts))} T" if counts else "ours, fixed threads"
    return ["work", "ours", own, "against", "its time", "ratio", "gate"]


def lines(records: list[Record]) -> list[str]:
    """Return the table as plain text, with the ping-pong before and after each row's rounds."""
    table = [header(records), *rows(records)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    text += [
        f"core-to-core ping-pong, ns, {record['work']}: {ping_pong(record)}"
        for record in records
        if any(lane["threads"] > 1 for lane in record["lanes"])
    ]
    return text


def markdown(results: Record) -> str:
    """Return the README's table with the date, the machine and the versions."""
    info = results["machine_info"]["bench"]
    records = [bench["extra_info"] for bench in results["benchmarks"]]
    records = [record for record in records if "lanes" in record and "axis" not in record]
    table = [header(records), ["---"] * 7, *rows(records)]
    known = [ns for record in records for ns in record["ping_pong_ns"] if ns is not None]
    between = f"{min(known):.0f}-{max(known):.0f} ns" if known else "unknown"
    peak = f"{info['peak_gflops']:.1f}" if info["peak_gflops"] else "unknown"
    named = ", ".join(f"{name} {number}" for name, number in info["versions"].items())
    count = max((len(lane["rounds"]) for r in records for lane in r["lanes"]), default=0)
    return "\n".join(
        [
            *("| " + " | ".join(row) + " |" for row in table),
            "",
            f"Measured on {results['datetime'][:10]}: {info['cpu']}, {info['cpus']} CPUs, kernels "
            f"for {info['isa']}, FMA peak {peak} GFLOP/s per core, core-to-core ping-pong "
            f"{between}. Best of {count} interleaved rounds; ratio = its time / our time; every "
            "peer with the better of its thread counts, ours with the default. " + named + ".",
        ]
    )


def plot(results: Record, path: Path) -> None:
    """Draw the time of a training step against width and batch, with the FLOP floor."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rc("svg", fonttype="none", hashsalt=OURS)  # letters stay letters, and the same data give the same file

    records = [bench["extra_info"] for bench in results["benchmarks"]]
    peak = results["machine_info"]["bench"]["peak_gflops"]
    titles = {"width": "network n-n-n-10, batch 64", "batch": "network 784-128-10, batch n"}
    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for panel, (axis, title) in zip(panels, titles.items(), strict=True):
        points = sorted((r for r in records if r.get("axis") == axis), key=lambda r: r["size"])
        if not points:
            raise SystemExit(f"no sweep of the {axis} here: run with DELTAPROP_BENCH_SWEEP=1")
        curves = {OURS: [(r["size"], ours(r) / r["steps"]) for r in points]}
        for record in points:
            for lane in rivals(record):
                point = (record["size"], lane["seconds"] / record["steps"])
                curves.setdefault(lane["peer"], []).append(point)
        for name, curve in curves.items():
            x, y = zip(*curve, strict=True)
            wide = 2.5 if name == OURS else 1.2
            panel.plot(x, [1e6 * t for t in y], "o-", linewidth=wide, markersize=4, label=name)
        if peak:
            floor = [r["step_flops"] / peak / 1e3 for r in points]  # GFLOP/s = 1e3 FLOP/µs
            label = "FLOP floor, one core"
            panel.plot([r["size"] for r in points], floor, "k--", linewidth=1, label=label)
        panel.set(xscale="log", yscale="log", xlabel="n", title=title)
        panel.set_xticks([r["size"] for r in points], [str(r["size"]) for r in points])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("time per training step, µs")
    panels[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the sweep into this .svg or .png file")
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    print(markdown(results))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()

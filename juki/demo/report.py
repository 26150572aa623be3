"""Shows what the demo saw: the story, the propagation, the checks, and where everything runs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from juki.demo.result import DemoResult


def show(console: Console, result: DemoResult) -> None:
    """The tables at the end."""
    story = Table(title="The story", title_justify="left")
    story.add_column("event")
    story.add_column("durable at the gateway", justify="right")
    story.add_column("known nationally", justify="right")
    for step in result.steps:
        story.add_row(step.what, f"{step.acknowledged_ms:.0f} ms", f"{step.national_ms:.0f} ms")
    console.print(story)
    checks = Table(title="What must hold", title_justify="left")
    checks.add_column("")
    checks.add_column("sentence")
    checks.add_column("seen")
    for check in result.checks:
        mark = "[green]holds[/green]" if check.held else "[bold red]FAILS[/bold red]"
        checks.add_row(mark, check.sentence, check.shown)
    console.print(checks)
    summary = Table(title="Summary", title_justify="left", show_header=False)
    rate = result.loaded / result.load_seconds if result.load_seconds else 0
    count = len(result.propagation_ms)
    summary.add_row(
        "residents loaded through the intake",
        f"{result.loaded:,} in {result.load_seconds:.0f} s ({rate:,.0f} a second)",
    )
    summary.add_row(
        f"propagation CS → nation and its receipt back, {count} events",
        f"p50 {result.percentile(50):.0f} ms, p99 {result.percentile(99):.0f} ms",
    )
    summary.add_row("the whole demo", f"{result.total_seconds:.0f} s")
    verdict = "[green]everything held[/green]" if result.held else "[bold red]something failed[/]"
    summary.add_row("verdict", verdict)
    console.print(summary)

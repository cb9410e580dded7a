"""What a scene cost, as a table."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.text import Text

from scene.folding import FoldingTable
from scene.record import NodeCost, SceneRecord, total_cost
from scene.text import one_line


def cost_table(record: SceneRecord) -> FoldingTable:
    """Calls, tokens and seconds by node; below, those of the whole scene and of its replay, end to end."""
    table = FoldingTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("Node")
    for title in ("Calls", "Prompt tokens (cached)", "Generated", "Seconds"):
        table.add_column(title, justify="right")
    for node, cost in record.cost.items():
        table.add_row(Text(one_line(node)), *_cells(cost))
    table.add_section()
    table.add_row(Text("whole scene", "bold"), *_cells(total_cost(record.cost, record.seconds)))
    if record.replay is not None:
        table.add_row(
            Text("played again", "bold"), *_cells(total_cost(record.replay.cost, record.replay.seconds))
        )
    return table


def _cells(cost: NodeCost) -> tuple[str, str, str, str]:
    prompt = f"{cost.prompt_tokens:,} ({cost.cached_tokens:,})"
    return f"{cost.calls:,}", prompt, f"{cost.completion_tokens:,}", f"{cost.seconds:,.1f}"

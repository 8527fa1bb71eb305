"""How an explanation looks at the prompt: one branch per link of the chain."""

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.tree import Tree

from trading_assets.console import out
from trading_assets.models.approval import Approval
from trading_assets.models.explanation import (
    BarsBehind,
    ExplainedCall,
    ExplainedOrder,
    Explanation,
    FileState,
    KeptFile,
)
from trading_assets.models.fill import Fill
from trading_assets.models.order import Order
from trading_assets.models.signal import Action, Signal

COLOURS = {Action.BUY: "green", Action.SELL: "red"}
STATES = {
    FileState.INTACT: "[green]intact[/]",
    FileState.MISSING: "[bold white on red] MISSING [/]",
    FileState.CHANGED: "[bold white on red] CHANGED [/]",
}
OUTDATED = "outdated"
HASH_LENGTH = 16


def show(found: Explanation, *, full: bool) -> None:
    """Print *found* as a tree from the orders to the bars.

    Args:
        found: What is told.
        full: Whether every word to and from models is printed behind it.
    """
    title = f"[bold]{found.symbol}[/] at the close of {found.session}, {found.strategy}"
    tree = Tree(title, guide_style="dim")
    for order in found.orders:
        _add_order(tree, order)
    if not found.orders:
        tree.add("no order came of it")
    for asked in found.approvals:
        _add_approval(tree, asked)
    _add_signal(tree, found)
    _add_charts(tree, found.charts)
    _add_bars(tree, found.bars)
    out.print(tree)
    if full:
        _show_words(found.calls)


def _add_order(tree: Tree, told: ExplainedOrder) -> None:
    order = told.order
    branch = tree.add(
        f"[bold]order[/] {order.order_id} ({order.lane}): {_terms(order)}, "
        f"[bold]{order.status}[/]"
    )
    branch.add(f"why: {escape(order.reason)}")
    branch.add(f"decided by sizing, risk, execution and costs {order.spec_hash}")
    for event in told.events:
        at = "" if event.price is None else f" at {event.price:,.4f}"
        reason = f": {escape(event.reason)}" if event.reason else ""
        branch.add(f"{event.session} {event.status} {event.shares:,}{at}{reason}")
    for fill in told.fills:
        branch.add(_fill(fill))


def _add_approval(tree: Tree, asked: Approval) -> None:
    own = asked.proposal
    branch = tree.add(
        f"[bold]approval[/] of {own.order_id} ({own.lane}): {escape(str(own))}, "
        f"[bold]{asked.state}[/]"
    )
    until = f"{own.expires_at:%Y-%m-%d %H:%M} UTC"
    branch.add(
        f"[dim]asked {own.proposed_at:%Y-%m-%d %H:%M:%S} UTC, to be given by {until}, "
        f"content {own.payload_hash[:HASH_LENGTH]}[/]"
    )
    for ruling in asked.rulings:
        branch.add(f"{ruling.at:%Y-%m-%d %H:%M:%S} UTC {escape(str(ruling))}")


def _terms(order: Order) -> str:
    levels = (("limit", order.limit_price), ("stop", order.stop_price))
    named = "".join(f" {name} {own:,.4f}" for name, own in levels if own is not None)
    return f"{order.side} {order.shares:,} {order.order_type}{named} {order.tif}"


def _fill(fill: Fill) -> str:
    return (
        f"[bold]fill[/] {fill.fill_id}: {fill.session} {fill.side} {fill.shares:,} at "
        f"{fill.price:,.4f}, commission {fill.commission:,.2f}"
    )


def _add_signal(tree: Tree, found: Explanation) -> None:
    signal = found.signal
    if signal is None:
        tree.add("[red]signal: there is none any more[/]")
        return
    branch = tree.add(f"[bold]signal[/] {_view(signal)}")
    branch.add(escape(signal.reasoning))
    prompts = f", prompts {signal.prompt_version}" if signal.prompt_version else ""
    branch.add(
        f"by {escape(signal.analyst)} of version {found.analyst_version or 'not told'}"
        f"{prompts}, from inputs {signal.inputs_hash}"
    )
    for fault in _faults(found):
        branch.add(f"[yellow]{fault}[/]")
    if found.is_as_kept is not None:
        _add_calls(branch, found)


def _view(signal: Signal) -> str:
    if signal.action is None:
        return "abstains"
    colour = COLOURS.get(signal.action, "default")
    score = f"{signal.confidence} {signal.confidence_score:g}"
    named = (
        ("entry", signal.entry),
        ("stop", signal.stop_loss),
        ("target", signal.take_profit),
        ("reward per risk", signal.risk_reward),
    )
    levels = [f"{name} {own:,.4g}" for name, own in named[3:] if own is not None]
    prices = [f"{name} {own:,.4f}" for name, own in named[:3] if own is not None]
    return ", ".join([f"[bold {colour}]{signal.action}[/] {score}", *prices, *levels])


def _faults(found: Explanation) -> Iterator[str]:
    """What keeps the signal from being what its branch says."""
    if found.analyst_version == OUTDATED:
        yield "bars that it rests on have changed since"
    if found.is_as_kept is False:
        yield "the ledger's newest opinion is another: signals were not made since"
    for call_id in found.lost_calls:
        yield f"call {call_id} is not in the ledger"


def _add_calls(tree: Tree, found: Explanation) -> None:
    calls = [each.call for each in found.calls]
    usd = sum(call.ending.cost_usd for call in calls if call.ending is not None)
    count = f"{len(calls)} question{'' if len(calls) == 1 else 's'}"
    branch = tree.add(f"[bold]asked[/] {count}, ${usd:,.4f}")
    known: set[str] = set()
    for told in found.calls:
        own = _add_call(branch, told)
        for picture in told.pictures:
            if picture.sha256 not in known:
                own.add(f"saw {_file(picture)}")
        known.update(picture.sha256 for picture in told.pictures)
    if found.other_calls:
        branch.add(
            f"[dim]and {len(found.other_calls)} more about the same, which led to "
            "nothing here[/]"
        )


def _add_call(tree: Tree, told: ExplainedCall) -> Tree:
    call, ending = told.call, told.call.ending
    mark = "[bold]it decided[/], " if told.is_decisive else ""
    texts = "" if told.is_intact else ", [bold white on red] TEXTS CHANGED [/]"
    branch = tree.add(f"{call.role} {call.call_id}: {mark}{_heard(told)}{texts}")
    behind = f", told of {', '.join(call.parents)}" if call.parents else ""
    asked = f"{call.asked_at:%Y-%m-%d %H:%M:%S} UTC"
    branch.add(
        f"[dim]asked {asked}, prompts {call.prompt_version or 'not told'}"
        f"{', blind' if call.is_blind else ''}, attempts {len(call.attempts)}{behind}[/]"
    )
    if ending is not None and ending.reason:
        branch.add(f"[yellow]{escape(ending.reason)}[/]")
    return branch


def _heard(told: ExplainedCall) -> str:
    ending = told.call.ending
    if ending is None:
        return f"[red]never ended[/], {told.call.model}"
    usage = ending.usage
    whom = ending.model_asked + (
        f" as {escape(ending.model_answered)}" if ending.model_answered else ""
    )
    return (
        f"{ending.outcome}, {whom}, {usage.input_tokens:,} tokens in "
        f"({usage.cache_read_tokens:,} cached), {usage.output_tokens:,} out, "
        f"${ending.cost_usd:,.4f} by {ending.price_version}, "
        f"{ending.latency_seconds:,.1f} s"
    )


def _add_charts(tree: Tree, charts: Sequence[KeptFile]) -> None:
    branch = tree.add("[bold]charts[/]" if charts else "charts: none were drawn")
    for chart in charts:
        branch.add(_file(chart))


def _file(kept: KeptFile) -> str:
    # What was sent lies under its hash.
    is_named = kept.sha256 in kept.path
    told = "" if is_named else f", sha256 {kept.sha256[:HASH_LENGTH]}…"
    return f"{kept.label} {STATES[kept.state]} {kept.path}{told}"


def _add_bars(tree: Tree, bars: BarsBehind) -> None:
    if not bars.count:
        tree.add("[red]bars: there are none any more[/]")
        return
    branch = tree.add(
        f"[bold]bars[/] {bars.count:,}, {bars.first_session} to {bars.last_session}, from "
        f"{', '.join(map(escape, bars.sources))}, hash {bars.content_hash}"
    )
    if bars.changed:
        days = ", ".join(map(str, bars.changed))
        branch.add(f"[bold white on red] CHANGED [/] other than recorded: {days}")
    for action in bars.actions:
        branch.add(f"{action.ex_session} {action.kind} {action.value:g}")


def _show_words(calls: Sequence[ExplainedCall]) -> None:
    """Every text that was sent, each once, and every reply as it came."""
    known: dict[str, str] = {}
    for told in calls:
        call = told.call
        texts = [part for part in call.shared if isinstance(part, str)]
        named = [("system", call.system), *(("shared", text) for text in texts)]
        for name, text in (*named, ("task", call.task), ("schema", call.schema)):
            _show_text(f"{call.role} {call.call_id}: {name}", text, known)
        reply = call.reply.decode(errors="replace")
        _show_text(f"{call.role} {call.call_id}: raw reply", reply, {})


def _show_text(title: str, text: str, known: dict[str, str]) -> None:
    out.rule(escape(title), align="left")
    if text in known:
        out.print(f"[dim]as in {escape(known[text])}[/]")
        return
    known[text] = title
    out.print(text, markup=False, soft_wrap=True)

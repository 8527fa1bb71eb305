"""When people have to say something, and what follows once they have.

`approvals` tells them what waits and what has become of it; it reads the ledger alone.
`approved_orders` asks for the run that sends what was approved: the orders of the session
that closed last, which is decided already. No view is made, and nobody is asked for an
opinion again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from trading_assets.adapters.ibkr.ping import Doorbell
from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.defs.jobs import APPROVAL, RANGE, book_job_name, range_tags
from trading_assets.defs.lanes import Lane, Market
from trading_assets.defs.resources import Settings
from trading_assets.defs.schedules import ATTEMPTS, UNFINISHED
from trading_assets.errors import GatewayUnreachable
from trading_assets.models.approval import Approval, ApprovalState
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.notice import Topic
from trading_assets.strategies.spec import ApprovalRule

EVERY_SECONDS = 60
WINDOW = timedelta(days=4)
"""How long after its end a proposal is still news: a long weekend without a daemon."""

APPROVED = "trading/approved"
"""Tag of a run: the strategy whose approved orders it sends."""

APPROVED_SET = "trading/approved_set"
"""Tag of a run: which of them."""

OVER = frozenset({ApprovalState.EXPIRED, ApprovalState.REFUSED, ApprovalState.SUPERSEDED})
"""What people are told of, because nobody of them has just done it at the prompt."""

type Now = Callable[[], datetime]


def approval_sensors(
    settings: Settings, market: Market, books: Mapping[str, dg.JobDefinition]
) -> list[dg.SensorDefinition]:
    """Those that the strategies need; none where nothing waits for people.

    Args:
        settings: Say whether anything may be sent.
        market: Its lanes are looked at.
        books: The book's job of each strategy.
    """
    asking = [
        lane
        for lane in market.lanes
        if lane.spec.execution.approval is not ApprovalRule.NONE
    ]
    real = [lane for lane in asking if lane.spec.is_traded_for_real]
    sensors = [approvals_sensor()] if asking else []
    if real:
        jobs = [books[lane.name] for lane in real]
        is_readonly = settings.ibkr.is_readonly
        sensors.append(approved_orders_sensor(real, jobs, is_readonly=is_readonly))
    return sensors


# What people are told


def approvals_sensor(now: Now = lambda: datetime.now(UTC)) -> dg.SensorDefinition:
    """Tell people what waits for them and what is over, each once.

    Args:
        now: Asked for the time.
    """

    @dg.sensor(
        name="approvals",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Tells TRADING_NOTIFY, once, of orders that wait for approval, and of those "
            "that have expired, were superseded, or were approved and then refused."
        ),
    )
    def tell_of_approvals(
        context: dg.SensorEvaluationContext,
        approvals: dg.ResourceParam[ApprovalBook],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SkipReason:
        at = now()
        approvals.expire(at)
        recent = approvals.recent(at - WINDOW)
        told = set(json.loads(context.cursor or "[]"))
        heard = {_key(it): it for it in recent if it.waits(at) or it.state in OVER}
        news = [it for key, it in heard.items() if key not in told]
        if news:
            notifier.tell(Topic.APPROVAL, "\n".join(map(said_of, news)))
        context.update_cursor(json.dumps(sorted(heard)))
        waiting = sum(it.waits(at) for it in recent)
        return dg.SkipReason(f"{waiting} wait for approval; told of {len(news)}")

    return tell_of_approvals


def said_of(asked: Approval) -> str:
    """What people are told of *asked*: what it is, and what they can do or could have."""
    own = asked.proposal
    said = f"{own.strategy}, {own.session}: {own}"
    if asked.state is ApprovalState.PROPOSED:
        until = f"{own.expires_at:%Y-%m-%d %H:%M} UTC"
        return (
            f"{said} waits for approval until {until}: trading-assets approvals show "
            f"{own.order_id}"
        )
    return f"{said}: {asked.rulings[-1]}"


def _key(asked: Approval) -> str:
    own = asked.proposal
    return f"{own.lane} {own.order_id} {asked.number} {asked.state}"


# What is sent


def approved_orders_sensor(
    lanes: Sequence[Lane],
    jobs: Sequence[dg.JobDefinition],
    now: Now = lambda: datetime.now(UTC),
    *,
    is_readonly: bool,
) -> dg.SensorDefinition:
    """Ask for the run that sends what was approved, once for each set of orders.

    A run that has failed is asked for again, a few times, when the gateway is there.

    Args:
        lanes: Of strategies that are traded for real and ask people.
        jobs: Their books', in the same order.
        now: Asked for the time.
        is_readonly: Whether nothing may be sent.
    """

    @dg.sensor(
        name="approved_orders",
        jobs=list(jobs),
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Once orders of the last closed session are approved: asks for the run of "
            "<strategy>/orders that sends them, if the gateway is there."
        ),
    )
    def approved_orders(
        context: dg.SensorEvaluationContext,
        approvals: dg.ResourceParam[ApprovalBook],
        doorbell: dg.ResourceParam[Doorbell],
    ) -> dg.SensorResult:
        at = now()
        asked = [
            _request(context.instance, approvals, lane, at, is_readonly=is_readonly)
            for lane in lanes
        ]
        requests = [it for it in asked if isinstance(it, dg.RunRequest)]
        said = "; ".join(it for it in asked if isinstance(it, str))
        if requests and (why := _nobody_there(doorbell)):
            return dg.SensorResult(skip_reason=why)
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(skip_reason=said)

    return approved_orders


def _request(
    instance: dg.DagsterInstance,
    approvals: ApprovalBook,
    lane: Lane,
    at: datetime,
    *,
    is_readonly: bool,
) -> dg.RunRequest | str:
    """The run that sends what was approved for *lane*, or why there is none to ask for."""
    session = lane.calendar.last_closed(at)
    unsent = _unsent(approvals, lane, session, at)
    if not unsent:
        return f"{lane.name}: nothing that is approved has to be sent"
    if is_readonly:
        return f"{lane.name}: {len(unsent)} approved, and IBKR_READONLY is not no"
    names = sorted(f"{it.proposal.order_id} {it.number}" for it in unsent)
    own = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    tags = range_tags(session, session, launched_by=APPROVAL) | {APPROVED: lane.name}
    mine = {name: tags[name] for name in (APPROVED, RANGE)}
    runs = instance.get_runs(dg.RunsFilter(tags=mine))
    if any(run.status in UNFINISHED for run in runs):
        return f"{lane.name}: a run that sends what was approved is under way"
    tried = sum(run.tags.get(APPROVED_SET) == own for run in runs)
    if tried >= ATTEMPTS:
        return f"{lane.name}: sending {own} has been tried {tried} times: see its runs"
    job = book_job_name(lane.name)
    return dg.RunRequest(
        run_key=f"{job}-approved-{session}-{own}-{tried + 1}",
        job_name=job,
        tags=tags | {APPROVED_SET: own},
        asset_selection=[lane.book.key("orders")],
    )


def _unsent(
    approvals: ApprovalBook, lane: Lane, session: date, at: datetime
) -> list[Approval]:
    """What was approved of *session*, and can and has to be sent."""
    own = approvals.of(lane.name, BookLane.IBKR, [session])
    return [it for it in own if it.may_be_sent and at < it.proposal.expires_at]


def _nobody_there(doorbell: Doorbell) -> str:
    """Why the gateway can't be asked to take an order; empty if it can."""
    try:
        doorbell.ring()
    except GatewayUnreachable as error:
        return f"what is approved waits for the gateway: {error}"
    return ""

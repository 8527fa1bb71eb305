"""A gateway of Interactive Brokers that speaks its wire protocol, to test clients against.

    with FakeGateway() as gateway:
        gateway.add_symbol("AAPL", 265598, name="APPLE INC", bars=bars)
        gateway.inject(Fault.DROP_AFTER_PLACE)
        ...  # a client connects to 127.0.0.1, port gateway.port, and places an order
        gateway.price("AAPL", 190.10)
        gateway.wait_until(lambda g: g.positions)

A message comes in through `line`, `session` and `wire`, finds its answer in `dialogue` or
`order_talk`, changes the `book` and the `account`, and goes out through `telling` and
`answers`, in the `layouts` of server version 176; `faults` say what goes wrong on the way.
Nothing here is shared with a client. To try it by hand:
`python -m trading_assets_tests.fake_gateway`.
"""

from trading_assets_tests.fake_gateway.faults import Fault
from trading_assets_tests.fake_gateway.server import FakeGateway

__all__ = ["FakeGateway", "Fault"]

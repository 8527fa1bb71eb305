"""Batches at a provider, through the real SDKs and real sockets."""

from trading_assets.adapters.models.access import Access
from trading_assets.adapters.models.batch_server import Arrival, BatchServer
from trading_assets.models.question import Provider
from trading_assets_tests.adapters.models.desks import KEY, make_question
from trading_assets_tests.fake_models import FakeModels


def test_a_key_goes_nowhere_but_to_the_server_that_was_named() -> None:
    with FakeModels() as models, FakeModels() as elsewhere:
        models.batches.results_host = elsewhere.url("anthropic")
        server = BatchServer(Provider.ANTHROPIC, Access.of(KEY, models.url("anthropic")))
        key = server.ring()

        handed = server.hand_in(key, "tag", [("one", server.request(make_question()))])
        assert handed.arrival is Arrival.TAKEN
        assert handed.batch is not None
        batch = server.state(key.key_id, handed.batch.remote_id)
        lines = list(server.results(key.key_id, batch))

        assert [line.custom_id for line in lines] == ["one"]
        assert elsewhere.batches.requests == []

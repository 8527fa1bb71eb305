"""Language models that only pretend, over HTTP, to test clients against.

    with FakeModels() as models:
        models.play(Play(fault=Fault.OVERLOADED), Play(text='{"action": "BUY"}'))
        ...  # a client asks models.url("anthropic"), is refused once, and then answered
        models.requests  # what it has sent

Anthropic's Messages, OpenAI's Responses and Chat Completions, each as `protocols` has it
written down. Without a script every model answers with JSON that fits the schema it was
given, the same for the same request. What goes wrong is scripted: for the next requests,
for a model, for a key, or by a model's name, such as ``gpt-6-luna@overloaded``.
Batches of the first two are under `FakeModels.batches`.
Nothing here is shared with a client. To try it by hand:
`python -m trading_assets_tests.fake_models --port 4010`.
"""

from trading_assets_tests.fake_models.batches import Fate
from trading_assets_tests.fake_models.plays import Fault, Play
from trading_assets_tests.fake_models.server import FakeModels

__all__ = ["FakeModels", "Fate", "Fault", "Play"]

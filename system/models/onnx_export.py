"""Export a BERT encoder from safetensors weights to one ONNX graph, without a deep-learning framework.

Inputs ``input_ids`` and ``attention_mask``: int64 (batch, tokens). Output ``vectors``: float32 (batch, width).
``dense`` is the mean over real tokens, L2-normalised; width = hidden size. ``sparse`` is ``log(1 + relu(logits))`` of the
masked-language head, maximum over real tokens; width = vocabulary. Both functions are monotone, so the maximum is taken over
the raw logits: the same value for a tenth of the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from system.platform.errors import BadInput

Head = Literal["dense", "sparse"]
Weights = Mapping[str, npt.NDArray[np.float32]]

_OPSET = 20
_IR_VERSION = 9
_VOCABULARY_PARTS = 16  # the logits of one part stay in the processor's cache: measured a quarter faster than one product
_MASKED = np.float32(1e9)  # subtracted from scores of padding: exp() of it is exactly 0 in float32


class BertConfig(msgspec.Struct, frozen=True):
    """The part of ``config.json`` that shapes the graph."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    layer_norm_eps: float
    hidden_act: str
    position_embedding_type: str = "absolute"


def read_config(path: Path) -> BertConfig:
    """The configuration; raises ``BadInput`` for a model this export does not know."""
    config = msgspec.json.decode(path.read_bytes(), type=BertConfig)
    if config.hidden_act != "gelu" or config.position_embedding_type != "absolute":
        raise BadInput("this BERT variant is not supported", str(path), "use a model with gelu and absolute positions")
    return config


def read_weights(path: Path) -> Weights:
    """Tensors by their modern names, without the ``bert.`` prefix, as float32."""
    renamed = {}
    for name, tensor in load_file(path).items():
        modern = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        renamed[modern] = np.asarray(tensor, dtype=np.float32)
    return renamed


def export(config: BertConfig, weights: Weights, head: Head, target: Path) -> None:
    """Write the graph to ``target``; raises ``BadInput`` when a tensor is missing."""
    builder = _Builder(config, weights)
    mask = builder.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    hidden = builder.encoder(mask)
    width = config.hidden_size if head == "dense" else config.vocab_size
    (builder.mean_pool if head == "dense" else builder.splade_pool)(hidden, mask)
    onnx.save(builder.model(width), target)


class _Builder:
    """Collects nodes and constants; each method adds a part of the network and returns the name of its result."""

    def __init__(self, config: BertConfig, weights: Weights) -> None:
        self._config = config
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        name = output or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.array(value, dtype=dtype, order="C"), name)
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        if name not in self._weights:
            raise BadInput(f"the weights lack tensor {name}", "model.safetensors", "use a BERT encoder (with its language head for sparse)")
        tensor = self._weights[name]
        return self.constant(name + (".T" if transposed else ""), tensor.T if transposed else tensor, np.float32)

    def linear(self, value: str, name: str) -> str:
        product = self.node("MatMul", [value, self.weight(f"{name}.weight", transposed=True)])
        return self.node("Add", [product, self.weight(f"{name}.bias")])

    def layer_norm(self, value: str, name: str) -> str:
        inputs = [value, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", inputs, axis=-1, epsilon=self._config.layer_norm_eps)

    def encoder(self, mask: str) -> str:
        hidden = self._embeddings()
        inverted = self.node("Sub", [mask, self.constant("one", 1, np.float32)])
        scores_bias = self.node("Mul", [self._unsqueeze(inverted, [1, 2]), self.constant("masked", _MASKED, np.float32)])
        for index in range(self._config.num_hidden_layers):
            hidden = self._layer(hidden, scores_bias, f"encoder.layer.{index}")
        return hidden

    def _embeddings(self) -> str:
        length = self.node("Gather", [self.node("Shape", ["input_ids"]), self.constant("axis_1", 1)], axis=0)
        positions = self.node("Range", [self.constant("zero", 0), length, self.constant("axis_1", 1)])
        words = self.node("Gather", [self.weight("embeddings.word_embeddings.weight"), "input_ids"], axis=0)
        places = self.node("Gather", [self.weight("embeddings.position_embeddings.weight"), positions], axis=0)
        segment = self.constant("segment_0", self._weights["embeddings.token_type_embeddings.weight"][0], np.float32)
        total = self.node("Add", [self.node("Add", [words, places]), segment])
        return self.layer_norm(total, "embeddings.LayerNorm")

    def _layer(self, hidden: str, scores_bias: str, name: str) -> str:
        attended = self.linear(self._attention(hidden, scores_bias, f"{name}.attention.self"), f"{name}.attention.output.dense")
        hidden = self.layer_norm(self.node("Add", [attended, hidden]), f"{name}.attention.output.LayerNorm")
        inner = self.node("Gelu", [self.linear(hidden, f"{name}.intermediate.dense")])
        return self.layer_norm(self.node("Add", [self.linear(inner, f"{name}.output.dense"), hidden]), f"{name}.output.LayerNorm")

    def _attention(self, hidden: str, scores_bias: str, name: str) -> str:
        query = self._heads(hidden, f"{name}.query", [0, 2, 1, 3])
        key = self._heads(hidden, f"{name}.key", [0, 2, 3, 1])
        value = self._heads(hidden, f"{name}.value", [0, 2, 1, 3])
        scale = self.constant("scale", 1 / np.sqrt(self._config.hidden_size / self._config.num_attention_heads), np.float32)
        scores = self.node("Add", [self.node("Mul", [self.node("MatMul", [query, key]), scale]), scores_bias])
        mixed = self.node("MatMul", [self.node("Softmax", [scores], axis=-1), value])
        merged = self.node("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self.node("Reshape", [merged, self.constant("merged_shape", [0, 0, self._config.hidden_size])])

    def _heads(self, hidden: str, name: str, order: list[int]) -> str:
        heads = self._config.num_attention_heads
        shape = self.constant("heads_shape", [0, 0, heads, self._config.hidden_size // heads])
        return self.node("Transpose", [self.node("Reshape", [self.linear(hidden, name), shape])], perm=order)

    def _unsqueeze(self, value: str, axes: list[int]) -> str:
        return self.node("Unsqueeze", [value, self.constant(f"axes_{'_'.join(map(str, axes))}", axes)])

    def mean_pool(self, hidden: str, mask: str) -> None:
        weights = self._unsqueeze(mask, [1])  # (batch, 1, tokens) @ (batch, tokens, hidden): the masked sum
        summed = self.node("Squeeze", [self.node("MatMul", [weights, hidden]), self.constant("axes_1", [1])])
        # The division by the token count cancels in the normalisation, so it is left out.
        norm = self.node("ReduceL2", [summed, self.constant("axes_1", [1])], keepdims=1)
        self.node("Div", [summed, norm], output="vectors")

    def splade_pool(self, hidden: str, mask: str) -> None:
        head = "cls.predictions"
        transformed = self.node("Gelu", [self.linear(hidden, f"{head}.transform.dense")])
        transformed = self.layer_norm(transformed, f"{head}.transform.LayerNorm")
        # Padding takes the first token's place: a copy changes no maximum, and the wide logits need no masking.
        first = self.node("Slice", [transformed, *(self.constant(n, [v]) for n, v in (("from", 0), ("to", 1), ("along", 1)))])
        real = self.node("Cast", [self._unsqueeze(mask, [2])], to=TensorProto.BOOL)
        tokens = self.node("Where", [real, transformed, first])
        best = self.node("Concat", [self._best_logits(tokens, part) for part in range(_VOCABULARY_PARTS)], axis=1)
        biased = self.node("Relu", [self.node("Add", [best, self.weight(f"{head}.bias")])])
        self.node("Log", [self.node("Add", [biased, self.constant("one", 1, np.float32)])], output="vectors")

    def _best_logits(self, tokens: str, part: int) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]  # the head shares the input embedding
        piece = np.array_split(table, _VOCABULARY_PARTS)[part].T
        logits = self.node("MatMul", [tokens, self.constant(f"vocabulary_{part}", piece, np.float32)])
        return self.node("ReduceMax", [logits, self.constant("axes_1", [1])], keepdims=0)

    def model(self, width: int) -> Any:
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
        outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", width])]
        graph = helper.make_graph(self._nodes, "bert", inputs, outputs, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return model

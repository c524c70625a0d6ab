"""Writes tree ensembles as ONNX models.

The trees split by numbers and by categories, which are codes from 1. ONNX has no node for "is one of these
categories", so such a split becomes a chain of equality nodes. ONNX Runtime joins the nodes of small codes
into one test of bits, so codes begin at 1 in each column.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from mlops.errors import ExportError

FLOAT, STRING = int(TensorProto.FLOAT), int(TensorProto.STRING)
OPERATOR_SETS = {"": 21, "ai.onnx.ml": 3}
IR_VERSION = 10
ML = "ai.onnx.ml"
DEEPEST = 2000
"""ONNX Runtime calls itself for each node on a path as it loads a model, and its stack has a limit."""

NEVER = -1
"""A code that no category has."""


@dataclass(frozen=True)
class Leaf:
    value: float


@dataclass(frozen=True)
class NumberSplit:
    """Goes to the node `yes` if the number of the column is at most `threshold`, else to the node `no`. If
    `strict`, the number must be below the threshold, which counts as the nearest 32-bit number. `missing` is
    the node for a missing number."""

    column: int
    threshold: float
    strict: bool
    missing: int
    yes: int
    no: int


@dataclass(frozen=True)
class CategorySplit:
    """Goes to the node `yes` if the category of the column has one of the codes, else to the node `no`, which
    is also the node for an unknown category."""

    column: int
    codes: Sequence[int]
    yes: int
    no: int


Link = Literal["sigmoid", "softmax", "identity"]
SIGMOID: Link = "sigmoid"
SOFTMAX: Link = "softmax"
IDENTITY: Link = "identity"

Tree = Sequence[Leaf | NumberSplit | CategorySplit]
"""The nodes of a tree, which refer to each other by position. The root is the first one."""


@dataclass(frozen=True)
class Ensemble:
    """The score of output k is `base[k]` plus the leaves of those trees of which `outputs` says k. The link
    makes the answer of the scores; with SIGMOID, one score makes the probability of the second class."""

    trees: Sequence[Tree]
    outputs: Sequence[int]
    base: Sequence[float]
    link: Link


def to_onnx(ensemble: Ensemble, numbers: int, categories: Sequence[Sequence[str]]) -> bytes:
    """Returns the serialized ONNX model of an ensemble for a table with the number columns first.

    Its inputs are `numbers`, float32 of shape (rows, numbers), and `categories`, text of shape (rows,
    category columns); one without columns is absent. The argument `categories` holds the known texts of each
    category column, whose codes are 1, 2, 3 and so on. The output is `probabilities` of shape (rows,
    classes), or `predictions` of shape (rows, 1) if the link is IDENTITY.
    """
    matrices = {"numbers": (FLOAT, numbers), "categories": (STRING, len(categories))}
    inputs = [tensor_info(name, *each) for name, each in matrices.items() if each[1]]
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["table"], ["scores"], domain=ML, **tree_attributes(ensemble)
    )
    nodes = [*encoder_nodes(categories), table_node([each.name for each in inputs]), trees]
    if ensemble.link == IDENTITY:
        output = tensor_info("predictions", FLOAT, 1)
        nodes.append(helper.make_node("Identity", ["scores"], ["predictions"]))
    else:
        output = tensor_info("probabilities", FLOAT, max(2, len(ensemble.base)))
        nodes += link_nodes(ensemble.link)
    graph = helper.make_graph(nodes, "trees", inputs, [output])
    operator_sets = [helper.make_opsetid(*each) for each in OPERATOR_SETS.items()]
    model = helper.make_model(
        graph, opset_imports=operator_sets, ir_version=IR_VERSION, producer_name="mlops"
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def tensor_info(name: str, kind: int, columns: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [None, columns])


def constant(name: str, kind: int, values: Sequence[Any]) -> NodeProto:
    """Returns a node whose output is a row of values."""
    return helper.make_node(
        "Constant", [], [name], value=helper.make_tensor(name, kind, [1, len(values)], values)
    )


def encoder_nodes(categories: Sequence[Sequence[str]]) -> list[NodeProto]:
    """Returns the nodes that make codes of texts, and 0 of an unknown one. One encoder serves all columns,
    because each text is preceded by the number of its column."""
    if not categories:
        return []
    codes = {
        f"{column} {text}": float(code)
        for column, texts in enumerate(categories)
        for code, text in enumerate(texts, 1)
    }
    columns = [f"{column} ".encode() for column in range(len(categories))]
    encoder = helper.make_node(
        "LabelEncoder",
        ["texts"],
        ["codes"],
        domain=ML,
        keys_strings=list(codes),
        values_floats=list(codes.values()),
        default_float=0.0,
    )
    return [
        constant("columns", STRING, columns),
        helper.make_node("StringConcat", ["columns", "categories"], ["texts"]),
        encoder,
    ]


def table_node(inputs: Sequence[str]) -> NodeProto:
    parts = [{"numbers": "numbers", "categories": "codes"}[name] for name in inputs]
    return helper.make_node("Concat", parts, ["table"], axis=1)


def link_nodes(link: Link) -> list[NodeProto]:
    """Returns the nodes that make probabilities of scores."""
    if link == SOFTMAX:
        return [helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1)]
    return [
        constant("signs", FLOAT, [-1.0, 1.0]),
        helper.make_node("Mul", ["scores", "signs"], ["both"]),
        helper.make_node("Sigmoid", ["both"], ["probabilities"]),
    ]


def tree_attributes(ensemble: Ensemble) -> dict[str, Any]:
    """Returns the attributes of the node TreeEnsembleRegressor."""
    nodes = [
        (number, node) for number, tree in enumerate(ensemble.trees) for node in onnx_nodes(tree)
    ]
    refuse_deep(nodes)
    leaves = [(number, node) for number, node in nodes if node.mode == "LEAF"]
    return {
        "nodes_treeids": [number for number, _ in nodes],
        "nodes_nodeids": [node.number for _, node in nodes],
        "nodes_modes": [node.mode for _, node in nodes],
        "nodes_featureids": [node.column for _, node in nodes],
        "nodes_values": [node.value for _, node in nodes],
        "nodes_truenodeids": [node.yes for _, node in nodes],
        "nodes_falsenodeids": [node.no for _, node in nodes],
        "nodes_missing_value_tracks_true": [int(node.missing_is_yes) for _, node in nodes],
        "target_treeids": [number for number, _ in leaves],
        "target_nodeids": [leaf.number for _, leaf in leaves],
        "target_ids": [ensemble.outputs[number] for number, _ in leaves],
        "target_weights": [leaf.value for _, leaf in leaves],
        "n_targets": len(ensemble.base),
        "base_values": list(ensemble.base),
    }


class OnnxNode(NamedTuple):
    """A node of a tree as ONNX has it. The value of a leaf is what it adds to the score."""

    number: int
    mode: str
    value: float
    column: int = 0
    yes: int = 0
    no: int = 0
    missing_is_yes: bool = False


def onnx_nodes(tree: Tree) -> Iterator[OnnxNode]:
    """Yields the nodes of a tree as ONNX has them, the root first and in the order of their numbers."""
    lengths = [len(node.codes) or 1 if isinstance(node, CategorySplit) else 1 for node in tree]
    start = [0, *accumulate(lengths)]
    for first, node in zip(start, tree, strict=False):
        if isinstance(node, Leaf):
            yield OnnxNode(first, "LEAF", node.value)
            continue
        column, yes, no = node.column, start[node.yes], start[node.no]
        if isinstance(node, NumberSplit):
            mode = "BRANCH_LT" if node.strict else "BRANCH_LEQ"
            bound = node.threshold if node.strict else floor_to_float32(np.array(node.threshold))
            yield OnnxNode(first, mode, float(bound), column, yes, no, node.missing == node.yes)
        else:
            *others, last = enumerate(sorted(node.codes) or [NEVER], first)
            for number, code in others:
                yield OnnxNode(number, "BRANCH_EQ", code, column, yes, number + 1)
            yield OnnxNode(last[0], "BRANCH_EQ", last[1], column, yes, no)


def refuse_deep(nodes: Sequence[tuple[int, OnnxNode]]) -> None:
    """Raises ExportError if a path from a root to a leaf has more than DEEPEST nodes. `nodes` are the nodes
    of all trees, each with the number of its tree and before those that it leads to."""
    depths: dict[tuple[int, int], int] = {}
    for tree, node in nodes:
        depth = depths.get((tree, node.number), 1)
        if depth > DEEPEST:
            raise ExportError(
                f"the splits of a tree name so many categories that it has over {DEEPEST:,} nodes one after "
                "another, and ONNX Runtime would crash: choose lightgbm as train.architecture in "
                "params.yaml, whose splits name few, or move the columns with most categories to "
                "prepare.columns.ignored"
            )
        for following in (node.yes, node.no):
            depths[tree, following] = max(depth + 1, depths.get((tree, following), 1))


def floor_to_float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns the largest 32-bit numbers that are not above the values. For a 32-bit x and such a number f of
    t, `x <= t` holds exactly if `x <= f` holds; the nearest 32-bit number of t may be above it."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)

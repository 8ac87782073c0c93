"""A network that timm has not, given timm's protocol by the names of its modules.

The network is traced once (`torch.fx`). Its graph is cut behind the deepest of the named modules, whose
output is what the head reads: before the cut stands what yields the maps, behind it the head. Both run the
network's own modules, so that there is one set of parameters, and `network(x)` stays what it was.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasbench.errors import UsageError
from nasbench.models.stages import near_names

_PLAIN: dict[Any, Any] = {operator.iadd: operator.add, operator.imul: operator.mul}


def with_stages(net: nn.Module, stages: Sequence[str], head: str | None = None) -> nn.Module:
    """The network with `forward_intermediates`, `forward_head`, `get_classifier` and `feature_info`.

    Args:
        net: any network in evaluation mode, of one tensor to one tensor of logits, without control flow that
            depends on values.
        stages: names of modules, shallow to deep, each run once; of the deepest's output alone the logits are
            made.
        head: the name of the classifier, a linear layer; None is the last linear layer there is.

    Raises UsageError naming the stage or the reason.
    """
    modules = dict(net.named_modules())
    for name in [*stages, *([] if head is None else [head])]:
        if not name or name not in modules:
            near = ", ".join(near_names(name, modules))
            key = "model.head" if name == head and name not in stages else "model.stages"
            raise UsageError(f"{key}: there is no module {name!r}" + (f"; near: {near}" if near else ""))
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    graph = _traced(net, stages)
    nodes = _stage_nodes(graph, stages)
    made: Any = net  # attributes of an instance, which a deep copy takes along
    made.nasbench_graphs = (_trunk(graph, nodes), _head(graph, nodes[-1]))
    made.nasbench_classifier = head if head is not None else (linear[-1] if linear else None)
    made.feature_info = [{"module": name} for name in stages]
    made.forward_intermediates = MethodType(_forward_intermediates, net)
    made.forward_head = MethodType(_forward_head, net)
    made.get_classifier = MethodType(_get_classifier, net)
    return net


def _forward_intermediates(
    self: Any, x: Tensor, indices: Sequence[int] | None = None, **_: Any
) -> tuple[Tensor, list[Tensor]]:
    """The deepest stage's output, and the stages' at these positions; None is all."""
    maps = fx.Interpreter(self, graph=self.nasbench_graphs[0]).run(x)
    wanted = range(len(maps)) if indices is None else indices
    return maps[-1], [maps[i] for i in wanted]


def _forward_head(self: Any, final: Tensor) -> Tensor:
    logits: Tensor = fx.Interpreter(self, graph=self.nasbench_graphs[1]).run(final)
    return logits


def _get_classifier(self: Any) -> nn.Module | None:
    name = self.nasbench_classifier
    return None if name is None else self.get_submodule(name)


class _Tracer(fx.Tracer):
    """Stages are run as modules, so that they can be hooked; so are torch's own layers."""

    def __init__(self, stages: Sequence[str]) -> None:
        super().__init__()
        self._stages = frozenset(stages)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name in self._stages or super().is_leaf_module(m, module_qualified_name)


def _traced(net: nn.Module, stages: Sequence[str]) -> fx.Graph:
    try:
        with torch.no_grad():
            return _Tracer(stages).trace(net)
    except Exception as error:  # a network may do anything while it is traced
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"model.builder: {type(net).__name__} cannot be cut into stages: {said}") from error


def _stage_nodes(graph: fx.Graph, stages: Sequence[str]) -> list[fx.Node]:
    """The stages' nodes. Raises UsageError for one that is not run once, or not in this order."""
    order = {node: i for i, node in enumerate(graph.nodes)}
    found: list[fx.Node] = []
    for name in stages:
        runs = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
        if len(runs) != 1:
            why = "is not run itself" if not runs else f"is run {len(runs)} times"
            raise UsageError(f"model.stages: {name} {why}")
        if found and order[runs[0]] < order[found[-1]]:
            raise UsageError(f"model.stages: {name} is run before {found[-1].target}; name the shallow first")
        found.append(runs[0])
    return found


def _trunk(graph: fx.Graph, stages: Sequence[fx.Node]) -> fx.Graph:
    """From the image to the stages."""
    found = fx.Graph()
    copies = _copied(graph, stages, found, {})
    found.output(tuple(copies[node] for node in stages))
    return found


def _head(graph: fx.Graph, last: fx.Node) -> fx.Graph:
    """From the deepest stage's output to the logits. Raises UsageError where these read more than it."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    logits = output.args[0]
    if not isinstance(logits, fx.Node):
        raise UsageError("model.builder: the network puts out something else than one tensor of logits")
    found = fx.Graph()
    copies = _copied(graph, [logits], found, {last: found.placeholder("final")})
    if any(node.op == "placeholder" for node in copies if node is not last):
        raise UsageError(f"model.stages: the logits read more than the output of {last.target}")
    found.output(copies[logits])
    return found


def _copied(
    graph: fx.Graph, wanted: Sequence[fx.Node], into: fx.Graph, known: dict[fx.Node, fx.Node]
) -> dict[fx.Node, fx.Node]:
    """Copies of what the wanted nodes are made of, in order, as far as it is not known."""
    needed: set[fx.Node] = set()
    left = list(wanted)
    while left:
        node = left.pop()
        if node not in needed and node not in known:
            needed.add(node)
            left += node.all_input_nodes
    copies = dict(known)
    for node in graph.nodes:
        if node in needed:
            copies[node] = into.node_copy(node, lambda one: copies[one])
            _out_of_place(copies[node])
    return copies


def _out_of_place(node: fx.Node) -> None:
    """Make a function write no result into its input: that may be a stage's map, already handed out."""
    if node.op == "call_function":
        node.target = _PLAIN.get(node.target, node.target)
        if node.kwargs.get("inplace") is True:
            node.kwargs = {**node.kwargs, "inplace": False}

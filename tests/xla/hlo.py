"""An HLO module as data, read from the JSON form of its protocol buffer."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True, slots=True)
class Instruction:
    """One operation; `operands` are the ids of those whose results it takes."""

    id: str
    opcode: str
    element_type: str
    dimensions: tuple[int, ...]
    is_dynamic: bool
    operands: tuple[str, ...]
    parameter_number: int
    target: str
    is_minus_infinity: bool

    @property
    def type(self) -> str:
        """Element type and dimensions as in HLO's text."""
        return f"{self.element_type.lower()}{list(self.dimensions)}"


@dataclass(frozen=True)
class Hlo:
    """A module: its instructions by id, those of the entry computation, and what that returns."""

    instructions: Mapping[str, Instruction]
    parameters: Mapping[int, Instruction]
    outputs: tuple[Instruction, ...]

    @classmethod
    def parse(cls, text: str) -> "Hlo":
        """Read what `LoweringContext.hlo_json` returns; the root is always a tuple."""
        module = json.loads(text)
        everything = {}
        for computation in module["computations"]:
            for instruction in map(_instruction, computation["instructions"]):
                everything[instruction.id] = instruction
        entry = next(c for c in module["computations"] if c["id"] == module["entryComputationId"])
        entered = [everything[instruction["id"]] for instruction in entry["instructions"]]
        root = everything[entry["rootId"]]
        returned = root.operands if root.opcode == "tuple" else (root.id,)
        return cls(
            instructions=everything,
            parameters={i.parameter_number: i for i in entered if i.opcode == "parameter"},
            outputs=tuple(everything[id_] for id_ in returned),
        )

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions.values())

    @property
    def opcodes(self) -> Counter[str]:
        """How often each operator occurs."""
        return Counter(instruction.opcode for instruction in self)

    @cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        """Who takes an instruction's result, by its id."""
        found: dict[str, list[Instruction]] = {id_: [] for id_ in self.instructions}
        for instruction in self:
            for operand in instruction.operands:
                found[operand].append(instruction)
        return found


def _instruction(described: Mapping[str, Any]) -> Instruction:
    shapes = list(_flat(described["shape"]))
    literal = described.get("literal", {})
    return Instruction(
        id=described["id"],
        opcode=described["opcode"],
        element_type=shapes[0]["elementType"],
        dimensions=tuple(map(int, shapes[0].get("dimensions", ()))),
        is_dynamic=any(any(shape.get("isDynamicDimension", ())) for shape in shapes),
        operands=tuple(described.get("operandIds", ())),
        parameter_number=int(described.get("parameterNumber", 0)),
        target=described.get("customCallTarget", ""),
        is_minus_infinity=_is_minus_infinity(literal),
    )


def _flat(shape: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "tupleShapes" not in shape:
        yield shape
    for part in shape.get("tupleShapes", ()):
        yield from _flat(part)


BFLOAT16_MINUS_INFINITY = "gP8="
"""The two bytes 0x80 0xFF, in base64, as the JSON form has bytes."""


def _is_minus_infinity(literal: Mapping[str, Any]) -> bool:
    wide = {*literal.get("f32s", ()), *literal.get("f64s", ())}
    return "-Infinity" in wide or literal.get("bf16s") == BFLOAT16_MINUS_INFINITY

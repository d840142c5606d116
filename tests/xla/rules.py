"""What a lowered graph must fulfil to be one for neuronx-cc; each broken rule is a sentence."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tests.xla.hlo import Hlo, Instruction
from tests.xla.operators import (
    ELEMENT_TYPES,
    OPERATORS,
    STABLEHLO_CALLS,
    STABLEHLO_NAMES,
    STABLEHLO_ONLY,
)

INTEGER_TYPES = frozenset({"S4", "S8", "S16", "S32", "S64", "U4", "U8", "U16", "U32", "U64"})

MASKABLE = frozenset({"reduce", "compare"})
"""Where minus infinity is at home: a maximum starts from it, and PyTorch's softmax looks for it."""

CARRIERS = frozenset({"broadcast", "reshape", "convert", "transpose"})
"""What hands a constant on without computing."""


def broken_rules(hlo: Hlo) -> Iterator[str]:
    """What is wrong with any graph, static state or not."""
    for instruction in hlo:
        if instruction.is_dynamic:
            yield f"{instruction.opcode} has a dynamic dimension in {instruction.type}"
        if instruction.opcode == "custom-call":
            yield f"calls {instruction.target!r}, which is no operator"
        elif instruction.opcode not in OPERATORS:
            yield f"uses the operator {instruction.opcode!r}, which tests/xla/operators.py lacks"
        if instruction.element_type not in ELEMENT_TYPES and instruction.opcode != "tuple":
            yield f"{instruction.opcode} is of type {instruction.type}"
        if instruction.is_minus_infinity:
            yield from _uses_of_minus_infinity(hlo, instruction)


def broken_parameters(hlo: Hlo, names: Mapping[int, str]) -> Iterator[str]:
    """What is wrong with what goes in; `names` has a name for every parameter that is known."""
    for number, parameter in sorted(hlo.parameters.items()):
        if number not in names:
            yield (
                f"takes a parameter {parameter.type} that is neither weight nor state nor input: "
                "a tensor was made on the host, without a device"
            )
        elif parameter.element_type in INTEGER_TYPES - {"S32"}:
            yield f"takes {names[number]} as {parameter.type}, not as int32"


def broken_aliases(hlo: Hlo, aliases: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    """What hinders a state from staying where it is: (name, parameter, output) of each.

    The output must be the parameter, either as it came or with something scattered into it. A
    parameter of -1 is one that the graph does not take: unread, or updated in place under
    torch_xla's eyes; torch_neuronx refuses it as "parameter not found in lowering context".
    """
    for name, number, output in aliases:
        if number == -1:
            yield f"does not take {name}, so no output can be its next value"
            continue
        taken, given = hlo.parameters[number], hlo.outputs[output]
        source = given.operands[0] if given.opcode == "scatter" else given.id
        if source != taken.id:
            yield f"gives {name} back as what {given.opcode} makes, not updated where it is"
        elif taken.type != given.type:
            yield f"takes {name} as {taken.type} and gives it back as {given.type}"


def broken_text(text: str) -> Iterator[str]:
    """What is wrong with a graph's StableHLO."""
    for dialect, name in sorted(set(re.findall(r'\b(stablehlo|chlo)\.(\w+)"?[ (]', text))):
        operator = STABLEHLO_NAMES.get(name, name.replace("_", "-"))
        if name != "custom_call" and name not in STABLEHLO_ONLY and operator not in OPERATORS:
            yield f"uses {dialect}.{name}, which tests/xla/operators.py lacks"
    for target in sorted(set(re.findall(r"custom_call @([\w.]+)", text))):
        if target not in STABLEHLO_CALLS:
            yield f"calls {target!r}, which is no operator"
    for dynamic in sorted(set(re.findall(r"tensor<[^>]*\?[^>]*>", text))):
        yield f"has the dynamic shape {dynamic}"
    arguments = text[text.index("@main(") : text.index("->")]
    for argument in sorted(set(re.findall(r"tensor<(?:\d+x)*(?!i32>)u?i\d+>", arguments))):
        yield f"takes integers as {argument}, not as i32"


def _uses_of_minus_infinity(hlo: Hlo, source: Instruction) -> Iterator[str]:
    for user in hlo.users[source.id]:
        if user.opcode in CARRIERS:
            yield from _uses_of_minus_infinity(hlo, user)
        elif user.opcode not in MASKABLE:
            yield f"{user.opcode} computes with minus infinity: masks must be finite"

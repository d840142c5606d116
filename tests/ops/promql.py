"""PromQL expressions, taken apart: the labels of their result, and whether those can be there.

Prometheus takes a misspelt metric or label for one that is not there yet, and says nothing: the
alert never fires, the panel stays empty. Here it is an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    BinModifier,
    Call,
    Expr,
    LabelModifierType,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

Labels = frozenset[str]

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SET_OPERATORS = frozenset({"and", "or", "unless"})


class WrongExpression(Exception):
    """An expression asks for what cannot be there."""


def parse(expression: str) -> Expr:
    """Raises `ValueError` where it is no PromQL."""
    return promql_parser.parse(expression)


def children(expression: Expr) -> list[Expr]:
    """The expressions that it is made of."""
    match expression:
        case MatrixSelector():
            return [expression.vector_selector]
        case SubqueryExpr() | ParenExpr() | UnaryExpr() | AggregateExpr():
            return [expression.expr]
        case BinaryExpr():
            return [expression.lhs, expression.rhs]
        case Call():
            return [*expression.args]
        case _:
            return []


def selectors(expression: Expr) -> Iterator[VectorSelector]:
    """Every selector in it."""
    if isinstance(expression, VectorSelector):
        yield expression
    for child in children(expression):
        yield from selectors(child)


def chosen(expression: Expr) -> bool:
    """Whether a comparison or a set operator decides what is in its result."""
    is_choice = isinstance(expression, BinaryExpr) and (
        str(expression.op) in COMPARISONS | SET_OPERATORS
    )
    return is_choice or any(map(chosen, children(expression)))


def operands(expression: Expr) -> Iterator[Expr]:
    """The largest parts of it whose results nothing has been chosen from."""
    if not chosen(expression):
        if any(True for _ in selectors(expression)):
            yield expression
        return
    for child in children(expression):
        yield from operands(child)


def labels_of(expression: Expr, known: Mapping[str, Labels]) -> Labels | None:
    """The labels that its result may have; None where it is a number.

    `known` has the labels of each metric. Raises `WrongExpression` for a metric or a label that is
    not there, and for two sides whose labels never match.
    """
    match expression:
        case VectorSelector():
            return _selected(expression, known)
        case MatrixSelector() | SubqueryExpr() | ParenExpr() | UnaryExpr():
            return labels_of(children(expression)[0], known)
        case AggregateExpr():
            return _aggregated(expression, known)
        case BinaryExpr():
            return _combined(expression, known)
        case Call():
            return _called(expression, known)
        case _:
            return None


def _selected(selector: VectorSelector, known: Mapping[str, Labels]) -> Labels:
    if selector.name is None or selector.name not in known:
        raise WrongExpression(f"there is no metric {selector.name}")
    labels = known[selector.name]
    _must_have(labels, [matcher.name for matcher in selector.matchers.matchers], selector.name)
    return labels


def _aggregated(expression: AggregateExpr, known: Mapping[str, Labels]) -> Labels:
    labels = labels_of(expression.expr, known)
    if labels is None:
        raise WrongExpression(f"aggregates a number: {expression.prettify()}")
    modifier = expression.modifier
    if modifier is None:
        return frozenset()
    named = frozenset(modifier.labels)
    _must_have(labels, named, expression.prettify())
    return named if modifier.type == AggModifierType.By else labels - named


def _combined(expression: BinaryExpr, known: Mapping[str, Labels]) -> Labels | None:
    left, right = labels_of(expression.lhs, known), labels_of(expression.rhs, known)
    if left is None or right is None:
        return right if left is None else left
    operator, modifier = str(expression.op), expression.modifier
    matched = _matched(left, right, modifier, expression.prettify())
    if operator == "or":
        return left | right
    if matched is None and left != right:
        raise WrongExpression(
            f"the sides never match, {sorted(left ^ right)} is on one alone: "
            f"{expression.prettify()}"
        )
    if operator in SET_OPERATORS or operator in COMPARISONS:
        return left
    if modifier is not None and modifier.card == VectorMatchCardinality.ManyToOne:
        return left | frozenset(modifier.group_labels or ())
    return left if matched is None else matched


def _matched(
    left: Labels, right: Labels, modifier: BinModifier | None, words: str
) -> Labels | None:
    """The labels by which the sides are matched, where the expression says so."""
    if modifier is None or modifier.matching is None:
        return None
    named = frozenset(modifier.matching.labels)
    if modifier.matching.type == LabelModifierType.Include:
        _must_have(left, named, words)
        _must_have(right, named, words)
        return named
    if left - named != right - named:
        raise WrongExpression(f"the sides never match: {words}")
    return left - named


def _called(expression: Call, known: Mapping[str, Labels]) -> Labels | None:
    arguments = [labels_of(argument, known) for argument in expression.args]
    match expression.func.name:
        case "histogram_quantile":
            labels = arguments[1] or frozenset()
            _must_have(labels, {"le"}, expression.prettify())
            return labels - {"le"}
        case "vector" | "absent":
            return frozenset()
        case "time" | "scalar":
            return None
        case _:
            return next((labels for labels in arguments if labels is not None), None)


def _must_have(labels: Labels, wanted: Any, words: str | None) -> None:
    if missing := frozenset(wanted) - labels:
        raise WrongExpression(f"no label {', '.join(sorted(missing))}: {words}")

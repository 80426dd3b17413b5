"""How long, how branched and how repetitive is each module of Python's standard library?"""

import ast
import sysconfig
import time
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import allcores

STDLIB = Path(sysconfig.get_path("stdlib"))


@dataclass(frozen=True)
class Census:
    """What one module holds; one that Python cannot parse has an error and no counts."""

    module: str
    lines: int
    compressed: float  # compressed size / size
    error: str = ""
    functions: int = 0
    classes: int = 0
    complexity: int = 0  # of the module as a whole
    worst: tuple[int, str] = (0, "")  # complexity and name of the most complex function
    longest: tuple[int, str] = (0, "")  # lines and name of the longest function


def decisions(node: ast.AST) -> int:
    """Count the points at which this node lets the program go one way or another."""
    match node:
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case():  # `case _:` decides nothing, like `else:`
            return 0 if isinstance(node.pattern, ast.MatchAs) and not node.pattern.pattern else 1
    return 0


def complexity(tree: ast.AST) -> int:
    """Give the cyclomatic complexity of a tree, nested functions included: 1 + its decisions.

    Source: T. J. McCabe, "A Complexity Measure", IEEE Trans. Softw. Eng. SE-2 (1976), 308-320.
    """
    return 1 + sum(decisions(node) for node in ast.walk(tree))


def census(path: Path) -> Census:
    """Read one file, compress it, parse it and measure what is in it."""
    source = path.read_bytes()
    compressed = len(zlib.compress(source, level=9)) / max(len(source), 1)
    row = (str(path.relative_to(STDLIB)), len(source.splitlines()), compressed)
    try:
        with warnings.catch_warnings(action="ignore"):  # about old files' invalid escapes
            tree = ast.parse(source)  # bytes, so that ast heeds the file's own encoding
    except (SyntaxError, ValueError) as error:  # a few test files are broken on purpose
        return Census(*row, error=f"{type(error).__name__}: {error}")
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    worst = max(((complexity(f), f.name) for f in functions), default=(0, ""))
    longest = max((((f.end_lineno or f.lineno) - f.lineno + 1, f.name) for f in functions), default=(0, ""))
    return Census(*row, "", len(functions), len(classes), complexity(tree), worst, longest)


paths = sorted(path for path in STDLIB.rglob("*.py") if "site-packages" not in path.parts)
megabytes = sum(len(path.read_bytes()) for path in paths) / 1e6  # also fills the disk's cache: a fair race

start = time.perf_counter()
expected = [census(path) for path in paths]
loop = time.perf_counter() - start

start = time.perf_counter()
results = allcores.map(census, paths)
ours = time.perf_counter() - start

if results != expected:
    raise SystemExit("allcores.map and the plain loop disagree")

print(f"{'module':30}{'lines':>7}{'functions':>11}{'zip':>6}{'complexity':>12}   most complex function")
for row in sorted(results, key=lambda row: row.complexity, reverse=True)[:10]:
    size = f"{row.module:30}{row.lines:7,}{row.functions:11,}{row.compressed:6.0%}"
    print(f"{size}{row.complexity:12,}  ", *row.worst)
broken = sum(bool(row.error) for row in results)
print(f"{len(results):,} modules, {megabytes:.0f} MB; Python cannot parse {broken} of them")
print(f"plain loop {loop:.1f} s, allcores {ours:.1f} s: {loop / ours:.2f} times as fast")

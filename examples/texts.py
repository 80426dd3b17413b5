"""Words in texts, counted from the command line; the texts are the topics of Python's own ``help()``."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

from matplotlib.figure import Figure


def count_words(path: str) -> dict[str, int]:
    """Say how often each word is in a file."""
    return Counter(re.findall("[a-z]+", Path(path).read_text(encoding="utf-8").lower()))


def main(folder: str = ".") -> None:
    """Draw how often words are used over their rank: Zipf's law has it that this is a line."""
    (Path(folder) / "topics").mkdir(exist_ok=True)
    for name, text in topics.items():
        (Path(folder) / "topics" / f"{name}.txt").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-m", "allcores", "map", "texts:count_words", "topics/*.txt", "--out", "counts.jsonl"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    words: Counter[str] = Counter()
    for line in (Path(folder) / "counts.jsonl").read_text().splitlines():
        words.update(json.loads(line)["result"])

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    ranked = words.most_common()
    axes.loglog(range(1, len(ranked) + 1), [count for _, count in ranked], ".", markersize=3)
    for rank in (1, 2, 3, 10, 30, 100):
        axes.annotate(ranked[rank - 1][0], (rank, ranked[rank - 1][1]), (4, 4), textcoords="offset points")
    axes.set(xlabel="rank", ylabel="how often it is used")
    figure.savefig(Path(folder) / "texts.png", dpi=80)
    print(f"{words.total():,} words, {len(words):,} different ones; most often {ranked[0][0]!r}")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ".")
